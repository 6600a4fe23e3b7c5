"""Does meta-learning help on these tasks? A meta-learner beside what it should beat."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import checks
from jaxmeta.diagnosis.comparison import agreements, compare
from jaxmeta.diagnosis.one_policy import one_policy
from jaxmeta.diagnosis.setting import setting_of
from jaxmeta.diagnostics import Agreement, verdict
from jaxmeta.diagnostics.verdict import Arms, Judgement
from jaxmeta.diagnostics.words import in_words
from jaxmeta.evaluation import Interval, bootstrap_interval
from jaxmeta.learner import train
from jaxmeta.losses import Loss
from jaxmeta.types import (
    Key,
    MetaLearner,
    Params,
    Policy,
    TaskDistribution,
)


class Diagnosis(NamedTuple):
    """Whether meta-learning helps on a distribution of tasks, and by how much.

    Attributes:
        verdict: one of ``diagnostics.VERDICTS``.
        words: the verdict and what it rests on, sentences with the numbers.
        judgement: the differences the verdict was decided by.
        returns: ``[num_tasks, columns]`` of each way to learn, on the same tasks:
            before adaptation and after each unit of it.
        curves: the mean of each with its interval over tasks, ``[columns]``.
        untrained: ``[num_tasks]`` returns of a policy that has learned nothing.
        agreement: of the gradients of different tasks for one policy, at its start.
        meta_agreement: of their meta-gradients, where meta-learning starts; None if the
            learner follows no gradient.
        chosen: how scratch and fine-tuning adapt and the rate of the one policy, with
            the returns on tuning tasks that they were chosen by.
        environment_steps: that the meta-learner was trained on; of Datasets, examples.
        num_updates: meta-updates.
        unit: of adaptation, ``inner update`` or ``episode``.
        optimum: the best possible mean return after adaptation, or None.
    """

    verdict: str
    words: tuple[str, ...]
    judgement: Judgement
    returns: Arms
    curves: Arms
    untrained: jax.Array
    agreement: Agreement
    meta_agreement: Agreement | None
    chosen: dict[str, Any]
    environment_steps: int
    num_updates: int
    unit: str
    optimum: float | None


def diagnose(
    key: Key,
    learner: MetaLearner,
    tasks: TaskDistribution,
    *,
    num_updates: int,
    num_tasks: int = 200,
    num_tuning_tasks: int = 40,
    test_learner: MetaLearner | None = None,
    test_tasks: TaskDistribution | None = None,
    policy: Policy | None = None,
    loss: Loss | None = None,
    num_steps: int | None = None,
    optimum: float | None = None,
    policy_rates: Sequence[float] = (1e-3, 1e-2),
    share: float = 0.1,
    confidence: float = 0.95,
    report: Callable[[str], None] = lambda stage: None,
) -> Diagnosis:
    """Train a meta-learner and what it should beat, and say in words whether it does.

    On the same fresh tasks, with as much interaction there:

    - *meta-learned*: ``test_learner`` adapts what ``learner`` was trained to.
    - *from scratch*: a policy adapts that is drawn anew for each task.
    - *one policy for all tasks*: PPO on as many environment steps as the meta-learner,
      and no adaptation.
    - *fine-tuning*: that policy adapts.

    Scratch and fine-tuning descend PPO's loss by SGD or by Adam, by whichever of
    several rates does best on tuning tasks, each for itself; so is the rate of the one
    policy chosen. They have as many episodes and as many updates as the learner, unless
    ``num_steps`` gives them more updates. Where the learner adapts in its memory, a
    unit of adaptation is an episode of a trial, and those two learn after each.

    ``diagnostics.judge`` states the rule of the verdict. Its intervals are over
    held-out tasks, of one training run: a method that was not trained for long enough
    looks like one that does not help.

    Gradients of tasks are compared where learning starts: their cosine is 1 if all are
    alike, 0 if each pulls its own way. The verdict does not depend on it.

    Args:
        key: consumed.
        learner: meta-learns, and adapts in inner updates or in its memory.
        tasks: to train and to tune on.
        num_updates: meta-updates.
        num_tasks: to compare on, drawn anew; of few tasks they are not new ones.
        num_tuning_tasks: tasks on which rates are chosen, another draw.
        test_learner: whose inner updates and episodes are the budget; ``learner`` by
            default.
        test_tasks: held-out tasks; by default drawn as those of training are.
        policy: of all but the meta-learner; by default its own or, where that has
            memory or acts on a latent, ``policies.mlp``.
        loss: that scratch and fine-tuning descend; by default PPO's, on normalised
            advantages; on a Dataset, the usual one.
        num_steps: that scratch and fine-tuning descend on each batch. By default one,
            as gradient-based learners do; beside memory, which needs none, ten. With
            more they are stronger, at the same interaction and more computation.
        optimum: the best possible mean return after adaptation, where it is known.
        policy_rates: that the one policy's is chosen from.
        share: of the range from an untrained policy to the best, from which on a
            difference matters.
        confidence: of intervals.
        report: is told each stage as it begins, such as ``print``.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if a number is out of range, the parts do not fit each other, the
            agents of the learner live on, or it adapts both in updates and in memory.
        FloatingPointError: if training ends in params that are not finite.
    """
    checks.typed_key(key)
    num_updates = checks.positive_int("num_updates", num_updates)
    verdict.check_share(share)
    test_learner = learner if test_learner is None else test_learner
    setting = setting_of(
        test_learner,
        tasks,
        test_tasks,
        policy,
        loss,
        num_steps,
        num_tuning_tasks,
        num_tasks,
    )
    key_meta, key_policy, key_compare, key_agree, key_judge = jax.random.split(key, 5)
    report(f"meta-training, {num_updates} updates")
    meta_params, steps = _meta_train(key_meta, learner, num_updates)
    report("training one policy for all tasks on as much")
    trained = one_policy(
        key_policy,
        tasks,
        setting.policy,
        setting.budget,
        num_updates=num_updates,
        steps_per_update=-(-steps // num_updates),
        rates=policy_rates,
    )
    _check_finite("the one policy", trained)
    returns, untrained, chosen = compare(
        key_compare, setting, test_learner, meta_params, trained, policy_rates, report
    )
    report("comparing gradients of tasks")
    agreement, meta_agreement = agreements(key_agree, setting, learner)
    judgement = verdict.judge(
        key_judge,
        Arms(*(columns[:, -1] for columns in returns)),
        untrained,
        optimum=optimum,
        share=share,
        confidence=confidence,
    )
    curves = Arms(*(_interval(key_judge, each, confidence) for each in returns))
    unit = "inner update" if test_learner.num_updates else "episode"
    words = in_words(
        judgement,
        curves,
        float(untrained.mean()),
        optimum=optimum,
        unit=unit,
        agreement=agreement,
        meta_agreement=meta_agreement,
    )
    return Diagnosis(
        judgement.verdict,
        words,
        judgement,
        returns,
        curves,
        untrained,
        agreement,
        meta_agreement,
        chosen,
        steps,
        num_updates,
        unit,
        optimum,
    )


def _meta_train(key: Key, learner: MetaLearner, num_updates: int) -> tuple[Params, int]:
    """The meta-params, and the environment steps they were trained on."""
    meta_params, steps = _train(key, learner, num_updates)
    _check_finite("the meta-learner", meta_params)
    return meta_params, int(np.asarray(steps).sum(dtype=np.int64))


@partial(jax.jit, static_argnums=(1, 2))
def _train(key: Key, learner: MetaLearner, num_updates: int) -> tuple[Params, Any]:
    key_init, key_train = jax.random.split(key)
    state, info = train(key_train, learner, learner.init(key_init), num_updates)
    return state.meta_params, info["environment_steps"]


@partial(jax.jit, static_argnums=2)
def _interval(key: Key, returns: jax.Array, confidence: float) -> Interval:
    return bootstrap_interval(key, returns, confidence=confidence)


def _check_finite(who: str, params: Params) -> None:
    if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(params)):
        raise FloatingPointError(
            f"training of {who} ended in params that are not finite; jm.fit says after "
            "which update, and what to do"
        )
