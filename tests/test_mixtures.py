"""Tasks of several environments behind one interface."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.distributions import Categorical
from jaxmeta.tasks import from_gymnax, mixture, uniform

CARTPOLE = from_gymnax(
    "CartPole-v1", horizon=12, params={"gravity": uniform(5, 15)}
)  # 4 numbers, 2 actions
CAR = from_gymnax(
    "MountainCar-v0", horizon=7, params={"force": uniform(0.001, 0.003)}
)  # 2 numbers, 3 actions
GRID = jm.tasks.gridnavi()  # 2 numbers, 5 actions
DOMAINS = {"pole": CARTPOLE, "car": CAR, "grid": GRID}
WIDTH, NUM_ACTIONS = 4, 5
PENDULUM = from_gymnax("Pendulum-v1", horizon=6)  # 3 numbers, actions [1] within 2
NAVIGATION = jm.tasks.navigation2d(horizon=6)  # 2 numbers, actions [2]


def only(name, domains=DOMAINS, **options):
    """The mixture of one domain that keeps the interface of all."""
    weights = {other: float(other == name) for other in domains}
    return mixture(domains, weights=weights, **options)


def play(environment, task, key, actions):
    """Every observation, reward and end that such actions meet."""
    key_reset, key_steps = jax.random.split(key)
    state, first = environment.reset(key_reset, task)

    def step(state, inputs):
        action, key = inputs
        result = environment.step(key, state, action, task)
        return result.state, result._replace(state=())

    keys = jax.random.split(key_steps, len(actions))
    return first, jax.lax.scan(step, state, (actions, keys))[1]


def random_actions(space, key, length=20):
    return jax.vmap(space.sample)(jax.random.split(key, length))


def assert_same(found, expected, width, *, tolerance=0.0):
    """But for what follows an observation."""
    (first, steps), (same_first, same_steps) = found, expected
    pairs = [
        (first, same_first),
        (steps.observation, same_steps.observation),
        (steps.next_observation, same_steps.next_observation),
    ]
    for ours, theirs in pairs:
        theirs = theirs.reshape(*theirs.shape[: ours.ndim - 1], -1)
        ours_alone = ours[..., : theirs.shape[-1]]
        np.testing.assert_allclose(ours_alone, theirs, rtol=0, atol=tolerance)
        assert not np.any(ours[..., theirs.shape[-1] : width])
    rewards = steps.reward, same_steps.reward
    np.testing.assert_allclose(*rewards, rtol=0, atol=10 * tolerance)
    for name in ("terminated", "truncated"):
        np.testing.assert_array_equal(getattr(steps, name), getattr(same_steps, name))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_mixture_of_one_domain_is_that_domain_to_the_bit(name, key):
    """Operation by operation, as compilers round what they fuse as they like."""
    alone = DOMAINS[name]
    tasks = mixture([alone])
    num_actions = alone.environment.action.n
    width = alone.environment.observation.size
    assert tasks.environment.observation.shape == (width + 1 + num_actions,)
    assert tasks.environment.horizon == alone.environment.horizon
    task = tasks.sample(key)
    actions = random_actions(alone.environment.action, key, alone.environment.horizon)
    with jax.disable_jit():
        found = play(tasks.environment, task, key, actions)
        expected = play(alone.environment, task.components[0], key, actions)
    assert np.sum(found[1].terminated | found[1].truncated) >= 1
    assert_same(found, expected, width)
    np.testing.assert_array_equal(found[0][width:], np.ones(1 + num_actions))


def test_every_task_steps_its_own_environment_over_resets(key):
    """Mapped over tasks of all domains, beside each environment by itself."""
    tasks = mixture(DOMAINS)
    assert tasks.environment.horizon == 15
    keys = jax.random.split(key, 30)
    drawn = jax.vmap(tasks.sample)(keys)
    # Valid ones of the domain, different from task to task.
    counts = jnp.asarray([one.environment.action.n for one in DOMAINS.values()])
    actions = jax.random.randint(key, (30, 20), 0, 1000) % counts[drawn.domain][:, None]
    act = jax.jit(jax.vmap(lambda *a: play(tasks.environment, *a)))
    found = act(drawn, keys, actions)
    for index, one in enumerate(DOMAINS.values()):
        rows = np.flatnonzero(drawn.domain == index)
        assert len(rows) >= 3
        of_domain = jm.trees.at(drawn.components[index], rows)
        alone = jax.jit(jax.vmap(lambda *a, e=one.environment: play(e, *a)))
        expected = alone(of_domain, keys[rows], actions[rows])
        assert np.sum(expected[1].terminated | expected[1].truncated) >= len(rows)
        assert_same(jm.trees.at(found, rows), expected, WIDTH, tolerance=1e-5)
        valid = np.arange(NUM_ACTIONS) < counts[index]
        suffix = np.concatenate([np.eye(3)[index], valid])
        for seen in (found[1].observation, found[1].next_observation):
            np.testing.assert_array_equal(
                seen[rows][..., WIDTH:], np.broadcast_to(suffix, (len(rows), 20, 8))
            )
    # The tasks of a domain are those of its distribution: they differ.
    assert len(np.unique(of_domain.params.goal, axis=0)) > 1


def test_what_is_not_of_the_domain_is_the_same_for_all_tasks(key):
    """So that a held-out split sees that two tasks are the same."""
    drawn = jax.vmap(mixture(DOMAINS).sample)(jax.random.split(key, 200))
    gravity = np.asarray(drawn.components[0].params.gravity)
    assert len(np.unique(gravity[drawn.domain != 0])) == 1
    assert len(np.unique(gravity[drawn.domain == 0])) == np.sum(drawn.domain == 0)
    two = from_gymnax(
        jm.environments.MatchProbe(), params={"bit": jm.tasks.choice([0, 1])}
    )
    with pytest.raises(ValueError, match="too few distinct tasks"):
        jm.tasks.finite(key, mixture([two, two]), num_train=20, num_test=20)


def test_weights_are_respected(key):
    keys = jax.random.split(key, 20_000)

    def shares(tasks):
        return np.bincount(jax.vmap(tasks.sample)(keys).domain, minlength=3) / 20_000

    error = 5 * 0.5 / 20_000**0.5
    np.testing.assert_allclose(shares(mixture(DOMAINS)), 1 / 3, atol=error)
    weights = {"car": 3, "grid": 1, "pole": 0}
    found = shares(mixture(DOMAINS, weights=weights))
    np.testing.assert_allclose(found, [0, 0.75, 0.25], atol=error)
    assert found[0] == 0
    found = shares(mixture(list(DOMAINS.values()), weights=[0, 0, 2]))
    np.testing.assert_array_equal(found, [0, 0, 1])


def test_the_domain_is_told_unless_it_is_not(key):
    tasks = mixture(DOMAINS, tell_domain=False)
    assert tasks.environment.observation.shape == (WIDTH + NUM_ACTIONS,)
    task = only("car", tell_domain=False).sample(key)
    _, observation = tasks.environment.reset(key, task)
    np.testing.assert_array_equal(observation[WIDTH:], [1, 1, 1, 0, 0])


def test_rewards_are_scaled_by_domain(key):
    tasks = only("car", reward_scales={"pole": 1.0, "car": 0.25, "grid": 3.0})
    actions = jnp.zeros(5, jnp.int32)
    _, steps = play(tasks.environment, tasks.sample(key), key, actions)
    np.testing.assert_array_equal(steps.reward, np.full(5, -0.25))


def test_an_invalid_action_does_what_the_last_valid_one_does(key):
    """Cart-pole alone would push the harder the larger the action is."""
    tasks = only("pole")
    task = tasks.sample(key)
    last, beyond = (jnp.full(10, action, jnp.int32) for action in (1, 4))
    found = play(tasks.environment, task, key, beyond)
    expected = play(tasks.environment, task, key, last)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("make", [jm.policies.mlp, jm.policies.recurrent])
def test_invalid_actions_have_no_probability(make, key):
    tasks = mixture(DOMAINS)
    environment = tasks.environment
    plain = make(environment, hidden=(8,))
    policy = jm.policies.masked(plain, environment)
    params = policy.init(key)
    for name, count in (("pole", 2), ("car", 3), ("grid", 5)):
        distribution = only(name)
        start = jm.rollouts.start(key, environment, policy, distribution.sample(key))
        found, _ = policy.apply(params, start.carry, start.timestep)
        raw, _ = plain.apply(params, start.carry, start.timestep)
        log_probs = jax.vmap(found.distribution.log_prob)(jnp.arange(5))
        np.testing.assert_array_equal(jnp.exp(log_probs[count:]), 0.0)
        alone = Categorical(raw.distribution.logits[:count])
        expected = jax.vmap(alone.log_prob)(jnp.arange(count))
        np.testing.assert_allclose(log_probs[:count], expected, rtol=1e-6)
        np.testing.assert_allclose(
            found.distribution.entropy(), alone.entropy(), rtol=1e-6
        )
        np.testing.assert_allclose(found.distribution.kl(found.distribution), 0.0)
        drawn = jax.vmap(found.distribution.sample)(jax.random.split(key, 500))
        assert np.unique(drawn).tolist() == list(range(count))


def test_a_sequence_is_masked_as_its_steps_are(key):
    tasks = only("car")
    environment = tasks.environment
    policy = jm.policies.masked(jm.policies.recurrent(environment), environment)
    params, task = policy.init(key), tasks.sample(key)
    start = jm.rollouts.start(key, environment, policy, task)
    seen, _ = jm.rollouts.rollout(
        key, environment, policy, params, task, start, length=12
    )
    outputs, _ = jm.rollouts.unroll(policy, params, seen, next_values=False)
    np.testing.assert_allclose(
        outputs.distribution.log_prob(seen.action),
        seen.distribution.log_prob(seen.action),
        atol=1e-5,
    )
    lowest = np.finfo(np.float32).min
    np.testing.assert_array_equal(outputs.distribution.logits[:, 3:], lowest)


def test_a_mask_is_found_where_an_observation_goes_on(key):
    """Behind an oracle's description, and in a mixture of mixtures."""
    inner = only("car")
    told = jm.tasks.told(inner, lambda task: task.components[1].params.force)
    state, observation = told.environment.reset(key, told.sample(key))
    del state
    valid = told.environment.action.valid(observation)
    np.testing.assert_array_equal(valid, [1, 1, 1, 0, 0])
    outer = mixture({"inner": inner, "grid": GRID}, weights={"inner": 1, "grid": 0})
    _, observation = outer.environment.reset(key, outer.sample(key))
    valid = outer.environment.action.valid(observation)
    np.testing.assert_array_equal(valid, [1, 1, 1, 0, 0])


