"""Meta-gradients of agents that live on: exact, and reaching what they should."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, hyperparameters, inner, losses, policies
from jaxmeta.environments import MatchProbe

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=(6,), critic=True)
NUMBERS = {
    "discount": hyperparameters.interval(0.9, 0.5, 1.0),
    "trace_decay": hyperparameters.interval(0.8, 0.0, 1.0),
    "entropy": hyperparameters.positive(0.05),
    "rate": hyperparameters.positive(0.3),
}


def actor_critic(values):
    advantage = advantages.value_baseline(
        discount=values["discount"], trace_decay=values["trace_decay"]
    )
    return losses.policy_gradient(
        POLICY, advantage, entropy_coefficient=values["entropy"]
    )


def made(**options):
    settings = {
        "hyperparameters": NUMBERS,
        "inner_loss": actor_critic,
        "inner_optimizer": lambda values: optax.sgd(values["rate"]),
        "outer_optimizer": optax.adam(1e-2),
        "num_lifetimes": 3,
        "num_environments": 2,
        "length": 7,
        "num_updates": 2,
    }
    return jm.metagradient(TASKS, POLICY, **{**settings, **options})


def whole_episodes(advantage):
    """Where batches are whole episodes, as all are of the same length."""
    return advantage._replace(needs_complete_episodes=False)


# The same params, without a critic.
BLIND = POLICY._replace(apply=lambda p, c, t: blind(*POLICY.apply(p, c, t)))


def blind(output, carry):
    return output._replace(value=None), carry


VARIANTS = {
    "three updates": {"num_updates": 3},
    "outer critic": {"critic_optimizer": optax.sgd(0.1), "outer_discount": 0.97},
    "bootstrapped": {"target_optimizer": optax.sgd(0.5), "num_target_updates": 2},
    "adam": {
        "inner_optimizer": lambda v: jm.optimizers.adam(0.1 * v["rate"]),
        "num_updates": 3,
    },
    "linear baseline": {
        "inner_loss": lambda v: losses.policy_gradient(
            BLIND,
            whole_episodes(
                advantages.linear_baseline(discount=v["discount"], normalize=True)
            ),
            entropy_coefficient=v["entropy"] * v["trace_decay"],
        ),
        "length": 5,
    },
    "clipped": {
        "inner_loss": lambda v: losses.clipped_surrogate(
            POLICY,
            advantages.value_baseline(
                discount=v["discount"], trace_decay=v["trace_decay"], normalize=True
            ),
            entropy_coefficient=v["entropy"],
        )
    },
}


LONG = {"adam", "clipped", "linear baseline", "three updates"}  # left to the long run
OUTER = losses.policy_gradient(
    POLICY,
    advantages.value_baseline(discount=0.99, trace_decay=0.95),
    value_coefficient=0.0,
)


def outer_gradient(variant, path, query):
    """Of what the meta-objective says of the params after ``K`` updates, by hand.

    Advantages and targets are no part of it: they hold still.
    """
    if variant != "bootstrapped":
        return jax.grad(lambda p: OUTER(p, query)[0])(jm.trees.at(path, -1))
    last = jm.trees.at(path, -1)
    step = jax.grad(lambda p: OUTER(p, query)[0])(last)
    target = jax.tree.map(lambda p, g: p - 0.5 * g, last, step)

    def logits(params):
        def of_one(timestep):
            return POLICY.apply(params, (), timestep)[0].distribution.logits

        return jax.nn.log_softmax(jax.vmap(jax.vmap(of_one))(query.timestep))

    def divergence(params):
        aim, found = logits(target), logits(params)
        return jnp.mean(jnp.sum(jnp.exp(aim) * (aim - found), axis=-1))

    return jax.grad(divergence)(jm.trees.at(path, -2))


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
        for name in VARIANTS
    ],
)
def test_the_meta_gradient_is_that_of_central_differences(variant):
    """By discount, lambda, entropy cost and rate, through one update and more.

    The values that advantages of inner updates are made of depend on the updates
    before, and so on the numbers: cut there, all but one update would fail.
    """
    with jax.enable_x64(True):
        learner = made(**VARIANTS[variant])
        key_collect = jax.random.key(3)
        meta_params = hyperparameters.init(NUMBERS)
        experience = jax.jit(learner.collect)(
            key_collect, meta_params, TASKS.sample(jax.random.key(1))
        )
        experience = jax.tree.map(
            lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, experience
        )

        def path(reals):
            named = dict(zip(NUMBERS, reals, strict=True))
            return jm.adaptation.adaptation_path(
                named, experience, inner=learner.inner
            )[0]

        reals = jnp.array([meta_params[name] for name in NUMBERS])
        assert reals.dtype == jnp.float64
        named = dict(zip(NUMBERS, reals, strict=True))
        found = jax.jit(jax.grad(learner.objective, has_aux=True))(named, experience)
        gradient = np.array([found[0][name] for name in NUMBERS])
        if variant == "outer critic":  # which no number changes: the objective itself
            moved = jax.jit(
                lambda x: learner.objective(
                    dict(zip(NUMBERS, x, strict=True)), experience
                )[0]
            )
        else:
            by_params = outer_gradient(variant, path(reals), experience.query)
            index = -2 if variant == "bootstrapped" else -1
            moved = jax.jit(
                lambda x: sum(
                    jnp.vdot(g, leaf[index])
                    for g, leaf in zip(
                        jax.tree.leaves(by_params),
                        jax.tree.leaves(path(x)),
                        strict=True,
                    )
                )
            )
        step = 1e-5
        differences = np.array(
            [
                moved(reals + step * axis) - moved(reals - step * axis)
                for axis in np.eye(len(NUMBERS))
            ]
        ) / (2 * step)
        assert np.all(np.abs(differences) > 1e-7)
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-11)


@pytest.mark.slow
def test_first_order_adds_up_what_each_update_does_by_itself(key):
    """For one update it is exact; for two it is the sum of each's own derivative."""
    gradients = {}
    for num_updates in (1, 2):
        for first_order in (False, True):
            learner = made(num_updates=num_updates, first_order=first_order)
            params = hyperparameters.init(NUMBERS)
            experience = jax.jit(learner.collect)(key, params, TASKS.sample(key))
            by_numbers = jax.grad(learner.objective, has_aux=True)
            found = jax.jit(by_numbers)(params, experience)[0]
            gradients[num_updates, first_order] = np.array(list(found.values()))
    np.testing.assert_allclose(gradients[1, True], gradients[1, False], rtol=1e-5)
    difference = gradients[2, True] - gradients[2, False]
    assert np.all(np.abs(difference) > 1e-4 * np.abs(gradients[2, False]))
    # By hand: numbers of one update move, those of the other stay; then the outer
    # gradient at the end, as if the second did not notice what the first did.
    learner, params = made(), hyperparameters.init(NUMBERS)
    experience = jax.jit(learner.collect)(key, params, TASKS.sample(key))
    path = partial(jm.adaptation.adaptation_states, inner=learner.inner)
    states, _ = jax.jit(path)(params, experience)
    end = jm.trees.at(states, 2).params
    by_params = jax.jit(jax.grad(lambda p: OUTER(p, experience.query)[0]))(end)

    def moved(numbers, update):
        state, batch = (
            jm.trees.at(tree, update) for tree in (states, experience.support)
        )
        after, _ = learner.inner.update(key, numbers, state, batch)
        pairs = zip(
            jax.tree.leaves(by_params), jax.tree.leaves(after.params), strict=True
        )
        return sum(jnp.vdot(g, leaf) for g, leaf in pairs)

    alone = [jax.jit(jax.grad(moved))(params, update) for update in (0, 1)]
    total = np.array(list(jax.tree.map(jnp.add, *alone).values()))
    np.testing.assert_allclose(gradients[2, True], total, rtol=1e-3)


