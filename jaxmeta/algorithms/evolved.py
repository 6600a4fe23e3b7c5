"""What the methods share whose agents live on and whose rule evolves."""

from collections.abc import Callable

import optax

from jaxmeta import checks, objectives, outer, policies
from jaxmeta.lifetime_learner import lifetime_learner
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import (
    Inner,
    Key,
    MetaLearner,
    Params,
    Policy,
    TaskDistribution,
)
from jaxmeta.windows import checked_lifetime


def evolved(
    tasks: TaskDistribution,
    policy: Policy,
    agent: Inner,
    meta_init: Callable[[Key], Params],
    *,
    objective: Objective | None,
    outer_optimizer: optax.GradientTransformation,
    sigma: float,
    ranked: bool,
    num_lifetimes: int,
    lifetime: int,
    num_updates: int | None,
    num_environments: int,
    length: int,
    persistent: bool,
    lifetime_batch_size: int | None,
) -> MetaLearner:
    """Agents that live on, by a rule that evolution strategies learn.

    Arguments as in :func:`learned_optimizer`; ``agent`` is how one learns, and
    ``meta_init`` makes the rule.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if a number is out of range, or the parts do not fit each other.
    """
    sigma = checks.positive("sigma", sigma)
    lifetime = checks.positive_int("lifetime", lifetime)
    if num_updates is None:
        num_updates = lifetime
    num_updates = checks.positive_int("num_updates", num_updates)
    checked_lifetime(lifetime, num_updates)
    if objective is None:
        objective = _default_objective(tasks, num_updates, lifetime, length)
    return lifetime_learner(
        tasks,
        policy,
        agent,
        outer.evolution(objective, outer_optimizer, sigma=sigma, ranked=ranked),
        meta_init,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_updates=num_updates,
        num_environments=num_environments,
        length=length,
        persistent=persistent,
        lifetime_batch_size=lifetime_batch_size,
    )


def _default_objective(
    tasks: TaskDistribution, num_updates: int, lifetime: int, length: int
) -> Objective:
    """What a life is judged by: the end of all of it, or the steps of a window.

    Raises:
        ValueError: if no episode may end in a life.
    """
    if num_updates < lifetime:
        return objectives.lifetime_reward()
    horizon = tasks.environment.horizon
    if (lifetime + 1) * checks.positive_int("length", length) < horizon:
        raise ValueError(
            f"lifetime: its {lifetime} updates of length={length} are shorter than an "
            f"episode of {horizon} steps, whose return is what a life is judged by; "
            "give objective=objectives.lifetime_reward()"
        )
    return objectives.lifetime_return(final=True)


def check_critic(tasks: TaskDistribution, policy: Policy) -> None:
    """Check that a policy estimates values.

    Raises:
        TypeError: if it is no policy.
        ValueError: if it has no critic.
    """
    if policies.check_policy(policy, tasks.environment).value is None:
        raise ValueError(
            "policy: it has no critic, which the advantages of its agents need; make "
            "one with critic=True"
        )


def check_minibatches(num_environments: int, num_minibatches: int) -> None:
    """Check that what agents act can be split.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if one is below one, or they do not divide.
    """
    num_environments = checks.positive_int("num_environments", num_environments)
    num_minibatches = checks.positive_int("num_minibatches", num_minibatches)
    if num_environments % num_minibatches:
        raise ValueError(
            f"num_minibatches must divide num_environments={num_environments}, got "
            f"{num_minibatches}"
        )
