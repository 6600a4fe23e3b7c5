"""An actor-critic whose own numbers learn while it learns to catch."""

import optax

from jaxmeta import advantages, hyperparameters, losses, optimizers, policies, tasks
from jaxmeta.algorithms import metagradient
from jaxmeta.recipes import living
from jaxmeta.recipes.types import Experiment, Recipe


def build(
    *,
    num_lifetimes: int = 1,
    num_environments: int = 32,
    length: int = 20,
    num_inner_updates: int = 1,
    hidden: tuple[int, ...] = (64,),
    rate: float = 1e-3,
    discount: float = 0.7,
    trace_decay: float = 0.7,
    entropy_coefficient: float = 0.1,
    outer_rate: float = 1e-2,
    critic_rate: float = 1e-3,
    outer_discount: float = 0.99,
) -> Experiment:
    """Meta-gradients of rate, discount, lambda and entropy bonus of an actor-critic.

    Args:
        num_lifetimes: agents that live at a time, all by the same numbers.
        num_environments: boards each plays on.
        length: steps on each board per update.
        num_inner_updates: updates a meta-gradient reaches back.
        hidden: sizes of the agent's hidden layers.
        rate: of the agent's Adam, at first.
        discount: of the agent, at first.
        trace_decay: its lambda, at first.
        entropy_coefficient: weight of its entropy bonus, at first.
        outer_rate: of the Adam of these four.
        critic_rate: of the Adam of the outer critic.
        outer_discount: of what the agent is meant to maximise.
    """
    distribution = tasks.from_gymnax("Catch-bsuite")
    policy = policies.mlp(distribution.environment, hidden=hidden, critic=True)
    numbers = {
        "rate": hyperparameters.positive(rate),
        "discount": hyperparameters.interval(discount, 0.0, 1.0),
        "trace_decay": hyperparameters.interval(trace_decay, 0.0, 1.0),
        "entropy_coefficient": hyperparameters.positive(entropy_coefficient),
    }
    learner = metagradient(
        distribution,
        policy,
        hyperparameters=numbers,
        inner_loss=lambda values: losses.policy_gradient(
            policy,
            advantages.value_baseline(
                discount=values["discount"], trace_decay=values["trace_decay"]
            ),
            entropy_coefficient=values["entropy_coefficient"],
        ),
        inner_optimizer=lambda values: optimizers.adam(values["rate"]),
        outer_optimizer=optax.adam(outer_rate),
        outer_discount=outer_discount,
        critic_optimizer=optax.adam(critic_rate),
        num_lifetimes=num_lifetimes,
        num_environments=num_environments,
        length=length,
        num_updates=num_inner_updates,
    )
    return Experiment(
        learner,
        learner,
        distribution,
        {},
        (1.0,),
        evaluate=living.tested(learner),
        unit="window",
        traces=tuple(numbers),
    )


RECIPE = Recipe(
    name="metagradient-catch",
    summary="an actor-critic sets its own rate, discount, lambda and entropy bonus",
    method="meta-gradients",
    tasks="Catch",
    build=build,
    num_updates=3000,
    num_test_tasks=10_000,
    published={},
    optimum=(1.0,),
    expected_time="half a minute on one CPU core",
)
