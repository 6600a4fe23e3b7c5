"""What every algorithm must do, and what each must learn on tasks of known optimum."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import algorithms
from jaxmeta.environments import MatchProbe, TargetProbe
from jaxmeta.types import MetaLearner, MetaState

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
CONTINUOUS = jm.tasks.from_gymnax(
    TargetProbe(), params={"target": jm.tasks.choice([-1.0, 1.0])}, horizon=5
)


SETTINGS = {
    "outer_optimizer": optax.adam(1e-2),
    "num_tasks": 4,
    "num_updates": 2,
    "num_episodes": 3,
}


def gradient_based(method, *, policy=None, **options):
    """A method of MAML's family on small tasks."""
    policy = policy or jm.policies.mlp(TASKS.environment, hidden=(8,))
    settings = {"inner_optimizer": optax.sgd(0.5), **SETTINGS}
    return method(TASKS, policy, **{**settings, **options})


def meta_sgd(**options):
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,))
    return jm.meta_sgd(TASKS, policy, inner_rate=0.5, **{**SETTINGS, **options})


def maml_trpo(*, num_tasks=4, **options):
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,))
    settings = {"inner_optimizer": optax.sgd(0.5), "num_updates": 2, "num_episodes": 3}
    return jm.maml_trpo(TASKS, policy, num_tasks=num_tasks, **{**settings, **options})


def conditioned():
    make = functools.partial(jm.policies.mlp, hidden=(8,))
    return jm.policies.with_context(make, TASKS.environment, size=2)


def on_trials(method, policy, *, num_episodes=3, **options):
    """A method without inner updates: policy optimization on trials."""
    settings = {"outer_optimizer": optax.adam(1e-2), "num_tasks": 4}
    return method(TASKS, policy, num_episodes=num_episodes, **{**settings, **options})


def remembering():
    return jm.policies.recurrent(TASKS.environment, core=jm.policies.gru(4))


def pearl(**options):
    make = functools.partial(jm.policies.squashed, hidden=(8,))
    settings = {
        **SETTINGS,
        "capacity": 10,
        "num_gradient_steps": 2,
        "replayed_tasks": 3,
        "batch_size": 7,
        "critic_hidden": (8,),
        "encoder_hidden": (8,),
    }
    policy = jm.policies.with_context(make, CONTINUOUS.environment, size=2)
    return jm.pearl(CONTINUOUS, policy, **{**settings, **options})


def metagradient(**options):
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    settings = {
        "hyperparameters": {
            "discount": jm.hyperparameters.interval(0.9, 0.0, 1.0),
            "rate": jm.hyperparameters.positive(0.1),
        },
        "inner_loss": lambda values: jm.losses.policy_gradient(
            policy, jm.advantages.value_baseline(discount=values["discount"])
        ),
        "inner_optimizer": lambda values: optax.sgd(values["rate"]),
        "outer_optimizer": optax.adam(1e-2),
        "critic_optimizer": optax.adam(1e-2),
        "num_lifetimes": 4,
        "lifetime": 4,
        "num_updates": 2,
        "num_environments": 3,
        "length": 5,
    }
    return jm.metagradient(TASKS, policy, **{**settings, **options})


def lpg(**options):
    settings = {
        "agent_optimizer": optax.sgd(1.0),
        "outer_optimizer": optax.adam(1e-2),
        "critic_optimizer": optax.adam(1e-2),
        "rule": jm.learned_rules.backward_lstm(size=4, embedding=2, num_predictions=3),
        "num_lifetimes": 4,
        "lifetime": 4,
        "num_updates": 2,
        "num_environments": 3,
        "length": 5,
    }
    policy = jm.policies.predictive(TASKS.environment, num_predictions=3)
    return jm.lpg(TASKS, policy, **{**settings, **options})


def evolved(method, **options):
    """A method whose rule evolves, with a rule that makes a difference at once."""
    settings = {
        "outer_optimizer": optax.adam(1e-2),
        "sigma": 0.5,
        "num_lifetimes": 4,
        "lifetime": 4,
        "num_updates": 2,
        "num_environments": 4,
        "length": 5,
        "num_epochs": 2,
        "num_minibatches": 2,
        "objective": jm.objectives.lifetime_reward(),
    }
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    return method(TASKS, policy, **{**settings, **options})


