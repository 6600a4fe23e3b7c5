"""What a recipe is."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import jax

from jaxmeta.agents import Agent
from jaxmeta.types import Key, MetaLearner, MetaState, TaskDistribution

# With the numbers of ``agent_grid`` as keywords.
AgentIn = Callable[..., Agent]


class Experiment(NamedTuple):
    """What a recipe builds.

    Attributes:
        learner: meta-trains.
        test_learner: is evaluated with the meta-params of ``learner``; it may adapt for
            longer and on more episodes.
        test_tasks: held-out tasks.
        published: in place of the recipe's, where they depend on its arguments.
        optimum: likewise, wherever ``published`` is given.
        evaluate: ``(key, state, num) -> (returns [num, columns] of sampled actions,
            those of the mode)``, in place of the adaptation curve of ``test_learner``,
            where what is judged is the agents that live and not the meta-params.
        traces: entries of the info of an update to draw, such as hyper-parameters.
        unit: what lies between two columns of the curves, where it is neither an inner
            update nor an episode.
        agent_in: ``(distribution, hidden, lifetime, **numbers) -> Agent``, one that
            learns by the meta-params in another environment, with hidden layers of such
            sizes and a lifetime of so many updates, where the meta-params are a rule.
        agent_grid: the numbers a rule leaves open, such as the ``rate`` of the agent's
            optimizer, and what to choose each from.
    """

    learner: MetaLearner
    test_learner: MetaLearner
    test_tasks: TaskDistribution
    published: Mapping[str, Sequence[float | None]] | None = None
    optimum: Sequence[float] | None = None
    evaluate: Callable[[Key, MetaState, int], tuple[jax.Array, jax.Array]] | None = None
    traces: tuple[str, ...] = ()
    unit: str | None = None
    agent_in: AgentIn | None = None
    agent_grid: Mapping[str, Sequence[float]] = MappingProxyType({})


class Recipe(NamedTuple):
    """A named experiment.

    Attributes:
        name: what the command line calls it.
        summary: one line.
        method: the method's name.
        tasks: the task distribution's name.
        build: keyword arguments (the hyper-parameters) -> Experiment; its signature and
            docstring become the command line's flags.
        num_updates: meta-updates it needs.
        num_test_tasks: held-out tasks it is evaluated on.
        published: label -> published adaptation curve, None where nothing is known.
        optimum: the best possible adaptation curve, or None where it is not known.
        expected_time: of training, for ``jaxmeta list``.
    """

    name: str
    summary: str
    method: str
    tasks: str
    build: Callable[..., Experiment]
    num_updates: int
    num_test_tasks: int
    published: Mapping[str, Sequence[float | None]]
    optimum: Sequence[float] | None
    expected_time: str
