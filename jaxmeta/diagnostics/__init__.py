"""Diagnostics of the meta-gradient, on a problem of your own.

What an estimator of the meta-gradient costs in bias and in noise
(:func:`compare_estimators`), whether the tasks pull the meta-params the same way
(:func:`gradient_agreement`), and whether meta-learning gained anything
(:func:`judge`; ``jaxmeta.diagnose`` measures what it judges).
"""

from jaxmeta.diagnostics.agreement import Agreement, gradient_agreement
from jaxmeta.diagnostics.comparison import Comparison, compare_estimators
from jaxmeta.diagnostics.gradients import meta_gradient
from jaxmeta.diagnostics.verdict import VERDICTS, Arms, Judgement, judge

__all__ = [
    "VERDICTS",
    "Agreement",
    "Arms",
    "Comparison",
    "Judgement",
    "compare_estimators",
    "gradient_agreement",
    "judge",
    "meta_gradient",
]
