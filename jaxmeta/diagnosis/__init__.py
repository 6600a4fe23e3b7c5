"""Does meta-learning help on these tasks? A meta-learner beside what it should beat."""

from jaxmeta.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
