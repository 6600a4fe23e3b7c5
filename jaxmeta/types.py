"""The types every layer speaks: NamedTuples of arrays and of pure functions.

Shapes are those of one environment and one trajectory; batches add leading axes:
``T`` time steps, ``N`` episodes, ``K`` inner updates, ``M`` tasks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

Key = jax.Array
"""A typed key (``jax.random.key``): always the first argument, consumed once."""

Params = Any
"""A pytree of arrays."""

Info = dict[str, jax.Array]
"""Diagnostics: what a user may want to see, never what the next step needs."""


class Distribution(Protocol):
    """An action distribution: a pytree whose leaves share their leading axes."""

    def sample(self, key: Key) -> jax.Array:
        """Draw one action."""
        ...

    def mode(self) -> jax.Array:
        """The most likely action."""
        ...

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-probability (density) of ``action``, summed over its dimensions."""
        ...

    def entropy(self) -> jax.Array:
        """Entropy in nats."""
        ...

    def kl(self, other: Any) -> jax.Array:
        """KL(self || other) in nats."""
        ...


class Timestep(NamedTuple):
    """What the agent sees before it acts.

    Attributes:
        observation: ``[...]`` float32.
        previous_action: the last action; at the start of a trial zeros or, if it is
            discrete, -1, whose one-hot vector is zeros.
        previous_reward: ``[]`` the last reward; that of a terminal step is still
            seen here at the start of the next episode of the trial.
        is_first: ``[]`` bool, true on the first step of an episode.
    """

    observation: jax.Array
    previous_action: jax.Array
    previous_reward: jax.Array
    is_first: jax.Array


class Transition(NamedTuple):
    """One step of interaction; a rollout has a leading ``[T]``, a batch ``[N, T]``.

    Attributes:
        timestep: what the agent saw.
        action: what it did.
        distribution: the distribution the action was drawn from, so importance
            ratios and KL divergences need no re-evaluation of the old policy.
        reward: ``[]`` float32.
        terminated: ``[]`` bool, the episode ended and its continuation is worth zero.
        truncated: ``[]`` bool, the episode was cut (time limit): its continuation is
            worth the value of ``next_observation``.
        next_observation: the observation after the step, before any auto-reset.
    """

    timestep: Timestep
    action: jax.Array
    distribution: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_observation: jax.Array


class Examples(NamedTuple):
    """Labelled examples of a supervised task; a batch has a leading ``[N]``.

    Attributes:
        inputs: ``[N, ...]`` float32.
        targets: ``[N, D]`` float32 for regression, ``[N]`` int32 classes for
            classification.
    """

    inputs: jax.Array
    targets: jax.Array


class StepResult(NamedTuple):
    """What one environment step returns; ``observation`` is after auto-reset."""

    state: Any
    observation: jax.Array
    next_observation: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class Environment(NamedTuple):
    """One environment as pure functions of a task.

    Attributes:
        reset: ``(key, task) -> (state, observation)``.
        step: ``(key, state, action, task) -> StepResult``, with auto-reset.
        observation: shape and dtype of an observation.
        action: the gymnax action space.
        horizon: the longest an episode can last, in steps.
        name: for messages and plots.
    """

    reset: Callable[[Key, Any], tuple[Any, jax.Array]]
    step: Callable[[Key, Any, jax.Array, Any], StepResult]
    observation: jax.ShapeDtypeStruct
    action: Any
    horizon: int
    name: str


class Dataset(NamedTuple):
    """A supervised problem as pure functions of a task, in an environment's place.

    A policy sees an input where it would see an observation; the mode of what it
    returns is its prediction.

    Attributes:
        examples: ``(key, task, num) -> Examples [num]`` of one task, independent or
            distinct ones. Support and query of a task are halves of one such draw.
        observation: shape and dtype of one input.
        action: the gymnax space of one target, a ``Box`` of shape ``(D,)`` for
            regression, ``Discrete`` for classification.
        score: ``(distribution, target) -> []`` of one prediction, higher is better.
        horizon: one; an example is an episode of one step.
        name: for messages and plots.
    """

    examples: Callable[[Key, Any, int], Examples]
    observation: jax.ShapeDtypeStruct
    action: Any
    score: Callable[[Any, jax.Array], jax.Array]
    horizon: int
    name: str


class TaskDistribution(NamedTuple):
    """A distribution ``sample(key) -> task`` over tasks, and where they are met."""

    environment: Environment | Dataset
    sample: Callable[[Key], Any]


class PolicyOutput(NamedTuple):
    """An action distribution and the critic's value ``[]``, None without a critic."""

    distribution: Any
    value: jax.Array | None


