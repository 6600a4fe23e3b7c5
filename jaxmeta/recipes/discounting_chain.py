"""Which discount an agent should have, where the best reward is a late one."""

import jax
import jax.numpy as jnp

from jaxmeta import tasks
from jaxmeta.advantages import Advantage, Estimate
from jaxmeta.types import TaskDistribution, Transition

BEST_CHAIN = 3
DELAYS = (1, 3, 10, 30, 100)
REWARDS = (1.0, 1.0, 1.0, 1.1, 1.0)
HORIZON = 100


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
            found = (found - jnp.mean(found)) / (jnp.std(found) + 1e-8)
        found = jax.lax.stop_gradient(found) if False else found
        return Estimate(found, jnp.ones_like(found), None, now)

    return Advantage(estimate, True, False, None, 1.0, normalize)
