"""Acting in one environment, and evaluating a policy on what was recorded."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmeta.policies import first_timestep
from jaxmeta.types import (
    Environment,
    Examples,
    Key,
    Params,
    Policy,
    PolicyOutput,
    Timestep,
    Transition,
)


class RolloutState(NamedTuple):
    """Where a rollout stands: continue it by passing it to :func:`rollout` again."""

    environment_state: Any
    timestep: Timestep
    carry: Any


def start(
    key: Key, environment: Environment, policy: Policy, task: Any
) -> RolloutState:
    """The start of a trial: the environment reset, the policy's memory empty."""
    state, observation = environment.reset(key, task)
    timestep = first_timestep(environment)._replace(observation=observation)
    return RolloutState(state, timestep, policy.initial_carry())


def rollout(
    key: Key,
    environment: Environment,
    policy: Policy,
    params: Params,
    task: Any,
    state: RolloutState,
    *,
    length: int,
    mode: bool = False,
) -> tuple[Transition, RolloutState]:
    """Act for ``length`` steps, with auto-reset of the environment (not of the memory).

    Args:
        key: consumed.
        environment: where to act.
        policy: who acts, with ``params``.
        params: policy params.
        task: the task.
        state: where the rollout stands.
        length: ``T`` steps.
        mode: act with the distribution's mode instead of a sample.

    Returns:
        Transitions ``[T]``, and the state to continue from.
    """

    def step(state: RolloutState, keys: Key):
        key_action, key_step = keys[0], keys[1]
        output, carry = policy.apply(params, state.carry, state.timestep)
        distribution = output.distribution
        action = distribution.mode() if mode else distribution.sample(key_action)
        result = environment.step(key_step, state.environment_state, action, task)
        transition = Transition(
            timestep=state.timestep,
            action=action,
            distribution=distribution,
            reward=result.reward,
            terminated=result.terminated,
            truncated=result.truncated,
            next_observation=result.next_observation,
        )
        timestep = Timestep(
            observation=result.observation,
            previous_action=action,
            previous_reward=result.reward,
            is_first=result.terminated | result.truncated,
        )
        return RolloutState(result.state, timestep, carry), transition

    state, transitions = jax.lax.scan(step, state, jax.random.split(key, (length, 2)))
    return transitions, state


def episodes(
    key: Key,
    environment: Environment,
    policy: Policy,
    params: Params,
    task: Any,
    *,
    num_episodes: int,
    length: int,
    mode: bool = False,
) -> Transition:
    """A batch of independent rollouts of one task, each from a fresh reset.

    Returns:
        Transitions ``[N, T]``.
    """

    def one(key: Key) -> Transition:
        key_start, key_rollout = jax.random.split(key)
        state = start(key_start, environment, policy, task)
        transitions, _ = rollout(
            key_rollout,
            environment,
            policy,
            params,
            task,
            state,
            length=length,
            mode=mode,
        )
        return transitions

    return jax.vmap(one)(jax.random.split(key, num_episodes))


def unroll(
    policy: Policy, params: Params, transitions: Transition, *, next_values: bool = True
) -> tuple[PolicyOutput, jax.Array | None]:
    """Evaluate a policy along one recorded trajectory, from the start of a trial.

    A policy without memory is evaluated on all steps at once; one with memory in its
    sequence mode, or by a scan where it has none or ``next_values`` are wanted.

    Args:
        policy: the policy.
        params: its params.
        transitions: ``[T]``.
        next_values: whether to evaluate the states reached too.

    Returns:
        Its outputs ``[T]`` and the values ``[T]`` of the states reached (before any
        reset), which are None without a critic, or unless ``next_values``.
    """

    def step(carry, transition: Transition):
        output, carry = policy.apply(params, carry, transition.timestep)
        if output.value is None or not next_values:
            return carry, (output, None)
        reached = Timestep(
            observation=transition.next_observation,
            previous_action=transition.action,
            previous_reward=transition.reward,
            is_first=jnp.zeros_like(transition.terminated),
        )
        return carry, (output, policy.apply(params, carry, reached)[0].value)

    carry = policy.initial_carry()
    if not jax.tree.leaves(carry):
        return jax.vmap(lambda transition: step(carry, transition)[1])(transitions)
    if policy.sequence is not None and not next_values:
        return policy.sequence(params, transitions.timestep), None
    return jax.lax.scan(step, carry, transitions)[1]


def predict(policy: Policy, params: Params, examples: Examples) -> Any:
    """The distributions ``[N]`` of the targets of examples; the targets are not seen.

    Args:
        policy: the policy; each input is all it sees of a trial.
        params: its params.
        examples: ``[N]``; of their targets the shape and dtype alone matter.
    """

    def one(example: Examples) -> Any:
        timestep = Timestep(
            observation=example.inputs,
            previous_action=jnp.zeros_like(example.targets),
            previous_reward=jnp.zeros((), jnp.float32),
            is_first=jnp.ones((), bool),
        )
        return policy.apply(params, policy.initial_carry(), timestep)[0].distribution

    return jax.vmap(one)(examples)