class Policy(NamedTuple):
    """A policy as pure functions.

    Attributes:
        init: ``(key) -> params``.
        initial_carry: ``() -> carry``, the memory at the start of a trial; an empty
            tuple for a policy without memory.
        apply: ``(params, carry, timestep) -> (PolicyOutput, carry)``, to act.
        sequence: ``(params, timesteps [T]) -> PolicyOutput [T]``, to learn: the outputs
            of ``apply`` along a trial, from its start. None: ``apply`` in a scan.
        max_length: the most steps of a trial its memory can hold; None: any number.
        beliefs: ``(params, timesteps [T]) -> distribution [T]`` of the latent of the
            task, given the trial so far; None: it has none.
    """

    init: Callable[[Key], Params]
    initial_carry: Callable[[], Any]
    apply: Callable[[Params, Any, Timestep], tuple[PolicyOutput, Any]]
    sequence: Callable[[Params, Timestep], PolicyOutput] | None = None
    max_length: int | None = None
    beliefs: Callable[[Params, Timestep], Any] | None = None


class Inner(NamedTuple):
    """An inner learner: how the data of one task changes the agent.

    Attributes:
        init: ``(key, meta_params) -> state`` at the start of a task.
        update: ``(key, meta_params, state, batch) -> (state, info)``, one unit of
            adaptation from a batch of transitions ``[N, T]`` or examples ``[N]``.
        params: ``(meta_params, state) -> policy params`` to act with.
    """

    init: Callable[[Key, Params], Any]
    update: Callable[[Key, Params, Any, Any], tuple[Any, Info]]
    params: Callable[[Params, Any], Params]


class Experience(NamedTuple):
    """All that was seen of one task; a batch of tasks adds a leading ``[M]``.

    Attributes:
        keys: ``[K + 1]`` keys of ``Inner.init`` and of the ``K`` updates, so that
            replaying the updates repeats them exactly.
        support: transitions ``[K, N, T]``, or examples ``[K, N]``; update ``k``
            learned from ``support[k]``.
        query: transitions ``[N, T]`` of the adapted policy, or examples ``[N]`` that
            are not those of the support.
        initial: the state of the inner learner before the updates; None: that of
            ``Inner.init``, where adaptation starts anew.
        window: of an agent that lives on, which part of its life this is and how well
            it went, a ``lifetimes.Window``.
    """

    keys: Key
    support: Any
    query: Any
    initial: Any = None
    window: Any = None


class Outer(NamedTuple):
    """An outer learner: how the experience of a batch of tasks changes the meta-params.

    Attributes:
        init: ``(meta_params) -> state``.
        update: ``(key, meta_params, state, experience [M]) ->
            (meta_params, state, info)``.
        propose: ``(key, meta_params) -> meta-params with a leading [P]``, which act on
            a task in place of ``meta_params``, all with the same random numbers; the
            experience is then ``[M, P]``. The keys are ``split(key, M)`` of that of
            ``update``. None: the meta-params themselves act.
        objective: ``(meta_params, experience of one task) -> (scalar, info)``, whose
            mean gradient over tasks moves the meta-params. None: there is no such
            gradient (Reptile, evolution strategies).
    """

    init: Callable[[Params], Any]
    update: Callable[[Key, Params, Any, Experience], tuple[Params, Any, Info]]
    propose: Callable[[Key, Params], Params] | None = None
    objective: Callable[[Params, Experience], tuple[jax.Array, Info]] | None = None


class MetaState(NamedTuple):
    """The whole state of meta-training, a plain pytree: save, vmap or shard it freely.

    Attributes:
        meta_params: what is meta-learned.
        outer_state: the state of the outer learner.
        step: ``[]`` int32, the number of meta-updates done.
    """

    meta_params: Params
    outer_state: Any
    step: jax.Array


class MetaLearner(NamedTuple):
    """A meta-learner as pure functions, each of which can be jitted and vmapped.

    Attributes:
        init: ``(key) -> MetaState``.
        update: ``(key, state) -> (MetaState, info)``, one whole meta-iteration: sample
            tasks, act, adapt, act again, improve. Its info holds ``returns``
            ``[(K + 1) E]`` (scores, for a Dataset) and ``environment_steps`` ``[]``
            (there the examples drawn) besides what else there is.
        collect: ``(key, meta_params, task) -> Experience``, interaction with one task,
            without gradient. ``environment=`` acts in another one of the same spaces.
        adapt: ``(meta_params, experience) -> (policy params, info)``, the same inner
            updates on recorded data, differentiable in ``meta_params``.
        policy: the policy that acts with the params ``adapt`` returns.
        environment: where ``update`` acts.
        inner: how the data of one task changes the agent.
        objective: that of the outer learner, or None.
        num_updates: ``K`` inner updates.
        episodes_per_trial: ``E`` episodes that the policy's memory lasts.
    """

    init: Callable[[Key], MetaState]
    update: Callable[[Key, MetaState], tuple[MetaState, Info]]
    collect: Callable[..., Experience]
    adapt: Callable[[Params, Experience], tuple[Params, Info]]
    policy: Policy
    environment: Environment | Dataset
    inner: Inner
    objective: Callable[[Params, Experience], tuple[jax.Array, Info]] | None = None
    num_updates: int = 1
    episodes_per_trial: int = 1
