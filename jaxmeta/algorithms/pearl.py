"""PEARL: infer the task from what was seen, and learn off-policy to act on it."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmeta import checks, inner, learner, policies
from jaxmeta.algorithms import family
from jaxmeta.algorithms.latent_actor_critic import (
    Networks,
    PEARLParams,
    Settings,
    acting,
    steps_of,
)
from jaxmeta.algorithms.replayed_tasks import on_replay
from jaxmeta.distributions import DiagonalGaussian, TanhGaussian
from jaxmeta.policies import ContextParams, Perceptron
from jaxmeta.types import (
    Dataset,
    Environment,
    Key,
    MetaLearner,
    Policy,
    TaskDistribution,
)

# A factor is never narrower: the precision of a product stays finite.
_LEAST_VARIANCE = 1e-6


def pearl(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    outer_optimizer: optax.GradientTransformation,
    num_tasks: int,
    num_updates: int,
    num_episodes: int = 1,
    length: int | None = None,
    capacity: int = 1000,
    num_gradient_steps: int = 50,
    replayed_tasks: int = 16,
    batch_size: int = 64,
    discount: float = 0.99,
    target_rate: float = 0.005,
    kl_coefficient: float = 0.1,
    temperature: float = 0.1,
    learn_temperature: bool = True,
    target_entropy: float | None = None,
    critic_hidden: Sequence[int] = (128, 128),
    encoder_hidden: Sequence[int] = (128, 128),
    encode_next_observation: bool = False,
) -> MetaLearner:
    """PEARL: posterior sampling of a latent task, and a soft actor-critic given it.

    An encoder turns every transition seen of a task into a Gaussian factor of the
    posterior ``q(z | c)`` over a latent ``z``. The agent acts on a draw of ``z``, at
    first from the prior ``N(0, I)``, and draws anew after every ``num_episodes``
    episodes. The critics' loss is

    ``E_{z ~ q(z | c)} sum_i (Q_i(s, a, z) - y)^2 / 2 + kl_coefficient KL(q(z | c) ||
    N(0, I))``, ``y = r + discount (1 - terminated) (min_i Q'_i(s', a', z) - temperature
    log pi(a' | s', z))``,

    and trains the encoder too; the actor descends ``temperature log pi(a | s, z) -
    min_i Q_i(s, a, z)`` with ``z`` held fixed.

    The replay holds, of each task met, all that was seen in the one visit to it: tasks
    are drawn afresh in every update, so there are no others to return to. The context
    an item is learned with is what the agent had seen after one, two, ... ``num_updates
    + 1`` batches of it, at random.

    Args:
        tasks: the distribution of tasks, of bounded continuous actions.
        policy: ``policies.with_context(policies.squashed, tasks.environment,
            size=...)``; the size is that of the latent. One of your own may read of a
            timestep nothing but the observation.
        outer_optimizer: of actor, critics, encoder and temperature.
        num_tasks: new tasks per update.
        num_updates: draws of the posterior per task, at least one.
        num_episodes: episodes on each draw, and on the one from the prior.
        length: steps per episode.
        capacity: tasks in the replay, the newest; at least ``num_tasks``.
        num_gradient_steps: per update.
        replayed_tasks: tasks of a gradient step.
        batch_size: steps of each of them.
        discount: of the reward.
        target_rate: how far the target critics go towards the critics in a step.
        kl_coefficient: of the information the latent holds.
        temperature: weight of the entropy; where it is learned, its initial value.
        learn_temperature: raise it where the entropy is below ``target_entropy`` and
            lower it elsewhere.
        target_entropy: in nats; by default minus one for each dimension of an action
            whose bounds are -1 and 1, and as much for others in units of theirs.
        critic_hidden: sizes of the hidden layers of each critic.
        encoder_hidden: of the encoder.
        encode_next_observation: whether a factor depends on the next observation too,
            for tasks that differ in their dynamics.

    Source: Rakelly, Zhou, Quillen, Finn and Levine, "Efficient Off-Policy Meta-
    Reinforcement Learning via Probabilistic Context Variables", 2019; Haarnoja et al.,
    "Soft Actor-Critic Algorithms and Applications", 2018.

    Raises:
        TypeError: if a number is none, or the optimizer no optax transform.
        ValueError: if the policy is not one as above, a number is out of range, or the
            tasks are those of a Dataset.
    """
    family.check_optimizers(outer_optimizer=outer_optimizer)
    num_latents = _check_policy(tasks, policy)
    num_tasks = checks.positive_int("num_tasks", num_tasks)
    num_updates = checks.positive_int("num_updates", num_updates)
    num_episodes = checks.positive_int("num_episodes", num_episodes)
    environment = tasks.environment
    assert isinstance(environment, Environment)
    length = environment.horizon if length is None else length
    length = checks.positive_int("length", length)
    settings = Settings(
        capacity=checks.positive_int("capacity", capacity, minimum=num_tasks),
        num_gradient_steps=checks.positive_int(
            "num_gradient_steps", num_gradient_steps
        ),
        replayed_tasks=checks.positive_int("replayed_tasks", replayed_tasks),
        batch_size=checks.positive_int("batch_size", batch_size),
        discount=discount,
        target_rate=target_rate,
        kl_coefficient=checks.positive("kl_coefficient", kl_coefficient, or_zero=True),
        temperature=checks.positive("temperature", temperature),
        target_entropy=(
            None
            if target_entropy is None
            else checks.finite("target_entropy", target_entropy)
        ),
    )
    checks.unit_interval("discount", discount)
    checks.positive("target_rate", target_rate)
    checks.unit_interval("target_rate", target_rate)
    networks, meta_init = _networks(
        policy,
        environment,
        num_latents,
        critic_hidden=critic_hidden,
        encoder_hidden=encoder_hidden,
        encode_next_observation=encode_next_observation,
        temperature=temperature if learn_temperature else None,
    )

    def encode_batch(meta_params, batch):
        each = jax.vmap(jax.vmap(partial(networks.encode, meta_params.encoder)))
        return each(steps_of(batch))

    return learner.meta_learner(
        tasks,
        policy,
        inner.posterior(encode_batch, num_latents),
        on_replay(
            networks,
            settings,
            outer_optimizer,
            environment,
            num_updates=num_updates,
            num_steps=num_episodes * length,
        ),
        meta_init,
        num_tasks=num_tasks,
        num_updates=num_updates,
        num_episodes=num_episodes,
        length=length,
    )


def _networks(
    policy: Policy,
    environment: Environment,
    num_latents: int,
    *,
    critic_hidden: Sequence[int],
    encoder_hidden: Sequence[int],
    encode_next_observation: bool,
    temperature: float | None,
) -> tuple[Networks, Callable[[Key], PEARLParams]]:
    """The networks and what draws their params, with a temperature unless None."""
    critic = Perceptron(1, checks.positive_ints("critic_hidden", critic_hidden))
    encoder = Perceptron(
        2 * num_latents, checks.positive_ints("encoder_hidden", encoder_hidden)
    )

    def value(params, observation, action, latent):
        return critic.apply(params, _joined(observation, action, latent))[0]

    def encode(params, step):
        parts = [step.observation, step.action, step.reward]
        if encode_next_observation:
            parts.append(step.next_observation)
        output = jnp.asarray(encoder.apply(params, _joined(*parts)))
        mean, spread = jnp.split(output, 2)
        variance = jnp.maximum(jax.nn.softplus(spread), _LEAST_VARIANCE)
        return DiagonalGaussian(mean, 0.5 * jnp.log(variance))

    def meta_init(key):
        keys = jax.random.split(key, 4)
        observation, action = (
            jnp.zeros(space.shape)
            for space in (environment.observation, environment.action)
        )
        critic_inputs = _joined(observation, action, jnp.zeros(num_latents))
        start = (
            None
            if temperature is None
            else jnp.asarray(np.log(temperature), jnp.float32)
        )
        seen = (observation,) * (2 if encode_next_observation else 1)
        return PEARLParams(
            actor=policy.init(keys[0]).network,
            critics=(
                critic.init(keys[1], critic_inputs),
                critic.init(keys[2], critic_inputs),
            ),
            encoder=encoder.init(keys[3], _joined(*seen, action, jnp.zeros(()))),
            log_temperature=start,
        )

    return Networks(acting(policy, environment), value, encode), meta_init


def _joined(*parts: jax.Array) -> jax.Array:
    """Arrays of one step, flattened into one vector."""
    return jnp.concatenate([part.reshape(-1) for part in parts])


def _check_policy(tasks: TaskDistribution, policy: Policy) -> int:
    """Check that a policy is one that PEARL can train; the size of its latent.

    Raises:
        ValueError: if it is not.
    """
    if isinstance(tasks.environment, Dataset):
        raise ValueError(
            "tasks: they are those of a Dataset, and pearl needs an environment to act "
            "in"
        )
    made_by = (
        "policies.with_context(policies.squashed, tasks.environment, size=...), whose "
        "size is that of the latent"
    )
    output = policies.check_policy(policy, tasks.environment)
    params = jax.eval_shape(policy.init, jax.random.key(0))
    if not isinstance(params, ContextParams):
        raise ValueError(
            f"policy: pearl acts on a latent, and this policy has no context; use "
            f"{made_by}"
        )
    if not isinstance(output.distribution, TanhGaussian):
        raise ValueError(
            "policy: pearl needs a TanhGaussian over bounded actions, got "
            f"{type(output.distribution).__name__}; use {made_by}"
        )
    if jax.tree.leaves(policy.initial_carry()):
        raise ValueError(
            f"policy: pearl learns from single steps, and this one has memory; use "
            f"{made_by}"
        )
    if output.value is not None:
        raise ValueError(
            "policy: it has a critic, which pearl would not train: it has its own; use "
            f"{made_by}"
        )
    return params.context.shape[0]
