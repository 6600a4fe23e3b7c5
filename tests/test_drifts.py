"""Mirror learning: what makes a drift one, and what known drifts make of the loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_losses import ACTIONS, OTHER, PARAMS, REWARDS, batch_of, table_policy

from jaxmeta import advantages, losses

RATIOS = np.concatenate([np.geomspace(0.01, 100.0, 41), [1.0]])
ADVANTAGES = np.array([-3.0, -0.5, 0.0, 1e-3, 0.7, 4.0])
LEARNED = losses.learned_drift(size=16)


def drifts():
    learned = [partial(LEARNED.apply, LEARNED.init(jax.random.key(i))) for i in (0, 1)]
    return {
        "clipping": losses.clipping_drift(),
        "discovered": losses.discovered_drift(),
        "learned": learned[0],
        "another learned": learned[1],
    }


@pytest.fixture(params=["clipping", "discovered", "learned", "another learned"])
def drift(request):
    return drifts()[request.param]


def test_a_drift_is_never_negative_and_positive_somewhere(drift):
    ratio, advantage = (jnp.float32(x) for x in np.meshgrid(RATIOS, ADVANTAGES))
    values = drift(jnp.log(ratio), advantage)
    assert values.shape == ratio.shape
    assert np.all(np.isfinite(values))
    assert np.all(values >= 0)
    assert np.any(values > 0.1)


def test_a_drift_is_zero_with_zero_gradient_where_nothing_changed(drift):
    """Exactly, whatever the weights: the policy that acted has no drift from itself."""
    advantage = jnp.float32(ADVANTAGES)
    unchanged = jnp.zeros_like(advantage)
    np.testing.assert_array_equal(drift(unchanged, advantage), 0.0)
    slopes = jax.vmap(jax.grad(drift))(unchanged, advantage)
    np.testing.assert_array_equal(slopes, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_any_size_leave_a_learned_drift_one(seed):
    params = jax.tree.map(lambda w: 50.0 * w, LEARNED.init(jax.random.key(seed)))
    advantage = jnp.float32(ADVANTAGES)
    value, slope = jax.vmap(jax.value_and_grad(partial(LEARNED.apply, params)))(
        jnp.zeros_like(advantage), advantage
    )
    np.testing.assert_array_equal(value, 0.0)
    np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (2.0, 4.0, 4.0 - 2.0 * np.tanh(2.0)),  # 2.0719...
        (2.0, 1.0, 1.0 - 2.0 * np.tanh(0.5)),  # 0.0757...
        (0.5, 4.0, 0.0),  # a good action that became less likely
        (0.5, -1.0, np.log(2.0) - 0.6 * np.tanh(np.log(2.0) / 0.6)),  # 0.2004...
        (2.0, -1.0, 0.0),  # a bad one that became likelier
    ],
)
def test_the_discovered_drift_is_its_formula(ratio, advantage, expected):
    found = losses.discovered_drift()(jnp.log(ratio), jnp.float32(advantage))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_learned_drift_is_its_formula():
    """With two hidden units of known weights, one that sees a feature each."""
    drift = losses.learned_drift(size=2, margin=0.25)
    hidden = np.zeros((8, 2))
    hidden[1, 0] = 3.0  # (1 - r)^2
    hidden[6, 1] = -2.0  # A log r
    params = {
        "hidden": {"params": {"kernel": jnp.float32(hidden)}},
        "out": {"params": {"kernel": jnp.array([[1.5], [0.5]])}},
    }
    ratio, advantage = 0.5, 0.8
    units = np.tanh([3.0 * 0.25, -2.0 * 0.8 * np.log(0.5)])
    expected = 1.5 * units[0] + 0.5 * units[1] - 0.25
    found = drift.apply(params, jnp.log(ratio), jnp.float32(advantage))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_features_of_the_learned_drift(key):
    """Each row of the weights acts on the feature it is meant for."""
    drift = losses.learned_drift(size=1, margin=1e-6)
    r, advantage = 0.7, 1.3
    less, log = 1 - r, np.log(r)
    alone = np.array([less, less**2, log, log**2])
    features = np.concatenate([alone, alone * advantage])
    for i, feature in enumerate(features):
        kernel = jnp.zeros((8, 1)).at[i, 0].set(np.sign(feature))
        params = {
            "hidden": {"params": {"kernel": kernel}},
            "out": {"params": {"kernel": jnp.ones((1, 1))}},
        }
        found = drift.apply(params, jnp.log(r), jnp.float32(advantage))
        np.testing.assert_allclose(found, np.tanh(abs(feature)) - 1e-6, rtol=1e-5)


@pytest.mark.parametrize("average", ["step", "episode"])
def test_with_the_drift_of_clipping_it_is_the_clipped_surrogate(average):
    advantage = advantages.reward_to_go(discount=0.9)
    options = {"average": average, "entropy_coefficient": 0.3}
    mirrored = losses.mirror_learning(
        table_policy(), advantage, drift=losses.clipping_drift(0.1), **options
    )
    clipped = losses.clipped_surrogate(table_policy(), advantage, clip=0.1, **options)
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    params = {"logits": OTHER["logits"]}
    (a, by_a), (b, by_b) = (
        jax.value_and_grad(lambda p, loss=loss: loss(p, batch)[0])(params)
        for loss in (mirrored, clipped)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(by_a["logits"], by_b["logits"], rtol=1e-5, atol=1e-7)


def test_without_drift_it_is_the_likelihood_ratio_and_with_it_less_the_drift():
    policy, advantage = table_policy(), advantages.reward_to_go(discount=0.0)
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    none = losses.mirror_learning(policy, advantage, drift=lambda r, a: 0.0 * r)
    constant = losses.mirror_learning(
        policy, advantage, drift=lambda r, a: 0.0 * r + a**2
    )
    expected, _ = losses.likelihood_ratio(policy, advantage)(OTHER, batch)
    np.testing.assert_allclose(none(OTHER, batch)[0], expected, rtol=1e-6)
    found, _ = constant(OTHER, batch)
    np.testing.assert_allclose(found - expected, np.mean(np.square(REWARDS)), rtol=1e-5)


def test_at_the_params_that_acted_a_learned_drift_changes_nothing(key):
    policy = table_policy()
    advantage = advantages.reward_to_go(discount=0.9)
    drift = partial(LEARNED.apply, LEARNED.init(key))
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    params = {"logits": PARAMS["logits"]}
    found, expected = (
        jax.grad(loss, has_aux=True)(params, batch)[0]["logits"]
        for loss in (
            losses.mirror_learning(policy, advantage, drift=drift),
            losses.policy_gradient(policy, advantage),
        )
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_by_the_weights_is_that_of_central_differences():
    with jax.enable_x64(True):
        params = LEARNED.init(jax.random.key(2))
        params = jax.tree.map(lambda w: w.astype(jnp.float64), params)
        ratio, advantage = np.meshgrid(RATIOS[10:30], ADVANTAGES)
        log_ratio, advantage = jnp.log(ratio), jnp.asarray(advantage)

        def total(params):
            return jnp.sum(LEARNED.apply(params, log_ratio, advantage))

        gradient = jax.grad(total)(params)
        direction = jax.tree.map(
            lambda w: jax.random.normal(jax.random.key(3), w.shape, w.dtype), params
        )
        ahead, behind = (
            total(jax.tree.map(lambda w, d, s=s: w + s * d, params, direction))
            for s in (1e-6, -1e-6)
        )
        found = sum(
            jnp.vdot(g, d)
            for g, d in zip(
                jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True
            )
        )
        np.testing.assert_allclose(found, (ahead - behind) / 2e-6, rtol=1e-6)
        assert abs(found) > 1.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: losses.discovered_drift(alpha=0.0),
            ValueError,
            r"alpha must be positive and finite, got 0\.0",
        ),
        (
            lambda: losses.discovered_drift(beta=-1),
            ValueError,
            "beta must be positive and finite, got -1",
        ),
        (lambda: losses.clipping_drift(0), ValueError, "clip must be positive"),
        (lambda: losses.learned_drift(size=1.5), TypeError, "size must be an integer"),
        (
            lambda: losses.learned_drift(margin=0.0),
            ValueError,
            "margin must be positive",
        ),
        (
            lambda: losses.mirror_learning(
                table_policy(), advantages.reward_to_go(), drift=LEARNED
            ),
            TypeError,
            r"drift must be a function .* of a LearnedDrift, functools\.partial",
        ),
        (
            lambda: losses.mirror_learning(
                table_policy(), advantages.reward_to_go(), drift=0.2
            ),
            TypeError,
            r"drift must be a function .* got 0\.2",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
