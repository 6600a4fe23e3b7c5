"""LPG: a learning rule, learned from how agents fare that live by it."""

from collections.abc import Sequence

import optax

from jaxmeta import advantages, checks, inner, losses, objectives, outer, policies
from jaxmeta.algorithms import family
from jaxmeta.learned_rules import Rule, backward_lstm
from jaxmeta.lifetime_learner import lifetime_learner
from jaxmeta.policies import Predictive
from jaxmeta.ruled import Weights
from jaxmeta.types import MetaLearner, TaskDistribution
from jaxmeta.windows import checked_lifetime


def lpg(
    tasks: TaskDistribution,
    policy: Predictive,
    *,
    agent_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    num_lifetimes: int,
    lifetime: int,
    num_environments: int = 64,
    length: int = 20,
    num_updates: int = 5,
    rule: Rule | None = None,
    discount: float = 0.995,
    outer_discount: float = 0.995,
    outer_trace_decay: float = 0.95,
    entropy_coefficient: float = 0.05,
    weights: Weights | None = None,
    critic_hidden: Sequence[int] = (),
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """Learned policy gradients: what to do and what to predict is learned, not derived.

    Agents live in tasks of their own; after every batch they act, ``rule`` tells them
    how to change. Every ``K`` updates the rule descends, through these updates, the
    policy-gradient loss of the agents after each of them, with advantages of an outer
    critic that each agent trains beside it and never sees, an entropy bonus, and the
    regularizers of ``inner.learned_rule``. The meta-params are the rule: it fits agents
    of any network in any environment.

    Args:
        tasks: the distribution of tasks.
        policy: the agent, ``policies.predictive``.
        agent_optimizer: of an agent, by what the rule says; meta-differentiable.
        outer_optimizer: of the rule.
        critic_optimizer: of the outer critics.
        num_lifetimes: agents that live at a time.
        lifetime: updates in an agent's life, a multiple of ``num_updates``.
        num_environments: copies of its environment each acts in.
        length: steps in each copy per update.
        num_updates: ``K``, as far back as the meta-gradient reaches.
        rule: ``learned_rules.backward_lstm()`` by default; one that sees the lifetime
            makes this temporally-aware LPG.
        discount: that the rule is told.
        outer_discount: of what agents are meant to maximise.
        outer_trace_decay: its lambda.
        entropy_coefficient: of the agents' entropy, for the rule.
        weights: of the other regularizers.
        critic_hidden: sizes of the hidden layers of the outer critic; on one-hot
            observations it is a table without.
        lifetime_batch_size: as in ``lifetime_learner``.

    Source: Oh, Hessel, Czarnecki, Xu, van Hasselt, Singh and Silver, "Discovering
    Reinforcement Learning Algorithms", 2020.

    Raises:
        TypeError: if a number is no integer, an optimizer none, or the policy makes no
            predictions.
        ValueError: if a number is out of range, or the parts do not fit each other.
    """
    family.check_optimizers(
        agent_optimizer=agent_optimizer,
        outer_optimizer=outer_optimizer,
        critic_optimizer=critic_optimizer,
    )
    if not isinstance(policy, Predictive):
        raise TypeError(
            f"policy must be one of policies.predictive, got {type(policy).__name__}"
        )
    num_updates = checks.positive_int("num_updates", num_updates)
    checked_lifetime(lifetime, num_updates)
    rule = backward_lstm() if rule is None else rule
    alone = inner.learned_rule(
        policy,
        rule,
        agent_optimizer,
        discount=discount,
        weights=weights,
        lifetime=lifetime,
    )
    judge = policies.with_critic(
        policy.policy,
        tasks.environment,
        hidden=critic_hidden,
        bias=bool(critic_hidden),
    )
    loss = losses.policy_gradient(
        judge,
        advantages.value_baseline(
            discount=outer_discount, trace_decay=outer_trace_decay
        ),
        entropy_coefficient=entropy_coefficient,
        value_coefficient=1.0,
    )
    agent = inner.with_critic(
        alone, lambda key: judge.init(key).critic, loss, critic_optimizer
    )
    objective = objectives.after_adaptation(
        agent,
        loss,
        weights=(1.0 / num_updates,) * num_updates,
        regularizer="regularizer",
    )
    return lifetime_learner(
        tasks,
        judge,
        agent,
        outer.gradient(objective, outer_optimizer, task_batch_size=lifetime_batch_size),
        rule.init,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_updates=num_updates,
        num_environments=num_environments,
        length=length,
        lifetime_batch_size=lifetime_batch_size,
    )
