"""PEARL's outer learner: many gradient steps on tasks drawn from a replay."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxmeta import replay, trees
from jaxmeta.algorithms.latent_actor_critic import (
    Networks,
    Settings,
    Step,
    steps_of,
    task_loss,
    temperature_of,
)
from jaxmeta.replay import Replay
from jaxmeta.types import Environment, Experience, Outer, Params


class PEARLState(NamedTuple):
    """What the next update needs.

    Attributes:
        optimizer_state: of all meta-params.
        target_critics: which follow the critics slowly.
        replay: of tasks; an item is all steps of one visit, ``[K + 1, N T]``.
    """

    optimizer_state: Any
    target_critics: tuple[Params, Params]
    replay: Replay


def on_replay(
    networks: Networks,
    settings: Settings,
    optimizer: optax.GradientTransformation,
    environment: Environment,
    *,
    num_updates: int,
    num_steps: int,
) -> Outer:
    """Keep what was seen of every task, and learn from tasks drawn from what is kept.

    Args:
        networks: of actor, critics and encoder.
        settings: numbers of the method.
        optimizer: of the meta-params, which are ``PEARLParams``.
        environment: what the steps are of.
        num_updates: ``K`` of the experience.
        num_steps: ``N T`` steps of each of its batches.
    """
    loss = jax.vmap(
        lambda *arguments: task_loss(*arguments, networks=networks, settings=settings),
        in_axes=(0, None, None, 0),
    )

    def init(meta_params):
        def leaf(shape, dtype) -> Any:  # a shape, where a Step has arrays
            return jax.ShapeDtypeStruct((num_updates + 1, num_steps, *shape), dtype)

        observation = leaf(environment.observation.shape, environment.observation.dtype)
        action = leaf(environment.action.shape, environment.action.dtype)
        reward = leaf((), jnp.float32)
        item = Step(observation, action, reward, observation, leaf((), bool))
        return PEARLState(
            trees.strong_types(optimizer.init(meta_params)),
            # Arrays of their own: a caller may donate the whole state.
            jax.tree.map(jnp.copy, meta_params.critics),
            replay.empty(item, settings.capacity),
        )

    def mean_loss(params, target_critics, keys, items):
        losses, info = loss(keys, params, target_critics, items)
        return jnp.mean(losses), jax.tree.map(jnp.mean, info)

    def update(key, meta_params, state, experience):
        kept = replay.add(state.replay, _items(experience))

        def gradient_step(carry, key):
            params, optimizer_state, target_critics = carry
            key_tasks, key_loss = jax.random.split(key)
            items = replay.sample(key_tasks, kept, settings.replayed_tasks)
            keys = jax.random.split(key_loss, settings.replayed_tasks)
            gradients, info = jax.grad(mean_loss, has_aux=True)(
                params, target_critics, keys, items
            )
            updates, optimizer_state = optimizer.update(
                gradients, optimizer_state, params
            )
            params: Any = optax.apply_updates(params, updates)
            target_critics: Any = optax.incremental_update(
                params.critics, target_critics, settings.target_rate
            )
            info["temperature"] = temperature_of(settings, params)
            info["meta_gradient_norm"] = trees.safe_norm(gradients)
            return (params, optimizer_state, target_critics), info

        start = (meta_params, state.optimizer_state, state.target_critics)
        keys = jax.random.split(key, settings.num_gradient_steps)
        carry, info = jax.lax.scan(gradient_step, start, keys)
        meta_params, optimizer_state, target_critics = carry
        info = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), info)
        state = PEARLState(optimizer_state, target_critics, kept)
        return meta_params, state, info

    return Outer(init, update)


def _items(experience: Experience) -> Step:
    """The steps of every task ``[M, K + 1, N T]``, those of the query last."""

    def joined(support, query):
        both = jnp.concatenate([support, query[:, None]], axis=1)
        return both.reshape(*both.shape[:2], -1, *both.shape[4:])

    return jax.tree.map(
        joined, steps_of(experience.support), steps_of(experience.query)
    )
