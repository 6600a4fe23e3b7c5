"""All ways to learn in the same held-out tasks, and the gradients of tasks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from jaxmeta.diagnosis import descents
from jaxmeta.diagnosis.one_policy import without_adaptation
from jaxmeta.diagnosis.setting import Setting
from jaxmeta.diagnostics import Agreement, Arms, gradient_agreement
from jaxmeta.evaluation import adaptation_curve
from jaxmeta.types import Key, MetaLearner, Params

_AGREEMENT_TASKS = 20  # 190 pairs of them


def compare(
    key: Key,
    setting: Setting,
    test_learner: MetaLearner,
    meta_params: Params,
    trained: Params,
    policy_rates: Sequence[float],
    report: Callable[[str], None],
) -> tuple[Arms, jax.Array, dict[str, Any]]:
    """Tune what has a rate, then let all learn in the same held-out tasks.

    Returns:
        The returns of each, those of an untrained policy, and what was chosen.
    """
    key_tune, key_test = jax.random.split(key)
    shared = (setting.tasks, setting.policy, setting.loss, setting.budget)
    learners = [
        descents.descending(*shared, each, setting.num_steps)
        for each in descents.DESCENTS
    ]
    report("choosing the rates of scratch and of fine-tuning")
    on_tuning_tasks = {"tasks": setting.tasks, "num_tasks": setting.num_tuning_tasks}
    on_test_tasks = {"tasks": setting.test_tasks, "num_tasks": setting.num_tasks}

    def unadapted(key: Key, params: Params, on: dict[str, Any]) -> jax.Array:
        start = descents.start_of(params, 0.0)
        return adaptation_curve(key, learners[0], start, **on)

    policies_by_rate = [
        jax.tree.map(lambda leaf, row=row: leaf[row], trained)
        for row in range(len(policy_rates))
    ]
    reached = [
        float(unadapted(key_tune, each, on_tuning_tasks).mean())
        for each in policies_by_rate
    ]
    best = descents.best_of(reached)
    one_policy = policies_by_rate[best]
    tune = partial(
        descents.tune,
        key_tune,
        learners=learners,
        params=one_policy,
        **on_tuning_tasks,
    )
    scratch, fine_tuning = tune(anew=True), tune(anew=False)
    report(f"testing on {setting.num_tasks} tasks")

    def adapted(found: descents.Chosen) -> jax.Array:
        start = descents.start_of(one_policy, found.rate, anew=found.anew)
        return adaptation_curve(key_test, found.learner, start, **on_test_tasks)

    returns = Arms(
        adaptation_curve(key_test, test_learner, meta_params, **on_test_tasks),
        adapted(scratch),
        unadapted(key_test, one_policy, on_test_tasks),
        adapted(fine_tuning),
    )
    chosen = {
        "from scratch": _as_dict(scratch, setting.num_steps),
        "fine-tuning": _as_dict(fine_tuning, setting.num_steps),
        "one policy": {
            "rate": float(policy_rates[best]),
            "tuning": [
                {"rate": float(rate), "return": value}
                for rate, value in zip(policy_rates, reached, strict=True)
            ],
        },
    }
    return returns, returns.scratch[:, 0], chosen


def _as_dict(chosen: descents.Chosen, num_steps: int) -> dict[str, Any]:
    return {
        "name": chosen.name,
        "rate": chosen.rate,
        "num_steps": num_steps,
        "tuning": chosen.tuning,
    }


def agreements(
    key: Key, setting: Setting, learner: MetaLearner
) -> tuple[Agreement, Agreement | None]:
    """Of gradients of one policy, and of meta-gradients, where learning starts."""
    key_start, key_policy, key_meta = jax.random.split(key, 3)
    unadapted = without_adaptation(setting.tasks, setting.policy, setting.budget)

    def agreement(key: Key, each: MetaLearner) -> Agreement:
        start = each.init(key_start).meta_params
        return gradient_agreement(
            key, each, start, setting.tasks, num_tasks=_AGREEMENT_TASKS
        )

    own = None if learner.objective is None else agreement(key_meta, learner)
    return agreement(key_policy, unadapted), own
