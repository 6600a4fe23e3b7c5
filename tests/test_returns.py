import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmeta import returns


def loop_returns(rewards, discounts):
    total, out = 0.0, []
    for reward, discount in zip(rewards[::-1], discounts[::-1], strict=True):
        total = reward + discount * total
        out.append(total)
    return np.array(out[::-1])


@given(st.integers(1, 40), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_discounted_returns_equal_a_loop(length, seed):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=length).astype(np.float32)
    discounts = (rng.random(length) * (rng.random(length) > 0.2)).astype(np.float32)
    got = returns.discounted_returns(jnp.asarray(rewards), jnp.asarray(discounts))
    np.testing.assert_allclose(got, loop_returns(rewards, discounts), atol=1e-5)


def test_discounted_returns_golden():
    got = returns.discounted_returns(
        jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0.5, 0.0, 0.5, 0.5])
    )
    np.testing.assert_array_equal(got, [2.0, 2.0, 5.0, 4.0])


def test_generalized_advantages_golden():
    """Terminated: no bootstrap. Truncated: bootstrap, but no trace across the cut."""
    got = returns.generalized_advantages(
        rewards=jnp.array([1.0, 1.0, 1.0, 1.0]),
        discounts=jnp.array([0.5, 0.0, 0.5, 0.5]),  # terminated at 1, truncated at 3
        values=jnp.array([1.0, 2.0, 3.0, 4.0]),
        next_values=jnp.array([2.0, 9.0, 4.0, 8.0]),
        is_last=jnp.array([False, True, False, True]),
        trace_decay=0.5,
    )
    # deltas: 1+1-1=1, 1+0-2=-1, 1+2-3=0, 1+4-4=1
    np.testing.assert_allclose(got, [1 + 0.25 * -1, -1, 0 + 0.25 * 1, 1], rtol=1e-6)


def test_lambda_one_is_the_return_and_lambda_zero_the_one_step_error():
    rng = np.random.default_rng(0)
    rewards, values = jnp.asarray(rng.normal(size=(2, 9)), jnp.float32)
    next_values = jnp.append(values[1:], 5.0)
    discounts = jnp.full(9, 0.9).at[-1].set(0.0)
    last = jnp.arange(9) == 8
    arguments = (rewards, discounts, values, next_values, last)
    np.testing.assert_allclose(
        returns.generalized_advantages(*arguments, 1.0) + values,
        returns.discounted_returns(rewards, discounts),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        returns.generalized_advantages(*arguments, 0.0),
        rewards + discounts * next_values - values,
        atol=1e-6,
    )


def test_first_episode_return_ignores_what_the_auto_reset_began():
    rewards = jnp.ones(6)
    is_first = jnp.array([True, False, False, True, False, True])
    assert returns.episode_returns(rewards, is_first)[0] == 3.0
    np.testing.assert_array_equal(returns.episode_mask(is_first), [1, 1, 1, 0, 0, 0])