# A new method adds a row here.
LEARNERS = {
    "maml": functools.partial(gradient_based, jm.maml),
    **{
        f"{name} maml": functools.partial(gradient_based, jm.maml, estimator=name)
        for name in ("first_order", "dice", "leave_one_out")
    },
    "maml_trpo": maml_trpo,
    "emaml": functools.partial(gradient_based, jm.emaml),
    "promp": functools.partial(gradient_based, jm.promp),
    "meta_sgd": meta_sgd,
    "anil": functools.partial(gradient_based, jm.anil),
    "cavia": functools.partial(gradient_based, jm.cavia, policy=conditioned()),
    "reptile": functools.partial(gradient_based, jm.reptile),
    "imaml": functools.partial(gradient_based, jm.imaml, strength=1.0),
    "rl2": functools.partial(on_trials, jm.rl2, remembering()),
    "multitask": functools.partial(
        on_trials, jm.multitask, jm.policies.mlp(TASKS.environment, critic=True)
    ),
    "varibad": functools.partial(
        on_trials,
        jm.varibad,
        jm.policies.belief(TASKS.environment, core=jm.policies.gru(4)),
        decoder=jm.decoders.reward(TASKS.environment, inputs=("action",)),
        model_optimizer=optax.adam(1e-2),
    ),
    "es_maml": functools.partial(gradient_based, jm.es_maml, sigma=0.1),
    "pearl": pearl,
    "metagradient": metagradient,
    "lpg": lpg,
    "learned_optimizer": functools.partial(
        evolved,
        jm.learned_optimizer,
        optimizer=jm.learned_optimizers.recurrent(size=4, memory=2, step_scale=0.3),
    ),
    "learned_drift": functools.partial(
        evolved,
        jm.learned_drift,
        drift=jm.losses.learned_drift(size=4),
        agent_optimizer=optax.sgd(1.0),
    ),
}


WITHOUT_INNER_UPDATES = {"rl2", "multitask", "varibad"}
# Their agents live on: there is no number of tasks or of episodes per update.
LIVING = {"metagradient", "lpg", "learned_optimizer", "learned_drift"}
COLUMNS = {"multitask": 1}  # of a curve; of the others there are three
# Methods that act on tasks of their own, and the returns that are possible there.
TASKS_OF = {"pearl": CONTINUOUS}
RANGE = {"pearl": (-45, 0)}


def tasks_of(name):
    return TASKS_OF.get(name, TASKS)


@functools.cache
def made(name):
    """A learner and its update, traced and compiled once for all tests."""
    learner = LEARNERS[name]()
    return learner, jax.jit(learner.update)


# The same method with another estimator, which has tests of its own.
VARIANTS = [name for name in LEARNERS if " " in name]
# Put together as another is, which is among the fast ones, and long to compile.
LIKE_OTHERS = ["promp", "metagradient", "emaml", "cavia", "learned_optimizer"]


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow)
        if name in VARIANTS + LIKE_OTHERS
        else name
        for name in LEARNERS
    ]
)
def name(request):
    return request.param


@pytest.fixture
def learner(name):
    return made(name)[0]


@pytest.fixture
def update(name):
    return made(name)[1]


def test_every_public_algorithm_has_a_row():
    assert {name.split()[-1] for name in LEARNERS} == set(algorithms.__all__)


@pytest.mark.parametrize("method", algorithms.__all__)
def test_argument_names_are_the_same_everywhere(method):
    parameters = inspect.signature(getattr(algorithms, method)).parameters
    assert list(parameters)[:2] == ["tasks", "policy"]
    keywords = [p for p in parameters.values() if p.name not in ("tasks", "policy")]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in keywords)
    sizes = {"num_tasks", "num_episodes", "length"}
    if method in LIVING:
        sizes = {"num_lifetimes", "lifetime", "num_environments", "length"}
    assert sizes <= set(parameters)
    assert "num_updates" in parameters or method in WITHOUT_INNER_UPDATES


def test_types_shapes_and_finiteness(name, learner, update, key):
    assert isinstance(learner, MetaLearner)
    state = learner.init(key)
    assert isinstance(state, MetaState)
    after, info = update(key, state)
    assert isinstance(after, MetaState)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert not old.weak_type
        assert not new.weak_type
        assert np.all(np.isfinite(new))
    assert int(after.step) == 1
    assert info["returns"].shape == (COLUMNS.get(name, 3),)
    acted = jax.eval_shape(
        jax.jit(learner.collect), key, state.meta_params, tasks_of(name).sample(key)
    )
    per_task = acted.support.reward.size + acted.query.reward.size
    assert int(info["environment_steps"]) % (4 * per_task) == 0
    assert all(np.all(np.isfinite(value)) for value in info.values())
    learned, before = after.meta_params, state.meta_params
    if isinstance(learned, jm.policies.ContextParams):  # the context starts from zero
        assert not np.any(learned.context)
        learned, before = learned.network, before.network
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, learned)
    assert all(jax.tree.leaves(moved))
    update(key, after)
    assert update._cache_size() == 1  # one trace, and it can be mapped over seeds
    keys = jax.random.split(key, 2)
    jax.eval_shape(jax.vmap(lambda key: learner.update(key, learner.init(key))), keys)


