"""Policies that act on a belief about their task, a distribution over latents."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxmeta import checks, trees
from jaxmeta.distributions import DiagonalGaussian
from jaxmeta.policies.adapters import check_policy, first_timestep, to_act_in
from jaxmeta.policies.memory import Core, gru
from jaxmeta.policies.networks import MLP, between
from jaxmeta.policies.recurrent import reading
from jaxmeta.types import Dataset, Environment, Params, Policy, PolicyOutput, Timestep

# Wide enough that a belief starts as the standard Gaussian, to three digits.
_LOG_STD_LOW, _LOG_STD_HIGH = -8.0, 8.0


def belief(
    environment: Environment | Dataset,
    *,
    core: Core | None = None,
    num_latents: int = 5,
    hidden: Sequence[int] = (64,),
    critic: bool = True,
    initial_std: float = 1.0,
    policy_gradient: bool = False,
) -> Policy:
    """A policy that knows what it believes of its task, VariBAD's.

    An encoder with memory reads what actions led to and gives the posterior ``q(m |
    a_0, r_0, o_1, ..., a_{t-1}, r_{t-1}, o_t)`` of the latent ``m``, a Gaussian; before
    the first action it gives a learned prior, which the first observation does not
    change. Actor and critic read the observation and the posterior's mean and
    log-variance. What the latent means is learned elsewhere, by decoding rewards from
    it: see ``varibad``.

    Args:
        environment: what it acts in.
        core: the encoder's memory; ``policies.gru(64)`` by default.
        num_latents: ``L``, dimensions of the latent.
        hidden: sizes of the hidden layers of actor and critic.
        critic: whether to estimate values too.
        initial_std: initial standard deviation of continuous actions, a learned
            parameter.
        policy_gradient: whether losses of the policy train the encoder too.

    Source: Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann and Whiteson, "VariBAD: A
    Very Good Method for Bayes-Adaptive Deep RL via Meta-Learning", 2020.

    Raises:
        TypeError: if ``environment`` is none, or ``core`` no Core.
        ValueError: if a size or ``initial_std`` is not positive.
    """
    environment = to_act_in(environment)
    core = gru() if core is None else core
    if not isinstance(core, Core):
        raise TypeError(f"core must be a Core, such as policies.gru(64), got {core!r}")
    num_latents = checks.positive_int("num_latents", num_latents)
    hidden = checks.positive_ints("hidden", hidden)
    initial_std = checks.positive("initial_std", initial_std)
    head = MLP(environment.action, hidden, jnp.tanh, critic, initial_std, 0.01)
    posterior = linen.Dense(2 * num_latents)
    read = partial(reading, space=environment.action)
    num_inputs = read(first_timestep(environment)).shape[0]

    def gaussian(params: Params, features: jax.Array) -> DiagonalGaussian:
        output: Any = posterior.apply(params, features)
        mean, log_std = jnp.split(output, 2)
        return DiagonalGaussian(mean, between(log_std, _LOG_STD_LOW, _LOG_STD_HIGH))

    def act(params: Params, found: DiagonalGaussian, observation) -> PolicyOutput:
        if not policy_gradient:
            found = jax.lax.stop_gradient(found)
        parts = (observation.reshape(-1), found.mean, 2.0 * found.log_std)
        output: Any = head.apply(params, jnp.concatenate(parts))
        return output

    def init(key):
        keys = jax.random.split(key, 3)
        encoder = core.init(keys[0], num_inputs)
        _, features = core.step(encoder, core.initial_carry(), jnp.zeros(num_inputs))
        observation = first_timestep(environment).observation
        width = observation.size + 2 * num_latents
        return {
            "core": encoder,
            "posterior": posterior.init(keys[1], features),
            "head": head.init(keys[2], jnp.zeros(width)),
        }

    def initial_carry():
        return jnp.ones((), bool), core.initial_carry()

    def apply(params, carry, timestep):
        # Before the first action nothing is known: the prior is that of no features.
        is_start, memory = carry
        advanced, features = core.step(params["core"], memory, read(timestep))
        memory = trees.where(is_start, memory, advanced)
        features = jnp.where(is_start, jnp.zeros_like(features), features)
        found = gaussian(params["posterior"], features)
        output = act(params["head"], found, timestep.observation)
        return output, (jnp.zeros((), bool), memory)

    def beliefs(params: Params, timesteps: Timestep) -> DiagonalGaussian:
        # From the second step on; rolled, so that a trial of one step has one too.
        inputs = jnp.roll(jax.vmap(read)(timesteps), -1, axis=0)
        _, features = core.sequence(params["core"], core.initial_carry(), inputs)
        features = jnp.concatenate([jnp.zeros_like(features[:1]), features[:-1]])
        return jax.vmap(partial(gaussian, params["posterior"]))(features)

    def sequence(params, timesteps):
        found = beliefs(params, timesteps)
        return jax.vmap(partial(act, params["head"]))(found, timesteps.observation)

    policy = Policy(init, initial_carry, apply, sequence, core.max_length, beliefs)
    check_policy(policy, environment)
    return policy
