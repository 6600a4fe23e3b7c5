"""Which discount an agent should have, where the best reward is a late one."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import optax

from jaxmeta import hyperparameters, losses, policies, tasks, trees
from jaxmeta.advantages import Advantage, Estimate
from jaxmeta.algorithms import metagradient
from jaxmeta.recipes import living
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import Environment, TaskDistribution, Transition

BEST_CHAIN = 3
DELAYS = (1, 3, 10, 30, 100)
REWARDS = (1.0, 1.0, 1.0, 1.1, 1.0)
HORIZON = 100
# By whether there is an outer critic: Bonnet, Midgley and Laterre, 2022.
PUBLISHED = {
    True: {"with outer critic": (1.078,)},
    False: {"without outer critic": (1.0,)},
    "normalized": {"advantages normalized": (1.1,)},
}


def chain() -> TaskDistribution:
    """Five chains, chosen from by the first action; the fourth pays most, after 30."""
    return tasks.from_gymnax("DiscountingChain-bsuite", mapping_seed=BEST_CHAIN)


def exact_values(batch: Transition, discount: jax.Array | float):
    """Values of the acting policy in every state of whole episodes, and of the next.

    ``V(s_0) = sum_a pi(a) R_a discount^(d_a - 1)``; in chain ``c`` at time ``t > 0``
    what is left is ``R_c discount^(d_c - 1 - t)``, until it is paid.

    Args:
        batch: ``[N, HORIZON]``, each from the start of an episode.
        discount: of the reward.

    Returns:
        Two arrays ``[N, HORIZON]``.
    """
    delays, rewards = jnp.asarray(DELAYS), jnp.asarray(REWARDS)

    def in_chain(observation, time):
        which = observation[..., 0].astype(jnp.int32)
        left = delays[which] - 1 - time
        power = jnp.asarray(discount) ** jnp.maximum(left, 0)
        return jnp.where(left >= 0, rewards[which] * power, 0.0)

    times = jnp.arange(batch.reward.shape[1])[None]
    first = jax.nn.softmax(batch.distribution.logits[:, 0])
    at_start = first @ (rewards * jnp.asarray(discount) ** (delays - 1))
    values = in_chain(batch.timestep.observation, times).at[:, 0].set(at_start)
    return values, in_chain(batch.next_observation, times + 1)


def temporal_difference(
    discount: jax.Array | float,
    *,
    values_of: jax.Array | float | None = None,
    normalize: bool = False,
) -> Advantage:
    """``r + discount V(s') - V(s)`` with the true values, those of another discount.

    Args:
        discount: of the advantage.
        values_of: discount of the values; None: the same.
        normalize: as in ``value_baseline``.
    """

    def estimate(batch, values, next_values):
        del values, next_values
        now, after = exact_values(batch, discount if values_of is None else values_of)
        found = batch.reward + discount * after - now
        if normalize:
            spread = trees.safe_sqrt(jnp.var(found))
            found = (found - jnp.mean(found)) / (spread + 1e-8)
        return Estimate(found, jnp.ones_like(found), None, now)

    # Every batch is of whole episodes: all last as long as it does.
    return Advantage(estimate, False, False, None, 1.0, normalize)


def build_metagradient(
    *,
    outer_critic: bool = True,
    normalize: bool = False,
    num_environments: int = 128,
    inner_rate: float = 0.5,
    outer_rate: float = 0.1,
    discount: float = 0.95,
    entropy_coefficient: float = 0.005,
) -> Experiment:
    """Meta-gradients of the discount, in an agent's one lifetime.

    Args:
        outer_critic: judge the agent by values of the outer discount, one, and not by
            those of its own.
        normalize: advantages to mean zero, variance one.
        num_environments: episodes per batch.
        inner_rate: of the agent's gradient descent.
        outer_rate: of Adam, for the discount.
        discount: at first; it stays between 0.9 and 1.
        entropy_coefficient: weight of the agent's entropy bonus.
    """
    return _experiment(
        None,
        outer_critic=outer_critic,
        normalize=normalize,
        num_environments=num_environments,
        inner_rate=inner_rate,
        outer_rate=outer_rate,
        discount=discount,
        entropy_coefficient=entropy_coefficient,
    )


def build_bootstrapped(
    *,
    outer_critic: bool = True,
    normalize: bool = False,
    num_environments: int = 128,
    inner_rate: float = 0.5,
    target_rate: float = 0.5,
    outer_rate: float = 0.1,
    discount: float = 0.95,
    entropy_coefficient: float = 0.005,
) -> Experiment:
    """Bootstrapped meta-gradients of the discount, in an agent's one lifetime.

    Args:
        outer_critic: make the target with values of the outer discount, one, and not
            with those of the agent's own.
        normalize: advantages to mean zero, variance one.
        num_environments: episodes per batch.
        inner_rate: of the agent's gradient descent.
        target_rate: of the step towards the target.
        outer_rate: of Adam, for the discount.
        discount: at first; it stays between 0.9 and 1.
        entropy_coefficient: weight of the agent's entropy bonus.
    """
    return _experiment(
        optax.sgd(target_rate),
        outer_critic=outer_critic,
        normalize=normalize,
        num_environments=num_environments,
        inner_rate=inner_rate,
        outer_rate=outer_rate,
        discount=discount,
        entropy_coefficient=entropy_coefficient,
    )


def _experiment(
    target_optimizer: optax.GradientTransformation | None,
    *,
    outer_critic: bool,
    normalize: bool,
    num_environments: int,
    inner_rate: float,
    outer_rate: float,
    discount: float,
    entropy_coefficient: float,
) -> Experiment:
    """A linear policy whose values are exact, so that nothing else has to be learned.

    A published curve is the return of the agent when it has learned.
    """
    distribution = chain()
    environment = cast(Environment, distribution.environment)
    policy = policies.mlp(environment, hidden=())
    learner = metagradient(
        distribution,
        policy,
        hyperparameters={"discount": hyperparameters.interval(discount, 0.9, 1.0)},
        inner_loss=lambda values: losses.policy_gradient(
            policy,
            temporal_difference(values["discount"], normalize=normalize),
            entropy_coefficient=entropy_coefficient,
        ),
        inner_optimizer=optax.sgd(inner_rate),
        outer_loss=lambda values: losses.policy_gradient(
            policy,
            temporal_difference(
                1.0,
                values_of=None if outer_critic else values["discount"],
                normalize=normalize,
            ),
        ),
        outer_optimizer=optax.adam(outer_rate),
        target_optimizer=target_optimizer,
        num_lifetimes=1,
        num_environments=num_environments,
        length=HORIZON,
    )

    published = PUBLISHED["normalized" if normalize else outer_critic]
    return Experiment(
        learner,
        learner,
        distribution,
        published,
        (max(REWARDS),),
        evaluate=living.tested(learner),
        unit="window",
        traces=("discount",),
    )


def _recipe(name: str, method: str, build: Callable[..., Experiment]) -> Recipe:
    return Recipe(
        name=f"{name}-discounting-chain",
        summary="an agent finds out how far it has to look ahead",
        method=method,
        tasks="DiscountingChain",
        build=build,
        num_updates=50_000,
        num_test_tasks=10_000,
        published=PUBLISHED[True],
        optimum=(max(REWARDS),),
        expected_time="not measured",
    )


RECIPES = (
    _recipe("metagradient", "meta-gradients", build_metagradient),
    _recipe("bmg", "bootstrapped meta-gradients", build_bootstrapped),
)
