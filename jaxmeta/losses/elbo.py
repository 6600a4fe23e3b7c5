"""The evidence lower bound of a policy's beliefs about its task."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.decoders import Decoder, is_allowed
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.types import Info, Key, Params, Policy, Transition

BeliefLoss = Callable[[Key, Params, Params, Any], tuple[jax.Array, Info]]
"""``(key, policy params, decoder params, trials [N, T]) -> (scalar, info)``."""


def elbo(
    policy: Policy,
    decoder: Decoder,
    *,
    kl_weight: float = 0.01,
    kl_to: Literal["previous", "prior"] = "previous",
    decode: Literal["trial", "past"] = "trial",
    stochastic: bool = True,
) -> BeliefLoss:
    """Minus the evidence lower bound, at every step of a trial.

    ::

        ELBO_t = E_{m ~ q_t} sum_i log p(r_i | m, x_i) - kl_weight KL(q_t || q_{t-1})

    with ``q_t`` the policy's belief before its action ``t`` and ``q_{-1}`` a standard
    Gaussian. The sum is over all steps of the trial, those to come included: a belief
    has to say what it does not know. One latent is drawn per belief. The loss is the
    mean over steps ``t`` and trials; steps acted after a trial's last episode count
    too, as they are of its task. With a decoder of certain rewards alone, the info has
    ``unexplained_rewards``, the share of the trials' rewards that are others: above
    zero, it is the wrong decoder.

    Args:
        policy: one with beliefs, such as ``policies.belief``.
        decoder: of rewards, or of what else a trial shows.
        kl_weight: of the divergence; zero for none.
        kl_to: ``"previous"`` filters, as in the paper; ``"prior"`` is the divergence
            from a standard Gaussian at every step.
        decode: the whole ``"trial"``, as in the paper, or its ``"past"`` alone.
        stochastic: draw the latent; otherwise it is the mean of the belief.

    Source: Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann and Whiteson, "VariBAD: A
    Very Good Method for Bayes-Adaptive Deep RL via Meta-Learning", 2020.

    Raises:
        TypeError: if ``decoder`` is none, or ``kl_weight`` no number.
        ValueError: if the policy has no beliefs, or an argument is out of range.
    """
    beliefs_of = policy.beliefs if isinstance(policy, Policy) else None
    if beliefs_of is None:
        raise ValueError(
            "policy: it has no beliefs about its task to learn; use policies.belief"
        )
    if not isinstance(decoder, Decoder):
        raise TypeError(
            f"decoder must be a Decoder, such as decoders.reward, got {decoder!r}"
        )
    kl_weight = checks.positive("kl_weight", kl_weight, or_zero=True)
    checks.one_of("kl_to", kl_to, ("previous", "prior"))
    checks.one_of("decode", decode, ("trial", "past"))

    def of_trial(key: Key, policy_params, decoder_params, trial: Transition):
        beliefs = beliefs_of(policy_params, trial.timestep)
        latents = beliefs.sample(key) if stochastic else beliefs.mean
        log_probs = jax.vmap(
            lambda latent: decoder.log_prob(decoder_params, latent, trial)
        )(latents)
        if decode == "past":
            log_probs = jnp.tril(log_probs, -1)
        divergence = beliefs.kl(_previous(beliefs, kl_to))
        return jnp.mean(jnp.sum(log_probs, axis=1)), jnp.mean(divergence)

    def loss(key: Key, policy_params, decoder_params, trials: Transition):
        keys = jax.random.split(key, trials.reward.shape[0])
        found = jax.vmap(of_trial, in_axes=(0, None, None, 0))(
            keys, policy_params, decoder_params, trials
        )
        log_likelihood, divergence = jax.tree.map(jnp.mean, found)
        info = {"log_likelihood": log_likelihood, "belief_kl": divergence}
        if decoder.rewards:
            allowed = is_allowed(decoder, trials.reward)
            info["unexplained_rewards"] = 1.0 - jnp.mean(allowed)
        return kl_weight * divergence - log_likelihood, info

    return loss


def _previous(beliefs: DiagonalGaussian, kl_to: str) -> DiagonalGaussian:
    """What each belief ``[T, L]`` is held close to."""

    def shifted(leaf):
        start = jnp.zeros_like(leaf[:1])
        if kl_to == "prior":
            return jnp.zeros_like(leaf)
        return jnp.concatenate([start, leaf[:-1]])

    return jax.tree.map(shifted, beliefs)
