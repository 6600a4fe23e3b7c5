"""Tasks of several environments behind one interface."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta.distributions import Categorical
from jaxmeta.evaluation import check_fit
from jaxmeta.recipes import control
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


def test_a_mixture_of_one_domain_is_that_domain_to_the_bit(key):
    """Operation by operation, as compilers round what they fuse as they like."""
    alone = CARTPOLE
    tasks = mixture([alone])
    assert tasks.environment.observation.shape == (4 + 1 + 2,)
    assert tasks.environment.horizon == 12
    task = tasks.sample(key)
    actions = random_actions(alone.environment.action, key, 13)
    with jax.disable_jit():
        found = play(tasks.environment, task, key, actions)
        expected = play(alone.environment, task.components[0], key, actions)
    assert np.sum(found[1].terminated | found[1].truncated) >= 1
    assert_same(found, expected, 4)
    np.testing.assert_array_equal(found[0][4:], np.ones(3))


def test_every_task_steps_its_own_environment_over_resets(key):
    """Mapped over tasks of all domains, beside each environment by itself."""
    tasks = mixture(DOMAINS)
    assert tasks.environment.horizon == 15
    keys = jax.random.split(key, 30)
    drawn = jax.jit(jax.vmap(tasks.sample))(keys)
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
    sample = jax.jit(jax.vmap(mixture(DOMAINS).sample))
    drawn = sample(jax.random.split(key, 200))
    gravity = np.asarray(drawn.components[0].params.gravity)
    assert len(np.unique(gravity[drawn.domain != 0])) == 1
    assert len(np.unique(gravity[drawn.domain == 0])) == np.sum(drawn.domain == 0)


def test_weights_are_respected(key):
    keys = jax.random.split(key, 20_000)

    def shares(tasks):
        drawn = jax.jit(jax.vmap(lambda key: tasks.sample(key).domain))(keys)
        return np.bincount(drawn, minlength=3) / 20_000

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


def test_an_invalid_action_does_what_the_last_valid_one_does(key):
    """Cart-pole alone would push the harder the larger the action is."""
    tasks = only("pole", reward_scales={"pole": 0.25, "car": 1.0, "grid": 3.0})
    task = tasks.sample(key)
    actions = jnp.asarray([[1] * 8, [4] * 8, [0] * 8], jnp.int32)
    run = jax.vmap(lambda row: play(tasks.environment, task, key, row)[1])
    last, beyond, other = (jm.trees.at(run(actions), row) for row in range(3))
    jax.tree.map(np.testing.assert_array_equal, last, beyond)
    assert np.any(last.observation != other.observation)
    np.testing.assert_array_equal(last.reward, np.full(8, 0.25))


def test_invalid_actions_have_no_probability(key):
    environment = mixture(DOMAINS).environment
    plain = jm.policies.mlp(environment, hidden=(8,))
    policy = jm.policies.masked(plain, environment)
    params = policy.init(key)
    for index, count in enumerate((2, 3, 5)):
        seen = jnp.concatenate(
            [jnp.arange(4.0), jnp.eye(3)[index], jnp.arange(5.0) < count]
        )
        timestep = jm.policies.first_timestep(environment)._replace(observation=seen)
        found, _ = policy.apply(params, (), timestep)
        raw, _ = plain.apply(params, (), timestep)
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
    environment = mixture(DOMAINS).environment
    policy = jm.policies.masked(jm.policies.recurrent(environment), environment)
    params, carry, steps = policy.init(key), policy.initial_carry(), []
    timesteps = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (3, *leaf.shape)),
        jm.policies.first_timestep(environment),
    )
    valid = jnp.tri(5, dtype=bool)[jnp.asarray([1, 2, 4])]
    seen = timesteps.observation.at[:, 7:].set(valid)
    timesteps = timesteps._replace(observation=seen)
    for step in range(3):
        output, carry = policy.apply(params, carry, jm.trees.at(timesteps, step))
        steps.append(output.distribution.logits)
    found = policy.sequence(params, timesteps).distribution.logits
    np.testing.assert_allclose(found, jnp.stack(steps), atol=1e-5)
    np.testing.assert_array_equal(found == np.finfo(np.float32).min, ~valid)


def test_derivatives_of_masked_logits_are_finite_and_zero():
    """First and second ones, of all that losses and trust regions are made of."""
    space = mixture(DOMAINS).environment.action
    seen = jnp.zeros(12).at[7:10].set(1.0)

    def numbers(logits):
        lowest = jnp.finfo(logits.dtype).min
        masked = Categorical(jnp.where(space.valid(seen), logits, lowest))
        fixed = Categorical(jax.lax.stop_gradient(0.5 * masked.logits))
        log_prob = masked.log_prob(jnp.int32(1))
        return log_prob + masked.entropy() + masked.kl(fixed) + fixed.kl(masked)

    logits = jnp.arange(5.0)
    slope, curvature = jax.grad(numbers)(logits), jax.hessian(numbers)(logits)
    assert np.all(np.isfinite(slope))
    assert np.all(np.isfinite(curvature))
    assert np.all(slope[:3] != 0)
    assert not np.any(slope[3:])
    assert not np.any(curvature[3:])
    assert np.all(np.diag(curvature)[:3] != 0)


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


@pytest.mark.slow
def test_a_meta_gradient_through_masked_adaptation_is_finite(key):
    domains = {"pole": CARTPOLE, "car": CAR}
    tasks = mixture(domains)
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
    # What was learned on all domains acts in one of them: the interface is the same.
    check_fit(learner.environment, only("pole", domains).environment)


def test_continuous_actions_are_padded_and_passed_on(key):
    domains = {"pendulum": PENDULUM, "navigation": NAVIGATION}
    tasks = mixture(domains)
    space = tasks.environment.action
    assert space.shape == (2,)
    low = np.asarray(NAVIGATION.environment.action.low)
    first = min(-2.0, np.broadcast_to(low, (2,))[0])
    np.testing.assert_allclose(space.low, [first, np.broadcast_to(low, (2,))[1]])
    assert tasks.environment.observation.shape == (3 + 2,)
    action = space.sample(key)
    for index, (name, one) in enumerate(domains.items()):
        task = only(name, domains).sample(key)
        state, observation = tasks.environment.reset(key, task)
        alone = task.components[index]
        same, expected = one.environment.reset(key, alone)
        size = expected.size
        np.testing.assert_allclose(observation[:size], expected, rtol=1e-6)
        np.testing.assert_array_equal(observation[size:3], np.zeros(3 - size))
        np.testing.assert_array_equal(observation[3:], np.eye(2)[index])
        result = tasks.environment.step(key, state, action, task)
        kept = action[: one.environment.action.shape[0]]
        expected = one.environment.step(key, same, kept, alone)
        np.testing.assert_allclose(result.reward, expected.reward, rtol=1e-5)
        np.testing.assert_allclose(
            result.observation[:size], expected.observation, rtol=1e-5
        )
    policy = jm.policies.mlp(tasks.environment)
    with pytest.raises(ValueError, match=r"are Box.*, which has no mask"):
        jm.policies.masked(policy, tasks.environment)


@pytest.mark.parametrize(
    ("components", "options", "error", "message"),
    [
        ({}, {}, ValueError, "components must map names .* got none"),
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
    with pytest.raises(
        ValueError, match="policy: it cannot act in mixture of CartPole"
    ):
        jm.policies.masked(policy, mixture(DOMAINS).environment)


def test_the_recipe_takes_one_domain_with_the_interface_of_all(key):
    everything, one = control.mixed(), control.mixed("acrobot")
    check_fit(everything.environment, one.environment)
    assert everything.environment.horizon == 150
    task = one.sample(key)
    assert int(task.domain) == 1
    torques = np.asarray(task.components[1].params.available_torque)
    assert 1 <= abs(torques[0]) <= 3
    np.testing.assert_array_equal(torques, [torques[0], 0, -torques[0]])
    with pytest.raises(
        ValueError, match=r"domain must be one of .* Did you mean 'cart"
    ):
        control.build(domain="cartpole")
