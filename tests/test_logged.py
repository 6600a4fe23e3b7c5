"""Adaptation to data from outside is that to what the learner acted itself."""

import jax
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.environments import MatchProbe

K, N = 2, 3


def made(tasks, **options):
    return jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=(4,)),
        inner_optimizer=optax.sgd(0.5),
        outer_optimizer=optax.sgd(1.0),
        num_tasks=1,
        num_updates=K,
        num_episodes=N,
        **options,
    )


def navigation():
    return jm.tasks.navigation2d(horizon=5)


def matching():
    return jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})


def flat(support):
    """As D4RL would have it: every row is one episode here."""

    def joined(leaf):
        return np.asarray(leaf).reshape(-1, *leaf.shape[3:])

    return {
        "observations": joined(support.timestep.observation),
        "actions": joined(support.action),
        "rewards": joined(support.reward),
        "terminals": joined(support.terminated),
        "timeouts": joined(support.truncated),
        "next_observations": joined(support.next_observation),
    }


def episodes(data):
    """As Minari would."""
    ends = np.flatnonzero(data["terminals"] | data["timeouts"]) + 1
    found = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        part = {name: values[start:end] for name, values in data.items()}
        found.append(
            {
                "observations": np.concatenate(
                    [part["observations"], part["next_observations"][-1:]]
                ),
                "actions": part["actions"],
                "rewards": part["rewards"],
                "terminations": part["terminals"],
                "truncations": part["timeouts"],
            }
        )
    return found


@pytest.fixture(scope="module")
def acted():
    """A learner, its meta-params, what it acted in one task, and that as arrays."""
    tasks = navigation()
    learner = made(tasks)
    key = jax.random.key(0)
    meta_params = learner.init(key).meta_params
    experience = jax.jit(learner.collect)(key, meta_params, tasks.sample(key))
    return learner, meta_params, experience, flat(experience.support)


@pytest.mark.parametrize("form", [dict, episodes])
def test_what_was_acted_comes_back_as_it_was(form, acted, key):
    learner, meta_params, experience, data = acted
    found = jm.logged_experience(
        key, learner, meta_params, form(data), within_bounds=False
    )
    assert found.query is None
    for got, want in zip(
        jax.tree.leaves(found.support), jax.tree.leaves(experience.support), strict=True
    ):
        assert got.dtype == want.dtype
        # The last observation of a row is that before the reset in both.
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    ours, theirs = (learner.adapt(meta_params, e)[0] for e in (found, experience))
    for got, want in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_data_frame_of_columns_is_a_mapping(acted, key):
    learner, meta_params, _, data = acted

    class Frame:
        """What is used of one."""

        def keys(self):
            return data.keys()

        def __contains__(self, name):
            return name in data

        def __getitem__(self, name):
            return list(data[name])

    found = jm.logged_experience(
        key, learner, meta_params, Frame(), within_bounds=False
    )
    assert found.support.reward.shape == (K, N, 5)


def test_short_episodes_are_followed_by_the_next(key):
    """As in acting; what happened last is whose turn it is not."""
    tasks = matching()
    learner = made(tasks)
    meta_params = learner.init(key).meta_params
    lengths = [1, 3, 2, 4]
    data = {
        "observations": np.arange(10.0)[:, None]
        * np.ones(tasks.environment.observation.shape),
        "actions": np.arange(10) % 2,
        "rewards": np.arange(10.0),
        "terminals": np.isin(np.arange(10), np.cumsum(lengths) - 1),
    }
    found = jm.logged_experience(key, learner, meta_params, data, length=4).support
    np.testing.assert_array_equal(
        found.reward,
        [[[0, 1, 2, 3], [1, 2, 3, 4]], [[4, 5, 6, 7], [6, 7, 8, 9]]],
    )
    first = found.timestep.is_first[0]
    np.testing.assert_array_equal(first, [[1, 1, 0, 0], [1, 0, 0, 1]])
    np.testing.assert_array_equal(found.timestep.previous_action[0, 0], [-1, 0, 1, 0])
    np.testing.assert_array_equal(found.terminated[0, 0], [1, 0, 0, 1])


def without(data, name):
    return {k: v for k, v in data.items() if k != name}


def changed(name, change):
    def change_data(data):
        return {**data, name: change(data[name])}

    return change_data


def with_times(data):
    return {**data, "times": np.arange(len(data["rewards"]))[::-1]}


def with_nan(values):
    values = values.copy()
    values[7] = np.nan
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: without(data, "actions"), "data lacks actions; it holds obser"),
        (lambda data: without(data, "terminals"), "lacks terminals or terminations"),
        (changed("rewards", lambda x: x[:-1]), "rewards are of 29 steps, observations"),
        (
            changed("observations", lambda x: x[:, :1]),
            r"observations of Navigation2D have shape \[2\] a step, got \[1\]",
        ),
        (changed("actions", lambda x: 90 * x), r"lie in .*; give them in its units"),
        (changed("rewards", with_nan), "episode 1: rewards are not all finite"),
        (changed("terminals", lambda x: x + 0.5), "terminals must be zero or one"),
        (with_times, "episode 0: times must go up within an episode"),
        (lambda data: {k: v[:5] for k, v in data.items()}, "1 episodes are too few"),
        (lambda data: {k: v[:0] for k, v in data.items()}, "data holds no step"),
        (lambda data: [], "data holds no episode"),
        (
            lambda data: [without(one, "rewards") for one in episodes(data)],
            "episode 0 lacks rewards",
        ),
        (lambda data: [data], "episode 0 ends 6 times"),
    ],
)
def test_data_that_cannot_be_used_is_named(change, message, acted, key):
    learner, meta_params, _, data = acted
    within = {**data, "actions": np.clip(data["actions"], -1, 1)}
    with pytest.raises(ValueError, match=message):
        jm.logged_experience(key, learner, meta_params, change(within))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0.0, 1.0, 0.0]), "are numbered, got float64; convert them"),
        (np.array([0, 2, 1]), "actions of MatchProbe are 0 to 1, got 2 to 2"),
    ],
)
def test_actions_must_be_those_of_the_environment(actions, message, key):
    tasks = matching()
    learner = made(tasks)
    data = {
        "observations": np.zeros((3, *tasks.environment.observation.shape)),
        "actions": actions,
        "rewards": np.zeros(3),
        "terminals": np.ones(3),
    }
    with pytest.raises(ValueError, match=message):
        jm.logged_experience(key, learner, learner.init(key).meta_params, data)


def test_learners_that_do_not_adapt_by_updates_are_refused(key):
    tasks = matching()
    policy = jm.policies.recurrent(tasks.environment, core=jm.policies.gru(3))
    rl2 = jm.rl2(tasks, policy, outer_optimizer=optax.sgd(1.0), num_tasks=4)
    with pytest.raises(ValueError, match="it has no inner updates"):
        jm.logged_experience(key, rl2, rl2.init(key).meta_params, [])
    learner = made(tasks)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        jm.logged_experience(key, learner, None, [], length=0)
    with pytest.raises(TypeError, match="must be a mapping of arrays by name"):
        jm.logged_experience(key, learner, learner.init(key).meta_params, 3)