def test_a_meta_gradient_through_masked_adaptation_is_finite(key):
    tasks = mixture(DOMAINS)
    policy = jm.policies.masked(
        jm.policies.mlp(tasks.environment, hidden=(4,)), tasks.environment
    )
    learner = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.sgd(1.0),
        num_tasks=6,
        num_updates=1,
        num_episodes=2,
    )
    state = learner.init(key)
    after, info = jax.jit(learner.update)(key, state)
    assert info["returns"].shape == (2,)
    for new, old in zip(
        *map(jax.tree.leaves, (after.meta_params, state.meta_params)), strict=True
    ):
        assert np.all(np.isfinite(new))
        assert np.any(new != old)
    # What was learned on all domains acts in one of them, whose interface is the same.
    curve = jm.adaptation_curve(
        key, learner, after.meta_params, only("pole"), num_tasks=3
    )
    assert curve.shape == (3, 2)
    assert np.all((curve >= 1) & (curve <= 12))


def test_continuous_actions_are_padded_and_passed_on(key):
    domains = {"pendulum": PENDULUM, "navigation": NAVIGATION}
    tasks = mixture(domains)
    space = tasks.environment.action
    assert space.shape == (2,)
    low = np.asarray(NAVIGATION.environment.action.low)
    first = min(-2.0, np.broadcast_to(low, (2,))[0])
    np.testing.assert_allclose(space.low, [first, np.broadcast_to(low, (2,))[1]])
    assert tasks.environment.observation.shape == (3 + 2,)
    actions = random_actions(space, key)
    for index, (name, one) in enumerate(domains.items()):
        task = only(name, domains).sample(key)
        found = play(tasks.environment, task, key, actions)
        kept = actions[:, : one.environment.action.shape[0]]
        expected = play(one.environment, task.components[index], key, kept)
        assert_same(found, expected, 3, tolerance=1e-5)
    policy = jm.policies.mlp(tasks.environment)
    with pytest.raises(ValueError, match=r"are Box.*, which has no mask"):
        jm.policies.masked(policy, tasks.environment)


