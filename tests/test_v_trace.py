import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import returns


@pytest.mark.parametrize("trace_decay", [0.0, 0.4, 1.0])
def test_v_trace_is_its_defining_sum(trace_decay):
    """v_s = V(s) + sum_t gamma^(t-s) (prod c) delta_t, as written in the paper."""
    rng = np.random.default_rng(0)
    rewards, values, following = rng.normal(size=(3, 7))
    ratios = np.exp(rng.normal(size=7))
    is_last = np.array([0, 0, 1, 0, 0, 0, 1], bool)
    discounts = np.where(is_last, [0, 0, 0.9, 0, 0, 0, 0], 0.9)
    targets, gains = returns.v_trace(
        *(jnp.asarray(x, jnp.float32) for x in (rewards, discounts, values, following)),
        jnp.asarray(ratios, jnp.float32),
        jnp.asarray(is_last),
        trace_decay,
        clip_ratio=1.5,
        clip_trace=0.8,
    )
    rho, c = np.minimum(ratios, 1.5), trace_decay * np.minimum(ratios, 0.8)
    delta = rho * (rewards + discounts * following - values)
    expected = np.zeros(7)
    for s in range(7):
        weight, total = 1.0, values[s]
        for t in range(s, 7):
            total += weight * delta[t]
            if is_last[t]:
                break
            weight *= discounts[t] * c[t]
        expected[s] = total
    np.testing.assert_allclose(targets, expected, rtol=1e-5)
    # Where the recursion ends the critic's own value stands for v.
    shifted = np.append(following[:-1] + (expected - values)[1:], following[-1])
    later = np.where(is_last, following, shifted)
    np.testing.assert_allclose(
        gains, rho * (rewards + discounts * later - values), rtol=1e-4, atol=1e-6
    )


def test_on_policy_v_trace_is_generalised_advantage_estimation_of_values():
    rng = np.random.default_rng(1)
    rewards, values, following = jnp.asarray(rng.normal(size=(3, 6)), jnp.float32)
    is_last = jnp.array([0, 0, 1, 0, 0, 1], bool)
    discounts = jnp.where(is_last, 0.0, 0.97)
    arguments = (rewards, discounts, values, following)
    targets, _ = returns.v_trace(*arguments, jnp.ones(6), is_last, 0.8)
    same = returns.generalized_advantages(*arguments, is_last, 0.8) + values
    np.testing.assert_allclose(targets, same, rtol=1e-5)
