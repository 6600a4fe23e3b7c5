"""What every algorithm must do, and what each must learn on tasks of known optimum."""

import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import algorithms
from jaxmeta.environments import DelayedProbe, MatchProbe, TargetProbe
from jaxmeta.types import MetaLearner, MetaState

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})


def gradient_based(method, **options):
    """A method of MAML's family on small tasks."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,))
    settings = {
        "inner_optimizer": optax.sgd(0.5),
        "outer_optimizer": optax.adam(1e-2),
        "num_tasks": 4,
        "num_updates": 2,
        "num_episodes": 3,
    }
    return method(TASKS, policy, **{**settings, **options})


# A new method adds a row here.
LEARNERS = {
    "maml": lambda **options: gradient_based(jm.maml, **options),
    "first-order maml": lambda **options: gradient_based(
        jm.maml, first_order=True, **options
    ),
}


@pytest.fixture(params=LEARNERS)
def learner(request):
    return LEARNERS[request.param]()


def test_every_public_algorithm_has_a_row():
    assert {name.split()[-1] for name in LEARNERS} == set(algorithms.__all__)


@pytest.mark.parametrize("name", algorithms.__all__)
def test_argument_names_are_the_same_everywhere(name):
    parameters = inspect.signature(getattr(algorithms, name)).parameters
    assert list(parameters)[:2] == ["tasks", "policy"]
    keywords = [p for p in parameters.values() if p.name not in ("tasks", "policy")]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in keywords)
    assert {"num_tasks", "num_updates", "num_episodes", "length"} <= set(parameters)


def test_types_shapes_and_finiteness(learner, key):
    assert isinstance(learner, MetaLearner)
    state = learner.init(key)
    assert isinstance(state, MetaState)
    after, info = jax.jit(learner.update)(key, state)
    assert isinstance(after, MetaState)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert not old.weak_type
        assert not new.weak_type
        assert np.all(np.isfinite(new))
    assert int(after.step) == 1
    assert info["returns"].shape == (3,)
    assert int(info["environment_steps"]) == 4 * 3 * 3 * 5
    assert all(np.all(np.isfinite(value)) for value in info.values())
    moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), state.meta_params, after.meta_params
    )
    assert all(jax.tree.leaves(moved))


def test_three_updates_are_traced_once(learner, key):
    traces = 0

    @jax.jit
    def update(key, state):
        nonlocal traces
        traces += 1
        return learner.update(key, state)

    state = learner.init(key)
    for step in range(3):
        state, _ = update(jax.random.fold_in(key, step), state)
    assert traces == 1
    assert update._cache_size() == 1


def test_train_over_vmapped_seeds_equals_single_runs(learner, key):
    def run(key):
        key_init, key_train = jax.random.split(key)
        return jm.train(key_train, learner, learner.init(key_init), 3)

    keys = jax.random.split(key, 8)
    together = jax.jit(jax.vmap(run))(keys)
    single = jax.jit(run)
    for i in range(8):
        one = single(keys[i])
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)


def test_train_is_a_loop_of_updates(learner, key):
    start = learner.init(key)
    update = jax.jit(learner.update)
    looped = start
    for step in range(4):
        looped, info = update(jax.random.fold_in(key, step), looped)
    two = jax.jit(lambda state: jm.train(key, learner, state, 2))
    scanned, infos = two(two(start)[0])
    for a, b in zip(jax.tree.leaves(looped), jax.tree.leaves(scanned), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(infos["returns"][-1], info["returns"], rtol=1e-5)


@pytest.mark.parametrize("name", ["inner_optimizer", "outer_optimizer"])
def test_learning_rates_can_be_vmapped(name, key):
    """Each row is what a learner with that rate alone would do."""

    def run(rate):
        one = gradient_based(jm.maml, **{name: optax.sgd(rate)})
        return one.update(key, one.init(key))[0].meta_params

    together = jax.jit(jax.vmap(run))(jnp.array([0.01, 0.5]))
    single = jax.jit(lambda: run(0.5))()
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-4, atol=1e-6)
    assert any(np.any(leaf[0] != leaf[1]) for leaf in jax.tree.leaves(together))


def test_evaluation_has_a_row_per_task_and_a_column_per_update(learner, key):
    meta_params = learner.init(key).meta_params
    for mode in (False, True):
        curve = jm.adaptation_curve(
            key, learner, meta_params, TASKS, num_tasks=7, mode=mode
        )
        assert curve.shape == (7, 3)
        assert np.all((curve >= 0) & (curve <= 5))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_tasks": 0}, ValueError, "num_tasks must be at least 1, got 0"),
        ({"num_tasks": 2.0}, TypeError, r"num_tasks must be an integer, got 2\.0"),
        ({"num_updates": -1}, ValueError, "num_updates must be at least 0, got -1"),
        ({"num_episodes": 0}, ValueError, "num_episodes must be at least 1, got 0"),
        ({"length": -3}, ValueError, "length must be at least .*got -3"),
        ({"length": 4}, ValueError, "length must be at least the horizon .* 5 steps"),
        ({"num_epochs": 0}, ValueError, "num_epochs must be at least 1"),
    ],
)
@pytest.mark.parametrize("name", LEARNERS)
def test_bad_numbers_are_named_when_the_learner_is_made(name, options, error, message):
    with pytest.raises(error, match=message):
        LEARNERS[name](**options)


def test_untyped_keys_are_refused(learner, key):
    raw = jax.random.key_data(key)
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


def test_a_batch_of_keys_is_refused(learner, key):
    with pytest.raises(ValueError, match=r"must be one key.*shape \(2,\)"):
        learner.init(jax.random.split(key))


# MAML in particular.


def test_maml_names_what_is_no_optimizer():
    with pytest.raises(TypeError, match=r"inner_optimizer .*optax\.sgd.* got 0\.1"):
        gradient_based(jm.maml, inner_optimizer=0.1)


def test_maml_refuses_an_advantage_nothing_would_use():
    policy = jm.policies.mlp(TASKS.environment)
    loss = jm.losses.policy_gradient(policy, jm.advantages.reward_to_go())
    with pytest.raises(ValueError, match="both losses are given"):
        gradient_based(
            jm.maml,
            advantage=jm.advantages.reward_to_go(),
            inner_loss=loss,
            outer_loss=loss,
        )


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.adamw(0.1)])
def test_maml_names_the_safe_optimizer_when_the_inner_one_is_not(optimizer):
    with pytest.raises(ValueError, match=r"inner optimizer.*jaxmeta\.optimizers\.adam"):
        gradient_based(jm.maml, inner_optimizer=optimizer)
    gradient_based(jm.maml, inner_optimizer=optimizer, first_order=True)


def test_maml_without_inner_updates_is_policy_gradient(key):
    learner = gradient_based(jm.maml, num_updates=0, outer_optimizer=optax.sgd(1.0))
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    assert info["returns"].shape == (1,)
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    tasks = jax.vmap(TASKS.sample)(jax.random.split(key_tasks, 4))
    collect = jax.jit(jax.vmap(learner.collect, in_axes=(0, None, 0)))
    experience = collect(jax.random.split(key_collect, 4), state.meta_params, tasks)
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def mean_loss(params):
        return jnp.mean(
            jax.vmap(lambda batch: loss(params, batch)[0])(experience.query)
        )

    expected = jax.tree.map(
        lambda p, g: p - g, state.meta_params, jax.grad(mean_loss)(state.meta_params)
    )
    for a, b in zip(
        jax.tree.leaves(after.meta_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_rollouts_may_be_short_only_where_no_loss_needs_an_episode():
    """Whichever way the losses are given."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    bootstrapped = jm.losses.policy_gradient(policy, jm.advantages.value_baseline())
    complete = jm.losses.policy_gradient(policy, jm.advantages.reward_to_go())

    def make(inner_loss, outer_loss):
        return jm.maml(
            TASKS,
            policy,
            inner_optimizer=optax.sgd(0.1),
            outer_optimizer=optax.sgd(0.1),
            num_tasks=1,
            num_updates=1,
            num_episodes=1,
            length=2,
            inner_loss=inner_loss,
            outer_loss=outer_loss,
        )

    make(bootstrapped, bootstrapped)
    make(bootstrapped, lambda params, batch: bootstrapped(params, batch))
    for losses in ((complete, bootstrapped), (bootstrapped, complete)):
        with pytest.raises(ValueError, match="length must be at least the horizon"):
            make(*losses)


