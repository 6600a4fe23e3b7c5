"""What every algorithm must do, and what each must learn on tasks of known optimum."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import algorithms
from jaxmeta.environments import MatchProbe
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
        jm.maml, estimator="first_order", **options
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
