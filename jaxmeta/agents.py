"""Agents that live in one task: who acts, and by which rule it learns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import optax
from gymnax.environments import spaces

from jaxmeta import advantages, checks, inner, losses, policies, trees
from jaxmeta.learned_rules import Rule
from jaxmeta.types import Environment, Inner, Params, Policy

RATES = (1e-3, 3e-3, 1e-2)  # of Adam, to choose from for networks


class Agent(NamedTuple):
    """An agent.

    Attributes:
        policy: who acts.
        inner: how it is made, and how it learns.
    """

    policy: Policy
    inner: Inner


class Numbers(NamedTuple):
    """The numbers of a known rule, its meta-params; ``jax.vmap`` maps over them.

    Attributes:
        rate: of the optimizer.
        entropy_coefficient: of the entropy bonus.
        trace_decay: lambda of the advantages.
    """

    rate: Any = 1e-3
    entropy_coefficient: Any = 0.01
    trace_decay: Any = 0.95


class Tuned(NamedTuple):
    """The meta-params of an agent by a learned rule that leaves numbers open.

    Attributes:
        rule: its own meta-params.
        numbers: by name.
    """

    rule: Params
    numbers: dict[str, Any]


def with_numbers(make: Callable[..., Agent], numbers: Mapping[str, float]) -> Agent:
    """An agent whose numbers are meta-params, ``Tuned``: one program serves them all.

    Args:
        make: ``(**numbers) -> Agent``; who acts must not depend on them.
        numbers: any that are allowed, to make the policy by.
    """

    def init(key, meta_params):
        return make(**meta_params.numbers).inner.init(key, meta_params.rule)

    def update(key, meta_params, state, batch):
        learns = make(**meta_params.numbers).inner
        return learns.update(key, meta_params.rule, state, batch)

    def params(meta_params, state):
        return make(**meta_params.numbers).inner.params(meta_params.rule, state)

    return Agent(make(**numbers).policy, Inner(init, update, params))


def ruled(
    environment: Environment,
    rule: Rule,
    optimizer: optax.GradientTransformation,
    *,
    hidden: Sequence[int] = (64, 64),
    discount: float = 0.995,
    lifetime: int | None = None,
) -> Agent:
    """An agent that learns by a learned rule, in any environment with discrete actions.

    Its meta-params are the rule's, wherever those were learned.

    Args:
        environment: to act in.
        rule: such as ``learned_rules.backward_lstm()``.
        optimizer: of the agent.
        hidden: sizes of the hidden layers; none make a table of one-hot observations.
        discount: that the rule is told.
        lifetime: updates in its life, for a rule that sees it.

    Raises:
        TypeError: if ``environment`` is none.
        ValueError: if its actions are not discrete, or a number is out of range.
    """
    agent = policies.predictive(
        environment, hidden=hidden, num_predictions=rule.num_predictions
    )
    if not isinstance(environment.action, spaces.Discrete):
        raise ValueError(
            f"environment: the actions of {environment.name} are continuous, and a "
            "rule reads the probability of an action; it needs discrete ones"
        )
    learns = inner.learned_rule(
        agent, rule, optimizer, discount=discount, lifetime=lifetime
    )
    return Agent(agent.policy, learns)


def a2c(
    environment: Environment,
    *,
    hidden: Sequence[int] = (64, 64),
    discount: float = 0.99,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
    critic_optimizer: optax.GradientTransformation | None = None,
) -> Agent:
    """An agent that learns by advantage actor-critic; its meta-params are ``Numbers``.

    Args:
        environment: to act in.
        hidden: sizes of the hidden layers; none make tables of one-hot observations.
        discount: of the advantages.
        optimizer: ``rate -> transform``.
        critic_optimizer: of the critic, if it has one of its own.

    Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", 2016,
    with environments in step.

    Raises:
        TypeError: if ``environment`` is none.
        ValueError: if a number is out of range.
    """
    policy = _with_values(environment, hidden)

    def loss(numbers: Numbers):
        return losses.policy_gradient(
            policy,
            advantages.value_baseline(
                discount=discount, trace_decay=numbers.trace_decay
            ),
            entropy_coefficient=numbers.entropy_coefficient,
        )

    optimizers = _optimizers(optimizer, critic_optimizer)
    return Agent(policy, inner.descent(policy.init, loss, optimizers))


def ppo(
    environment: Environment,
    *,
    hidden: Sequence[int] = (64, 64),
    discount: float = 0.99,
    clip: float = 0.2,
    num_epochs: int = 4,
    num_minibatches: int = 4,
    optimizer: Callable[[Any], optax.GradientTransformation] = optax.adam,
    critic_optimizer: optax.GradientTransformation | None = None,
) -> Agent:
    """An agent that learns by PPO, advantages normalised; arguments as in :func:`a2c`.

    Args:
        environment: to act in.
        hidden: sizes of the hidden layers.
        discount: of the advantages.
        clip: how far the ratio may move.
        num_epochs: how often an update learns from each trajectory.
        num_minibatches: steps per epoch; a divisor of the number of environments.
        optimizer: ``rate -> transform``.
        critic_optimizer: of the critic, if it has one of its own.

    Source: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy
    Optimization Algorithms", 2017.

    Raises:
        TypeError: if ``environment`` is none, or a number no integer.
        ValueError: if a number is out of range.
    """
    policy = _with_values(environment, hidden)
    clip = checks.positive("clip", clip)

    def loss(numbers: Numbers):
        return losses.clipped_surrogate(
            policy,
            advantages.value_baseline(
                discount=discount, trace_decay=numbers.trace_decay, normalize=True
            ),
            clip=clip,
            entropy_coefficient=numbers.entropy_coefficient,
        )

    learns = inner.descent(
        policy.init,
        loss,
        _optimizers(optimizer, critic_optimizer),
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
    return Agent(policy, learns)


def _with_values(environment: Environment, hidden: Sequence[int]) -> Policy:
    return policies.mlp(environment, hidden=hidden, critic=True, bias=bool(hidden))


def _optimizers(
    optimizer: Callable[[Any], optax.GradientTransformation],
    critic_optimizer: optax.GradientTransformation | None,
) -> Callable[[Any], optax.GradientTransformation]:
    """Of all params, or of what acts and of the critic apart."""
    if critic_optimizer is None:
        return lambda numbers: optimizer(numbers.rate)

    def labels(params):
        is_critic = trees.path_mask(params, lambda path: "critic" in path)
        return jax.tree.map(lambda yes: "critic" if yes else "policy", is_critic)

    return lambda numbers: optax.partition(
        {"policy": optimizer(numbers.rate), "critic": critic_optimizer}, labels
    )
