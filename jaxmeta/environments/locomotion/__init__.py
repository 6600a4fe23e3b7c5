"""Bodies that run, simulated by MuJoCo XLA: the extra ``jaxmeta[locomotion]``.

Importing this needs no MuJoCo; making an environment does.
"""

from jaxmeta.environments.locomotion.ant import AntDirection, AntGoal
from jaxmeta.environments.locomotion.body import Body, BodyState
from jaxmeta.environments.locomotion.half_cheetah import (
    HalfCheetahDirection,
    HalfCheetahVelocity,
)
from jaxmeta.environments.locomotion.physics import (
    MissingExtraError,
    Motion,
    Physics,
)
from jaxmeta.environments.locomotion.walker import Walker

__all__ = [
    "AntDirection",
    "AntGoal",
    "Body",
    "BodyState",
    "HalfCheetahDirection",
    "HalfCheetahVelocity",
    "MissingExtraError",
    "Motion",
    "Physics",
    "Walker",
]
