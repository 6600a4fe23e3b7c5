"""The losses of a soft actor-critic that is told its task by an inferred latent."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta.distributions import DiagonalGaussian, TanhGaussian
from jaxmeta.policies import ContextParams, first_timestep
from jaxmeta.posterior import multiply, no_factors
from jaxmeta.types import Environment, Info, Key, Params, Policy


class PEARLParams(NamedTuple):
    """What PEARL learns.

    Attributes:
        actor: params of the policy's network; its context is not learned but inferred.
        critics: of two critics of one architecture.
        encoder: of the network that infers the latent.
        log_temperature: ``[]``, or None where the temperature is fixed.
    """

    actor: Params
    critics: tuple[Params, Params]
    encoder: Params
    log_temperature: jax.Array | None


class Step(NamedTuple):
    """What is kept of a transition."""

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    next_observation: jax.Array
    terminated: jax.Array


class Networks(NamedTuple):
    """The pure functions of one step and one latent ``[L]``.

    Attributes:
        act: ``(actor, observation, latent) -> TanhGaussian``.
        value: ``(critic, observation, action, latent) -> []``.
        encode: ``(encoder, step) -> DiagonalGaussian``, a factor of the posterior.
    """

    act: Callable[[Params, jax.Array, jax.Array], TanhGaussian]
    value: Callable[[Params, jax.Array, jax.Array, jax.Array], jax.Array]
    encode: Callable[[Params, Step], DiagonalGaussian]


class Settings(NamedTuple):
    """Numbers of the method; :func:`jaxmeta.pearl` says what they are."""

    capacity: int
    num_gradient_steps: int
    replayed_tasks: int
    batch_size: int
    discount: float
    target_rate: float
    kl_coefficient: float
    temperature: float
    target_entropy: float | None


def acting(policy: Policy, environment: Environment) -> Callable[..., TanhGaussian]:
    """``Networks.act`` of a policy with a context and without memory.

    Of a timestep it sees the observation alone: the replay keeps no more.
    """
    blank = first_timestep(environment)

    def act(actor, observation, latent):
        timestep = blank._replace(observation=observation)
        output, _ = policy.apply(ContextParams(actor, latent), (), timestep)
        return output.distribution

    return act


def steps_of(transitions: Any) -> Step:
    """What is kept of transitions, with whatever leading axes."""
    return Step(
        transitions.timestep.observation,
        transitions.action,
        transitions.reward,
        transitions.next_observation,
        transitions.terminated,
    )


def targets(
    key: Key,
    networks: Networks,
    settings: Settings,
    params: PEARLParams,
    target_critics: tuple[Params, Params],
    step: Step,
    latent: jax.Array,
) -> jax.Array:
    """What the critics of one step should say, ``[]``.

    ``r + discount (1 - terminated) (min_i Q_i(s', a', z) - temperature log pi(a'|s',
    z))`` with a fresh ``a'``. An episode that was cut goes on in it.
    """
    distribution = networks.act(params.actor, step.next_observation, latent)
    action, log_prob = distribution.sample_and_log_prob(key)
    values = [
        networks.value(critic, step.next_observation, action, latent)
        for critic in target_critics
    ]
    soft_value = jnp.minimum(*values) - temperature_of(settings, params) * log_prob
    continues = 1.0 - step.terminated.astype(soft_value.dtype)
    return step.reward + settings.discount * continues * soft_value


def temperature_of(settings: Settings, params: PEARLParams) -> jax.Array:
    """The weight of the entropy, ``[]``; a constant of the losses that use it."""
    if params.log_temperature is None:
        return jnp.asarray(settings.temperature)
    return jnp.exp(jax.lax.stop_gradient(params.log_temperature))


def step_losses(
    key: Key,
    networks: Networks,
    settings: Settings,
    params: PEARLParams,
    target_critics: tuple[Params, Params],
    step: Step,
    latent: jax.Array,
) -> Info:
    """The losses of critics, actor and temperature on one step, ``[]`` each.

    A gradient reaches the latent from the critics' loss alone.
    """
    key_target, key_act = jax.random.split(key)
    target = jax.lax.stop_gradient(
        targets(key_target, networks, settings, params, target_critics, step, latent)
    )
    errors = [
        networks.value(critic, step.observation, step.action, latent) - target
        for critic in params.critics
    ]
    latent, critics = jax.lax.stop_gradient((latent, params.critics))
    distribution = networks.act(params.actor, step.observation, latent)
    action, log_prob = distribution.sample_and_log_prob(key_act)
    values = [networks.value(c, step.observation, action, latent) for c in critics]
    losses = {
        "critic_loss": 0.5 * (errors[0] ** 2 + errors[1] ** 2),
        "actor_loss": temperature_of(settings, params) * log_prob
        - jnp.minimum(*values),
        "entropy": -log_prob,
    }
    if params.log_temperature is not None:
        wanted = settings.target_entropy
        if wanted is None:
            scale = 0.5 * (distribution.high - distribution.low)
            wanted = jnp.sum(jnp.log(scale) - 1.0)
        excess = jax.lax.stop_gradient(-log_prob - wanted)
        losses["temperature_loss"] = params.log_temperature * excess
    return losses


def task_loss(
    key: Key,
    params: PEARLParams,
    target_critics: tuple[Params, Params],
    item: Step,
    *,
    networks: Networks,
    settings: Settings,
) -> tuple[jax.Array, Info]:
    """The loss of all networks on one task of the replay, ``[K + 1, N T]`` steps.

    The context is what an agent has seen after a number of updates drawn from 1 to ``K
    + 1``: how sure the posterior is depends on how many factors it has, and it is to be
    right at every number of them. The steps learned from are drawn from all of the
    task, each with a latent of its own.
    """
    key_count, key_choice, key_latent, key_losses = jax.random.split(key, 4)
    batches, size = item.reward.shape
    encode = jax.vmap(jax.vmap(lambda step: networks.encode(params.encoder, step)))
    seen = jnp.arange(batches) < jax.random.randint(key_count, (), 1, batches + 1)
    factors = encode(item)
    weights = jnp.broadcast_to(seen[:, None], (batches, size))
    product = multiply(no_factors(factors.mean.shape[-1]), factors, weights)
    belief = product.gaussian()
    prior = jax.tree.map(jnp.zeros_like, belief)  # N(0, I): a log_std of zero
    kl = belief.kl(prior)

    num_steps = settings.batch_size
    chosen = jax.random.randint(key_choice, (num_steps,), 0, batches * size)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[chosen], item)
    latents = jax.vmap(belief.sample)(jax.random.split(key_latent, num_steps))

    def each(key, step, latent):
        return step_losses(
            key, networks, settings, params, target_critics, step, latent
        )

    losses = jax.vmap(each)(jax.random.split(key_losses, num_steps), flat, latents)
    info = {name: jnp.mean(loss) for name, loss in losses.items()}
    loss = info["critic_loss"] + settings.kl_coefficient * kl + info["actor_loss"]
    loss += info.pop("temperature_loss", 0.0)
    return loss, {**info, "kl": kl}