@pytest.mark.slow
def test_nothing_to_learn_from_leaves_finite_numbers(key):
    """All rewards are zero, so normalized advantages have no spread to divide by."""
    tasks = jm.tasks.from_gymnax(
        jm.environments.BernoulliBandit(2), params={"probabilities": jnp.zeros(2)}
    )
    policy = policies.mlp(tasks.environment, hidden=(4,), critic=True)
    silent = policy._replace(apply=lambda p, c, t: unvalued(*policy.apply(p, c, t)))
    learner = jm.metagradient(
        tasks,
        policy,
        hyperparameters={"discount": hyperparameters.interval(0.9, 0.0, 1.0)},
        inner_loss=lambda values: losses.policy_gradient(
            silent,
            advantages.value_baseline(discount=values["discount"], normalize=True),
        ),
        inner_optimizer=optax.sgd(0.1),
        outer_optimizer=optax.adam(0.1),
        num_lifetimes=2,
        num_environments=2,
        length=4,
        num_updates=2,
    )
    state, info = jax.jit(learner.update)(key, learner.init(key))
    assert np.isfinite(state.meta_params["discount"])
    assert np.isfinite(info["meta_gradient_norm"])


def unvalued(output, carry):
    return output._replace(value=jnp.zeros(())), carry


@pytest.mark.slow
def test_learners_can_be_made_inside_a_program(key):
    """So that numbers of all kinds can be mapped over."""

    def learned(rate, start):
        learner = made(
            outer_optimizer=optax.sgd(rate),
            hyperparameters={
                **NUMBERS,
                "discount": hyperparameters.interval(start, 0.5, 1.0),
            },
        )
        return learner.update(key, learner.init(key))[0].meta_params

    together = jax.jit(jax.vmap(learned))(jnp.array([0.1, 1.0]), jnp.array([0.8, 0.9]))
    alone = jax.jit(lambda: learned(1.0, 0.9))()
    for name, value in alone.items():
        np.testing.assert_allclose(together[name][1], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_agent_does_not_see_the_outer_critic(key):
    """With it or without, an agent with the same start learns the same."""
    alone = inner.tuned(POLICY.init, NUMBERS, actor_critic, optax.sgd(0.1))
    judge = policies.with_critic(POLICY, TASKS.environment, hidden=(4,))
    loss = losses.policy_gradient(judge, advantages.value_baseline(discount=1.0))
    judged = inner.with_critic(
        alone, lambda key: judge.init(key).critic, loss, optax.sgd(0.1)
    )
    learner = made(critic_optimizer=optax.sgd(0.1), critic_hidden=(4,))
    meta_params = hyperparameters.init(NUMBERS)
    batch = learner.collect(key, meta_params, TASKS.sample(key)).query
    state = judged.init(key, meta_params)
    after, info = judged.update(key, meta_params, state, batch)
    expected, _ = alone.update(key, meta_params, state.agent, batch)
    jax.tree.map(np.testing.assert_array_equal, after.agent, expected)
    moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), after.critic.params, state.critic.params
    )
    assert all(jax.tree.leaves(moved))
    assert info["critic_gradient_norm"] > 0


