"""A policy for slates of candidates whose memory is a belief about linear rewards."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.distributions import Categorical
from jaxmeta.policies.adapters import check_policy, to_act_in
from jaxmeta.policies.networks import Perceptron
from jaxmeta.types import Dataset, Environment, Policy, PolicyOutput


def linear_belief(
    environment: Environment | Dataset,
    *,
    mean: Any,
    factor: Any,
    noise_variance: Any = 1.0,
    temperature: Any = 0.1,
) -> Policy:
    r"""Score candidates by the posterior of a low-rank linear model of their rewards.

    A task's rewards are believed to be ``x^T (mean + factor z) + e`` with features ``x
    [F]`` of a candidate, ``z ~ N(0, I_D)`` the task and ``e`` of variance
    ``noise_variance``. The memory is the exact posterior ``N(m, P)`` of ``z``; a step
    costs ``D^2``. Candidates are chosen by a softmax of ::

        (x^T (mean + factor m) + a sqrt(u^T P u)) / temperature,  u = factor^T x

    Mean, factor, noise, temperature and the exploration bonus ``a``, zero at first, are
    params: where the belief starts, in which directions tasks differ and how far, are
    meta-learned by ``rl2``, through all updates of the belief. A critic reads the
    scores and ``m``.

    Args:
        environment: of slates; its observations are features ``[k, F]`` of ``k``
            candidates, of which an action chooses one.
        mean: ``[F]``, to start from; such as that of ``references.population_prior``.
        factor: ``[F, D]``, likewise; ``factor factor^T`` is the prior covariance.
        noise_variance: likewise.
        temperature: of the softmax, in units of the reward, to start from.

    Source: Harrison, Sharma and Pavone, "Meta-Learning Priors for Efficient Online
    Bayesian Regression", 2018, for meta-learned beliefs of linear models; Duan et al.,
    "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning", 2016.

    Raises:
        TypeError: if ``environment`` is none, or a number is of the wrong kind.
        ValueError: if its observations are no features of candidates, an array has
            another shape, or a number is not positive.
    """
    environment = to_act_in(environment)
    shape = environment.observation.shape
    num_actions = getattr(environment.action, "n", None)
    if len(shape) != 2 or shape[0] != num_actions:
        raise ValueError(
            f"environment: observations of {environment.name} have shape {shape} and "
            f"its actions are {environment.action}; needed are features [k, F] of k "
            "candidates and a choice of one, as in tasks.from_ratings"
        )
    num_candidates, num_features = shape
    mean, factor = jnp.asarray(mean, jnp.float32), jnp.asarray(factor, jnp.float32)
    if mean.shape != (num_features,):
        raise ValueError(f"mean must have shape ({num_features},), got {mean.shape}")
    if factor.ndim != 2 or factor.shape[0] != num_features or not factor.shape[1]:
        raise ValueError(
            f"factor must have shape ({num_features}, D), got {factor.shape}"
        )
    noise_variance = checks.positive("noise_variance", noise_variance)
    temperature = checks.positive("temperature", temperature)
    size = factor.shape[1]
    critic = Perceptron(1, (32,), jnp.tanh)

    def init(key):
        return {
            "mean": mean,
            "factor": factor,
            "log_noise": jnp.log(jnp.asarray(noise_variance, jnp.float32)),
            "log_temperature": jnp.log(jnp.asarray(temperature, jnp.float32)),
            "exploration": jnp.zeros(()),
            "critic": critic.init(key, jnp.zeros(size + 3)),
        }

    def initial_carry():
        slate = jnp.zeros((num_candidates, num_features))
        return jnp.zeros(size), jnp.eye(size), slate

    def apply(params, carry, timestep):
        center, spread, slate = carry
        # At the first step of a trial the previous action is -1, no candidate: features
        # of zero teach nothing.
        chosen = jax.nn.one_hot(timestep.previous_action, num_candidates) @ slate
        direction = chosen @ params["factor"]
        projected = spread @ direction
        gain = projected / (jnp.exp(params["log_noise"]) + direction @ projected)
        surprise = timestep.previous_reward - chosen @ params["mean"]
        center = center + gain * (surprise - direction @ center)
        spread = spread - gain[:, None] * projected[None, :]
        directions = timestep.observation @ params["factor"]
        scores = timestep.observation @ params["mean"] + directions @ center
        variance = jnp.einsum("kd,de,ke->k", directions, spread, directions)
        bonus = params["exploration"] * jnp.sqrt(jnp.maximum(variance, 1e-12))
        logits = (scores + bonus) * jnp.exp(-params["log_temperature"])
        expected = jax.nn.softmax(logits) @ scores
        read = jnp.stack([jnp.mean(scores), jnp.max(scores), jnp.min(scores)])
        correction: Any = critic.apply(
            params["critic"], jnp.concatenate([center, read])
        )
        value = expected + correction[0]
        memory = (center, spread, timestep.observation)
        return PolicyOutput(Categorical(logits), value), memory

    policy = Policy(init, initial_carry, apply)
    check_policy(policy, environment)
    return policy