# One that adapts by gradients, and one in its memory; the others are slow tests.
OF_A_KIND = {"maml", "rl2"}


of_each_kind = pytest.mark.parametrize(
    "name",
    [
        name if name in OF_A_KIND else pytest.param(name, marks=pytest.mark.slow)
        for name in LEARNERS
    ],
)


@of_each_kind
def test_training_over_vmapped_seeds_is_a_loop_of_updates_for_each(name, key):
    """And the update is traced once, whatever the number of updates."""
    learner, update = made(name)

    def run(key):
        key_init, key_train = jax.random.split(key)
        return jm.train(key_train, learner, learner.init(key_init), 3)

    keys = jax.random.split(key, 8)
    together, infos = jax.jit(jax.vmap(run))(keys)
    for i in range(0, 8, 3):
        key_init, key_train = jax.random.split(keys[i])
        looped = learner.init(key_init)
        for step in range(3):
            looped, info = update(jax.random.fold_in(key_train, step), looped)
        rows = zip(jax.tree.leaves(together), jax.tree.leaves(looped), strict=True)
        for a, b in rows:
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(infos["returns"][i, -1], info["returns"], rtol=1e-4)
    assert update._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "argument",
    ["inner_optimizer", pytest.param("outer_optimizer", marks=pytest.mark.slow)],
)
def test_learning_rates_can_be_vmapped(argument, key):
    """Each row is what a learner with that rate alone would do."""

    def run(rate):
        one = gradient_based(jm.maml, **{argument: optax.sgd(rate)})
        return one.update(key, one.init(key))[0].meta_params

    together = jax.jit(jax.vmap(run))(jnp.array([0.01, 0.5]))
    single = jax.jit(lambda: run(0.5))()
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-6)
    assert any(np.any(leaf[0] != leaf[1]) for leaf in jax.tree.leaves(together))


@of_each_kind
def test_evaluation_has_a_row_per_task_and_a_column_per_update(name, key):
    learner, _ = made(name)
    meta_params = learner.init(key).meta_params
    tasks, (low, high) = tasks_of(name), RANGE.get(name, (0, 5))
    if name in LIVING:
        with pytest.raises(ValueError, match="learner: its agents live on"):
            jm.adaptation_curve(key, learner, meta_params, tasks, num_tasks=7)
        curves = jm.life_curves(
            key,
            learner,
            meta_params,
            tasks.environment,
            jax.vmap(tasks.sample)(jax.random.split(key, 7)),
            num_updates=2,
            num_environments=4,
            length=3,
            num_tests=2,
        )
    else:
        curves = jm.adaptation_curves(key, learner, meta_params, tasks, num_tasks=7)
    for curve in curves:
        assert curve.shape == (7, COLUMNS.get(name, 3))
        assert np.all((curve >= low) & (curve <= high))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_tasks": 0}, ValueError, "num_tasks must be at least 1, got 0"),
        ({"num_tasks": 2.0}, TypeError, r"num_tasks must be an integer, got 2\.0"),
        ({"num_updates": -1}, ValueError, "num_updates must be at least [01], got -1"),
        ({"num_episodes": 0}, ValueError, "num_episodes must be at least 1, got 0"),
        ({"length": -3}, ValueError, "length must be at least .*got -3"),
        ({"length": 4}, ValueError, "length must be at least the horizon .* 5 steps"),
    ],
)
def test_bad_numbers_are_named_when_the_learner_is_made(name, options, error, message):
    if name in WITHOUT_INNER_UPDATES and "num_updates" in options:
        pytest.skip("it has no such argument")
    if name in ("multitask", "pearl") and options == {"length": 4}:
        pytest.skip("its critic completes what is cut")
    if name in LIVING:
        pytest.skip("it has numbers of its own, and tests of them")
    with pytest.raises(error, match=message):
        LEARNERS[name](**options)


def test_untyped_keys_are_refused(key):
    learner, raw = made("maml")[0], jax.random.key_data(key)
    state = learner.init(key)
    for call in (
        lambda: learner.init(raw),
        lambda: learner.update(raw, state),
        lambda: jm.train(raw, learner, state, 1),
        lambda: jm.adaptation_curve(
            raw, learner, state.meta_params, TASKS, num_tasks=1
        ),
    ):
        with pytest.raises(TypeError, match=r"typed key made by jax\.random\.key"):
            call()


def test_a_batch_of_keys_is_refused(key):
    learner, _ = made("maml")
    with pytest.raises(ValueError, match=r"must be one key.*shape \(2,\)"):
        learner.init(jax.random.split(key))