@pytest.mark.slow
def test_the_outer_critic_learns_the_outer_discount(key):
    """A random agent gets one half a step, so .5 / (1 - .9) = 5 at a discount of .9.

    Its own discount is .1, and it never moves here.
    """
    learner = made(
        hyperparameters={"discount": hyperparameters.interval(0.1, 0.0, 1.0)},
        inner_loss=lambda values: losses.policy_gradient(
            POLICY, advantages.value_baseline(discount=values["discount"])
        ),
        inner_optimizer=optax.sgd(0.0),
        critic_optimizer=optax.adam(0.02),
        outer_discount=0.9,
        length=5,
        num_environments=64,
    )
    state, _ = jax.jit(lambda s: jm.train(key, learner, s, 150))(learner.init(key))
    agents = state.outer_state.lifetimes.agent
    judge = learner.policy
    first = policies.first_timestep(TASKS.environment)
    for lifetime in range(3):
        agent = jm.trees.at(agents, lifetime)
        params = learner.inner.params(state.meta_params, agent)
        values = [
            judge.apply(params, (), first._replace(observation=jnp.array([bit, 1.0])))[
                0
            ].value
            for bit in (0.0, 1.0)
        ]
        # The agent is random and not uniform: half of both is what it gets.
        np.testing.assert_allclose(np.mean(values), 5.0, atol=0.4)


@pytest.mark.slow
def test_a_discount_that_is_too_short_becomes_longer(key):
    """What pays comes one step after the action, so a discount of zero teaches nothing.

    From 0.3 it rises; the outer loss is undiscounted.
    """
    tasks = jm.tasks.from_gymnax(jm.environments.DelayedProbe(), params={"bit": 1})
    policy = policies.mlp(tasks.environment, hidden=(8,), critic=True)
    learner = jm.metagradient(
        tasks,
        policy,
        hyperparameters={"discount": hyperparameters.interval(0.3, 0.0, 1.0)},
        inner_loss=lambda values: losses.policy_gradient(
            policy, advantages.value_baseline(discount=values["discount"])
        ),
        inner_optimizer=optax.sgd(0.3),
        outer_optimizer=optax.adam(0.05),
        critic_optimizer=optax.adam(0.01),
        num_lifetimes=8,
        lifetime=40,
        num_environments=32,
        length=2 * tasks.environment.horizon,
    )
    state, _ = jax.jit(lambda s: jm.train(key, learner, s, 100))(learner.init(key))
    values = hyperparameters.values(
        {"discount": hyperparameters.interval(0.3, 0.0, 1.0)}, state.meta_params
    )
    assert values["discount"] > 0.45