@pytest.mark.parametrize(
    ("components", "options", "error", "message"),
    [
        ({}, {}, ValueError, "components must not be empty"),
        (CARTPOLE, {}, TypeError, "components must be a mapping .* got TaskDistrib"),
        ("ab", {}, TypeError, r"components\['0'\] must be a task distribution, .*str"),
        (
            {"a": CARTPOLE, "b": PENDULUM},
            {},
            ValueError,
            r"all have discrete .* got a: Discrete\(2.*b: Box",
        ),
        (
            {"a": jm.tasks.sinusoids()},
            {},
            ValueError,
            r"components\['a'\]: sinusoid.* is a Dataset",
        ),
        (DOMAINS, {"weights": [1, 2]}, ValueError, "weights must be 3 numbers, .*2"),
        (DOMAINS, {"weights": [0, 0, 0]}, ValueError, "weights must not all be zero"),
        (
            DOMAINS,
            {"weights": [1, float("nan"), 1]},
            ValueError,
            r"weights\['car'\] must be finite and at least 0, got nan",
        ),
        (DOMAINS, {"weights": [1, -1, 1]}, ValueError, r"weights\['car'\].*got -1"),
        (DOMAINS, {"weights": 1.0}, TypeError, "weights must be a mapping of names"),
        (
            DOMAINS,
            {"weights": {"pole": 1.0}},
            ValueError,
            r"a number for each of \['pole', 'car', 'grid'\], got those of \['pole'\]",
        ),
        (
            DOMAINS,
            {"reward_scales": [1, 0, 1]},
            ValueError,
            r"reward_scales\['car'\] must be positive and finite, got 0",
        ),
    ],
)
def test_bad_input_is_named(components, options, error, message):
    with pytest.raises(error, match=message):
        mixture(components, **options)


def test_masked_refuses_what_it_cannot_mask():
    policy = jm.policies.mlp(CARTPOLE.environment)
    with pytest.raises(ValueError, match=r"CartPole-v1 are Discrete\(2.* has no mask"):
        jm.policies.masked(policy, CARTPOLE.environment)
    with pytest.raises(ValueError, match="policy: it cannot act in mixture of pole"):
        jm.policies.masked(policy, mixture(DOMAINS).environment)
