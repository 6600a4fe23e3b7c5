"""Methods: each a short composition of the layers below."""

from jaxmeta.algorithms.anil import anil
from jaxmeta.algorithms.cavia import cavia
from jaxmeta.algorithms.emaml import emaml
from jaxmeta.algorithms.es_maml import es_maml
from jaxmeta.algorithms.imaml import imaml
from jaxmeta.algorithms.learned_drift import learned_drift
from jaxmeta.algorithms.learned_optimizer import learned_optimizer
from jaxmeta.algorithms.lpg import lpg
from jaxmeta.algorithms.maml import maml
from jaxmeta.algorithms.maml_trpo import maml_trpo
from jaxmeta.algorithms.meta_sgd import meta_sgd
from jaxmeta.algorithms.metagradient import metagradient
from jaxmeta.algorithms.multitask import multitask
from jaxmeta.algorithms.pearl import pearl
from jaxmeta.algorithms.promp import promp
from jaxmeta.algorithms.reptile import reptile
from jaxmeta.algorithms.rl2 import rl2
from jaxmeta.algorithms.varibad import varibad

__all__ = [
    "anil",
    "cavia",
    "emaml",
    "es_maml",
    "imaml",
    "learned_drift",
    "learned_optimizer",
    "lpg",
    "maml",
    "maml_trpo",
    "meta_sgd",
    "metagradient",
    "multitask",
    "pearl",
    "promp",
    "reptile",
    "rl2",
    "varibad",
]
