"""Diagnostics of the meta-gradient, on a problem of your own.

What an estimator of the meta-gradient costs in bias and in noise
(:func:`compare_estimators`), and whether the tasks pull the meta-params the same way
(:func:`gradient_agreement`).
"""

from jaxmeta.diagnostics.agreement import Agreement, gradient_agreement
from jaxmeta.diagnostics.comparison import Comparison, compare_estimators
from jaxmeta.diagnostics.gradients import meta_gradient

__all__ = [
    "Agreement",
    "Comparison",
    "compare_estimators",
    "gradient_agreement",
    "meta_gradient",
]
