"""What a recipe is."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from jaxmeta.agents import Agent
from jaxmeta.types import Key, MetaLearner, MetaState, TaskDistribution

AgentIn = Callable[[TaskDistribution, tuple[int, ...], float, int], Agent]


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
        agent_in: ``(distribution, hidden, rate, lifetime) -> Agent``, one that learns
            by the meta-params in another environment, with so many hidden units, where
            the meta-params are a rule. ``rate`` is that of its optimizer, if the rule
            leaves that open; ``lifetime`` counts its updates.
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
