"""Estimators as a user meets them; tests/test_estimators_exact.py has the proofs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_algorithms import TASKS
from test_losses import ACTIONS, OTHER, PARAMS, REWARDS, batch_of, table_policy

import jaxmeta as jm
from jaxmeta import advantages, estimators, losses

POLICY = jm.policies.mlp(TASKS.environment, hidden=(8,))


def hessian(loss, batch):
    logits = {"logits": PARAMS["logits"]}
    return jax.hessian(lambda p: loss(p, batch)[0])(logits)["logits"]["logits"]


def baselined(**options):
    """Returns of two steps against a baseline that is not zero."""
    return advantages.custom_baseline(
        lambda batch: 0.3 + batch.timestep.observation[..., 0], discount=0.9, **options
    )


def test_every_loss_has_the_same_gradient_where_it_acted():
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    policy, advantage = table_policy(), baselined()
    made = [
        losses.policy_gradient(policy, advantage),
        losses.likelihood_ratio(policy, advantage),
        losses.dice(policy, advantage),
        losses.dice(policy, advantage, control_variate=True),
        losses.loaded_dice(policy, advantage, trace_decay=0.4),
    ]
    first, *others = [
        jax.grad(loss, has_aux=True)({"logits": PARAMS["logits"]}, batch)[0]["logits"]
        for loss in made
    ]
    assert np.abs(first).max() > 0.1
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_loaded_dice_runs_from_the_likelihood_ratio_to_dice():
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    policy, advantage = table_policy(), baselined()

    def loaded(trace_decay):
        return hessian(
            losses.loaded_dice(policy, advantage, trace_decay=trace_decay), batch
        )

    ratio = hessian(losses.likelihood_ratio(policy, advantage), batch)
    np.testing.assert_allclose(loaded(0.0), ratio, atol=1e-5)
    controlled = hessian(losses.dice(policy, advantage, control_variate=True), batch)
    np.testing.assert_allclose(loaded(1.0), controlled, atol=1e-5)
    plain = hessian(losses.dice(policy, advantage), batch)
    assert np.abs(plain - controlled).max() > 0.05  # the variate does something
    middle = loaded(0.5)
    np.testing.assert_allclose(middle, (loaded(0.0) + loaded(1.0)) / 2, atol=1e-5)


@pytest.mark.slow
def test_dice_credits_no_episode_with_the_actions_of_another():
    """A rollout of two episodes has the Hessian of the two apart."""
    policy, advantage = table_policy(), advantages.reward_to_go(discount=1.0)
    apart = batch_of(PARAMS, ACTIONS[:2], REWARDS[:2])
    joined = jax.tree.map(lambda leaf: leaf.reshape(1, 4, *leaf.shape[2:]), apart)
    # An estimator that counts both episodes, as a critic's does.
    both = advantages.Advantage(
        lambda batch, values, next_values: advantages.Estimate(
            jnp.array([[3.0, 2.0, -1.0, -1.0]]),
            jnp.ones((1, 4)),
            None,
            jnp.zeros((1, 4)),
        ),
        False,
        False,
        None,
        1.0,
        False,
    )
    got = hessian(losses.dice(policy, both), joined)
    expected = hessian(losses.dice(policy, advantage), apart)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_normalised_baselines_still_add_up_to_the_return():
    """In units of the spread of the advantages."""
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    plain = baselined().estimate(batch, None, None)
    scaled = baselined(normalize=True).estimate(batch, None, None)
    total = plain.advantages + plain.baselines
    np.testing.assert_allclose(
        scaled.advantages + scaled.baselines,
        total / np.std(plain.advantages),
        rtol=1e-5,
    )


def test_discounted_steps_count_less_the_later_they_are():
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    plain = baselined().estimate(batch, None, None)
    discounted = baselined(discount_steps=True).estimate(batch, None, None)
    factors = np.array([[1.0, 0.9]])
    np.testing.assert_allclose(discounted.advantages, plain.advantages * factors)
    np.testing.assert_allclose(discounted.baselines, plain.baselines * factors)


def test_the_losses_of_dice_stay_estimates_away_from_where_they_acted():
    """Their value is zero and their gradient that of log pi A, wherever."""
    batch = batch_of(PARAMS, ACTIONS, REWARDS)
    policy, advantage = table_policy(), baselined()
    params = {"logits": OTHER["logits"]}
    value, gradient = [], []
    for make in (losses.policy_gradient, losses.dice, losses.loaded_dice):
        (total, _), slope = jax.value_and_grad(make(policy, advantage), has_aux=True)(
            params, batch
        )
        value.append(total)
        gradient.append(slope["logits"])
    np.testing.assert_allclose(value[1:], 0.0, atol=1e-6)
    for other in gradient[1:]:
        np.testing.assert_allclose(other, gradient[0], rtol=1e-4, atol=1e-6)


def test_estimators_go_by_name():
    assert estimators.get("dice").name == "dice"
    mine = estimators.loaded_dice(0.3)
    assert estimators.get(mine) is mine
    with pytest.raises(ValueError, match=r"no 'dyce'\. Did you mean 'dice'"):
        estimators.get("dyce")
    with pytest.raises(TypeError, match=r"a name or an Estimator.* got 0\.5"):
        estimators.get(0.5)


@pytest.mark.parametrize("trace_decay", [-0.1, 1.1])
def test_lambda_lies_between_zero_and_one(trace_decay):
    message = rf"trace_decay must lie in \[0, 1\], got {trace_decay}"
    with pytest.raises(ValueError, match=message):
        estimators.loaded_dice(trace_decay)
    with pytest.raises(ValueError, match=message):
        losses.loaded_dice(POLICY, advantages.reward_to_go(), trace_decay=trace_decay)
