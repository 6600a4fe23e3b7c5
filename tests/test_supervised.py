"""Few-shot regression and classification through the same engine."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.environments import MatchProbe
from jaxmeta.types import Dataset

SINUSOIDS = jm.tasks.sinusoids()
EPISODES = jm.tasks.from_gymnax(MatchProbe(), params={"bit": 1})


def clusters(num_classes=3):
    """Points around centres of which a task says which class is which."""
    centres = 3.0 * jnp.stack(
        [jnp.cos(jnp.arange(num_classes)), jnp.sin(jnp.arange(num_classes))], axis=1
    )

    def sample_example(key, task):
        key_class, key_noise = jax.random.split(key)
        place = jax.random.randint(key_class, (), 0, num_classes)
        x = centres[place] + 0.1 * jax.random.normal(key_noise, (2,))
        return x, (place + task) % num_classes

    return jm.tasks.supervised(
        lambda key: jax.random.randint(key, (), 0, num_classes),
        sample_example,
        num_classes=num_classes,
        name="clusters",
    )


CLUSTERS = clusters()


def arrays(num_tasks=4, num_examples=10):
    """Inputs and targets that say which task and which example they are."""
    task, example = jnp.mgrid[:num_tasks, :num_examples].astype(jnp.float32)
    inputs = jnp.stack([task, example], axis=-1)
    return inputs, 100.0 * task + example


def maml(tasks, *, hidden=(8,), activation=jnp.tanh, policy=None, **options):
    policy = policy or jm.policies.mlp(
        tasks.environment, hidden=hidden, activation=activation
    )
    settings = {
        "inner_optimizer": optax.sgd(0.1),
        "outer_optimizer": optax.adam(1e-2),
        "num_tasks": 3,
        "num_updates": 2,
        "num_episodes": 5,
    }
    return jm.maml(tasks, policy, **{**settings, **options})


# Tasks.


def test_sinusoids_are_those_of_the_paper(key):
    drawn = jax.vmap(SINUSOIDS.sample)(jax.random.split(key, 5_000))
    examples = jax.vmap(lambda k, t: SINUSOIDS.environment.examples(k, t, 4))(
        jax.random.split(key, 5_000), drawn
    )
    assert examples.inputs.shape == examples.targets.shape == (5_000, 4, 1)
    amplitude, phase = np.asarray(drawn.amplitude), np.asarray(drawn.phase)
    want = amplitude[:, None, None] * np.sin(examples.inputs - phase[:, None, None])
    np.testing.assert_allclose(examples.targets, want, atol=1e-5)
    for values, low, high in (
        (amplitude, 0.1, 5.0),
        (phase, 0.0, np.pi),
        (np.asarray(examples.inputs), -5.0, 5.0),
    ):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.1)
    assert abs(np.corrcoef(amplitude, phase)[0, 1]) < 0.07
    assert len(np.unique(examples.inputs)) > 19_000  # no key is used twice


def test_users_own_tasks(key):
    """Scalars become vectors of one, integers floats; the task is any pytree."""
    tasks = jm.tasks.supervised(
        lambda key: {"slope": jax.random.normal(key)},
        lambda key, task: (jnp.arange(6).reshape(2, 3), task["slope"] * 2.0),
        name="slopes",
    )
    dataset = tasks.environment
    assert isinstance(dataset, Dataset)
    assert (dataset.name, dataset.horizon) == ("slopes", 1)
    assert dataset.observation == jax.ShapeDtypeStruct((2, 3), jnp.float32)
    task = tasks.sample(key)
    examples = dataset.examples(key, task, 7)
    np.testing.assert_array_equal(examples.inputs[3], np.arange(6.0).reshape(2, 3))
    np.testing.assert_allclose(examples.targets, np.full((7, 1), 2 * task["slope"]))
    assert examples.inputs.dtype == examples.targets.dtype == jnp.float32
    learner = maml(tasks)
    experience = learner.collect(key, learner.init(key).meta_params, task)
    assert experience.query.targets.shape == (5, 1)


@pytest.mark.parametrize("num_episodes", [1, 5])
def test_support_and_query_of_arrays_are_disjoint(num_episodes, key):
    tasks = jm.tasks.from_arrays(*arrays())
    learner = maml(tasks, num_episodes=num_episodes)
    meta_params = learner.init(key).meta_params
    seen = set()
    for seed in range(5):
        key_task, key_collect = jax.random.split(jax.random.key(seed))
        task = tasks.sample(key_task)
        found = learner.collect(key_collect, meta_params, task)
        both = np.concatenate([found.support.inputs[0], found.query.inputs])
        np.testing.assert_array_equal(both[:, 0], np.full(2 * num_episodes, task))
        assert len(set(both[:, 1].tolist())) == 2 * num_episodes
        seen |= {tuple(both[:, 1].tolist())}
        targets = np.concatenate([found.support.targets[0], found.query.targets])
        np.testing.assert_array_equal(targets[:, 0], 100 * both[:, 0] + both[:, 1])
    assert len(seen) > 1


def test_all_tasks_and_examples_of_arrays_are_drawn_equally(key):
    tasks = jm.tasks.from_arrays(*arrays(3, 4))
    keys = jax.random.split(key, 3_000)
    drawn = jax.vmap(tasks.sample)(keys)
    np.testing.assert_allclose(np.bincount(drawn) / 3_000, 1 / 3, atol=0.05)
    first = jax.vmap(lambda key: tasks.environment.examples(key, 2, 1))(keys).inputs
    np.testing.assert_array_equal(first[:, 0, 0], np.full(3_000, 2.0))
    counts = np.bincount(first[:, 0, 1].astype(int))
    np.testing.assert_allclose(counts / 3_000, 1 / 4, atol=0.05)


# Collect, adapt, measure.


def test_every_inner_update_learns_from_the_same_support(key):
    learner = maml(SINUSOIDS, num_updates=3, num_episodes=4)
    state = learner.init(key)
    task = SINUSOIDS.sample(key)
    experience = learner.collect(key, state.meta_params, task)
    assert experience.support.inputs.shape == (3, 4, 1)
    assert experience.query.inputs.shape == (4, 1)
    assert experience.keys.shape == (4,)
    for leaf in experience.support:
        np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
    both = np.append(experience.support.inputs[0], experience.query.inputs)
    assert len(np.unique(both)) == 8


def numpy_curve(meta_params, experience, rate):
    """Minus the query error along gradient steps by hand, through tanh(8)."""
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), meta_params["params"])
    params = [
        *(w["policy_0"]["kernel"], w["policy_0"]["bias"]),
        *(w["policy_out"]["kernel"], w["policy_out"]["bias"]),
    ]

    def forward(x):
        hidden = np.tanh(x @ params[0] + params[1])
        return hidden, hidden @ params[2] + params[3]

    def score():
        return -np.mean((forward(query.inputs)[1] - query.targets) ** 2)

    query = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), experience.query)
    x, y = (np.asarray(leaf[0], np.float64) for leaf in experience.support)
    curve = [score()]
    for _ in range(experience.support.inputs.shape[0]):
        hidden, prediction = forward(x)
        error = 2 * (prediction - y) / y.size
        below = (error @ params[2].T) * (1 - hidden**2)
        gradients = [x.T @ below, below.sum(0), hidden.T @ error, error.sum(0)]
        params = [p - rate * g for p, g in zip(params, gradients, strict=True)]
        curve.append(score())
    return curve


def test_the_adaptation_curve_is_minus_the_query_error(key):
    """Of each task, against numpy; and it is what an update reports the mean of."""
    learner = maml(SINUSOIDS, inner_optimizer=optax.sgd(0.05))
    meta_params = learner.init(key).meta_params
    both = jm.adaptation_curves(key, learner, meta_params, SINUSOIDS, num_tasks=3)
    np.testing.assert_array_equal(*both)
    for one, row in zip(jax.random.split(key, 3), both[0], strict=True):
        key_task, key_collect, _ = jax.random.split(one, 3)
        task = SINUSOIDS.sample(key_task)
        experience = learner.collect(key_collect, meta_params, task)
        np.testing.assert_allclose(
            row, numpy_curve(meta_params, experience, 0.05), rtol=1e-4
        )


def test_an_update_reports_mean_scores_and_counts_examples(key):
    """The loss after each inner update is that of the query, as the scores are."""
    learner = maml(
        SINUSOIDS,
        inner_optimizer=optax.sgd(0.05),
        outer_loss_weights=(0.25, 0.75),
        task_batch_size=2,
    )
    state = learner.init(key)
    _, info = jax.jit(learner.update)(key, state)
    key_tasks, key_collect, _ = jax.random.split(key, 3)
    tasks = jax.vmap(SINUSOIDS.sample)(jax.random.split(key_tasks, 3))
    keys = jax.random.split(key_collect, 3)
    collect = jax.vmap(learner.collect, in_axes=(0, None, 0))
    experience = collect(keys, state.meta_params, tasks)._replace(keys=None)
    each = [jax.tree.map(lambda leaf, m=m: leaf[m], experience) for m in range(3)]
    curves = [numpy_curve(state.meta_params, one, 0.05) for one in each]
    np.testing.assert_allclose(info["returns"], np.mean(curves, 0), rtol=1e-4)
    want = -(0.25 * info["returns"][1] + 0.75 * info["returns"][2])
    np.testing.assert_allclose(info["meta_loss"], want, rtol=1e-5)
    assert int(info["environment_steps"]) == 3 * 2 * 5


def test_without_updates_there_is_nothing_but_the_start(key):
    learner = maml(SINUSOIDS, num_updates=0)
    _, info = jax.jit(learner.update)(key, learner.init(key))
    assert info["returns"].shape == (1,)
    assert int(info["environment_steps"]) == 3 * 2 * 5


def as_float64(tree):
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf,
        tree,
    )


@pytest.mark.parametrize("tasks", [SINUSOIDS, CLUSTERS], ids=["Box", "Discrete"])
def test_the_meta_gradient_equals_central_differences(tasks, key):
    """K = 2, in float64; the first-order one must differ."""
    learner = maml(tasks, hidden=(4,))
    first_order = maml(tasks, hidden=(4,), estimator="first_order")
    loss = jm.losses.default_supervised(tasks.environment, learner.policy, None)
    assert loss is not None
    meta_params = learner.init(key).meta_params
    experience = learner.collect(key, meta_params, tasks.sample(key))
    with jax.enable_x64(True):
        meta_params, experience = as_float64((meta_params, experience))
        flat, unravel = jax.flatten_util.ravel_pytree(meta_params)

        def value(x, learner=learner):
            return loss(learner.adapt(unravel(x), experience)[0], experience.query)[0]

        # Of fourth order; one evaluation a turn, as compilation is what takes time.
        steps = 1e-5 * jnp.array([1.0, -1.0, 2.0, -2.0])
        directions = steps[:, None, None] * jnp.eye(flat.size)[None]
        points = (flat[None] + directions.reshape(-1, flat.size)).reshape(-1, flat.size)
        values = jax.jit(lambda: jax.lax.map(value, points))().reshape(4, -1)
        numeric = jnp.array([8.0, -8.0, -1.0, 1.0]) @ values / 12e-5
        exact = jax.jit(jax.grad(value))(flat)
        approximate = jax.jit(jax.grad(lambda x: value(x, first_order)))(flat)
    scale = np.linalg.norm(numeric)
    assert np.linalg.norm(exact - numeric) / scale < 1e-6
    assert np.linalg.norm(approximate - numeric) / scale > 1e-2


# Learning.


@pytest.mark.slow
def test_maml_learns_sinusoids(key):
    """A mean-predictor's error is 3.1; after one step from ten examples, below 1.3."""
    learner = maml(
        SINUSOIDS,
        hidden=(40, 40),
        activation=jax.nn.relu,
        inner_optimizer=optax.sgd(0.01),
        outer_optimizer=optax.adam(2e-3),
        num_tasks=25,
        num_updates=1,
        num_episodes=10,
        task_batch_size=25,
    )
    key_init, key_train, key_test = jax.random.split(key, 3)
    state = learner.init(key_init)
    state, _ = jax.jit(lambda s: jm.train(key_train, learner, s, 800))(state)
    curve = jm.adaptation_curve(
        key_test,
        learner,
        state.meta_params,
        SINUSOIDS,
        num_tasks=1_000,
        task_batch_size=1_000,
    ).mean(0)
    assert curve[0] < -2.5
    assert curve[1] > -1.3


def test_maml_learns_to_tell_which_class_is_which(key):
    learner = maml(
        CLUSTERS,
        hidden=(16,),
        inner_optimizer=optax.sgd(1.0),
        outer_optimizer=optax.adam(2e-2),
        num_tasks=10,
        num_updates=1,
        task_batch_size=10,
    )
    state = learner.init(key)
    state, _ = jax.jit(lambda s: jm.train(key, learner, s, 150))(state)
    options = {"num_tasks": 300, "task_batch_size": 300}
    curve = jm.adaptation_curve(key, learner, state.meta_params, CLUSTERS, **options)
    assert np.all((curve >= 0) & (curve <= 1))
    assert curve[:, 0].mean() < 0.5  # of three classes that the input does not tell
    assert curve[:, -1].mean() > 0.85
