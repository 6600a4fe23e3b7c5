"""The values that the experiment on chains takes for exact are so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import policies, recipes, rollouts
from jaxmeta.recipes import discounting_chain
from jaxmeta.recipes.discounting_chain import DELAYS, REWARDS, temporal_difference


@pytest.mark.slow
@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_errors_are_zero_after_the_choice_and_tell_its_worth(discount, key):
    """What a chain pays is certain once it is chosen; before, it is a mean."""
    distribution = discounting_chain.chain()
    policy = policies.mlp(distribution.environment, hidden=())
    params = jax.tree.map(lambda leaf: leaf + 0.3, policy.init(key))
    batch = rollouts.episodes(
        key,
        distribution.environment,
        policy,
        params,
        distribution.sample(key),
        num_episodes=50,
        length=discounting_chain.HORIZON,
    )
    errors = temporal_difference(discount).estimate(batch, None, None).advantages
    np.testing.assert_allclose(errors[:, 1:], 0, atol=1e-6)
    worth = np.array(REWARDS) * discount ** (np.array(DELAYS) - 1)
    chances = jax.nn.softmax(batch.distribution.logits[0, 0])
    chosen = np.asarray(batch.action[:, 0])
    assert len(set(chosen.tolist())) == len(DELAYS)
    np.testing.assert_allclose(errors[:, 0], worth[chosen] - chances @ worth, atol=1e-6)
    # And what was paid is what the chain says.
    powers = discount ** jnp.arange(discounting_chain.HORIZON)
    np.testing.assert_allclose(batch.reward @ powers, worth[chosen], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("outer_critic", "low", "high"), [(1, 0.97, 1), (0, 0.9, 0.93)]
)
def test_the_discount_goes_where_it_was_published_to_go(outer_critic, low, high, key):
    """To one if values of the right discount judge; into short sight if its own do."""
    recipe = recipes.get("metagradient-discounting-chain")
    learner = recipe.build(outer_critic=bool(outer_critic), num_environments=32).learner
    update, state = jax.jit(learner.update), learner.init(key)
    for step in range(60):
        state, info = update(jax.random.fold_in(key, step), state)
    assert low < info["discount"] < high