def test_weights_on_every_step_add_up_the_losses_after_each(key):
    """The meta-gradient of each weighting is that of losses written out here."""
    weights = jnp.array([0.25, 2.0])
    learner = gradient_based(
        jm.maml, outer_loss_weights=(0.25, 2.0), outer_optimizer=optax.sgd(1.0)
    )
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    tasks = jax.vmap(TASKS.sample)(jax.random.split(key_tasks, 4))
    collect = jax.jit(jax.vmap(learner.collect, in_axes=(0, None, 0)))
    experience = collect(jax.random.split(key_collect, 4), state.meta_params, tasks)
    loss = jm.losses.policy_gradient(learner.policy, jm.advantages.linear_baseline())

    def total(meta_params, one):
        first = one._replace(
            keys=one.keys[:2], support=jax.tree.map(lambda leaf: leaf[:1], one.support)
        )
        second_batch = jax.tree.map(lambda leaf: leaf[1], one.support)
        once, twice = (
            learner.adapt(meta_params, first)[0],
            learner.adapt(meta_params, one)[0],
        )
        return weights @ jnp.stack(
            [loss(once, second_batch)[0], loss(twice, one.query)[0]]
        )

    def mean_total(meta_params):
        return jnp.mean(jax.vmap(total, in_axes=(None, 0))(meta_params, experience))

    value, gradient = jax.jit(jax.value_and_grad(mean_total))(state.meta_params)
    np.testing.assert_allclose(info["meta_loss"], value, rtol=1e-4, atol=1e-6)
    expected = jax.tree.map(lambda p, g: p - g, state.meta_params, gradient)
    for a, b in zip(
        jax.tree.leaves(after.meta_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_all_the_weight_on_the_last_step_is_the_default(key):
    last = gradient_based(jm.maml, outer_loss_weights=(0.0, 1.0))
    plain = gradient_based(jm.maml)
    one, _ = jax.jit(last.update)(key, last.init(key))
    other, _ = jax.jit(plain.update)(key, plain.init(key))
    for a, b in zip(
        jax.tree.leaves(one.meta_params),
        jax.tree.leaves(other.meta_params),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_no_more_weights_than_updates():
    for weights in ((), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="one to num_updates=2 weights, got"):
            gradient_based(jm.maml, outer_loss_weights=weights)


def test_a_critic_is_trained_by_maml(key):
    """With a critic that bootstraps, rollouts may be shorter than an episode."""
    policy = jm.policies.mlp(TASKS.environment, hidden=(8,), critic=True)
    learner = jm.maml(
        TASKS,
        policy,
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.sgd(0.1),
        num_tasks=2,
        num_updates=1,
        num_episodes=3,
        length=3,
        advantage=jm.advantages.value_baseline(),
    )
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    assert info["value_loss"] > 0
    moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), state.meta_params, after.meta_params
    )
    assert all(jax.tree.leaves(moved))


class Probe(NamedTuple):
    """A probe, its task field, and its best returns before and after adaptation."""

    environment: object
    params: dict
    agnostic: float
    adapted: float
    tolerance: float
    inner_rate: float


PROBES = {
    "match": Probe(MatchProbe(), {"bit": jm.tasks.choice([0, 1])}, 2.5, 5.0, 0.2, 2.0),
    "delayed": Probe(
        DelayedProbe(), {"bit": jm.tasks.choice([0, 1])}, 0.5, 1.0, 0.05, 10.0
    ),
    "target": Probe(
        TargetProbe(), {"target": jm.tasks.choice([-1.0, 1.0])}, -1.0, 0.0, 0.15, 0.2
    ),
}


@pytest.mark.parametrize(
    ("name", "first_order"),
    [("match", False), ("match", True), ("delayed", False), ("target", False)],
)
def test_maml_reaches_the_known_optimum_after_adaptation(name, first_order, key):
    probe = PROBES[name]
    tasks = jm.tasks.from_gymnax(probe.environment, params=probe.params)
    policy = jm.policies.mlp(tasks.environment, hidden=(16,), initial_std=0.5)
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(probe.inner_rate),
        outer_optimizer=optax.adam(1e-2),
        num_tasks=10,
        num_updates=1,
        num_episodes=20,
        first_order=first_order,
    )
    key_init, key_train, key_test = jax.random.split(key, 3)
    run = jax.jit(lambda state: jm.train(key_train, learner, state, 300))
    state, _ = run(learner.init(key_init))
    curve = jm.adaptation_curve(
        key_test, learner, state.meta_params, tasks, num_tasks=500
    )
    after = np.asarray(curve[:, -1])
    assert after.mean() > probe.adapted - probe.tolerance
    # Nothing may beat an optimum: not the adapted one, nor the task-agnostic one.
    error = np.asarray(curve).std(0) / 500**0.5
    assert after.mean() <= probe.adapted + 3 * error[-1] + 1e-6
    assert curve[:, 0].mean() <= probe.agnostic + 4 * error[0] + 1e-6
