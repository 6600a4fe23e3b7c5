"""Rigid bodies with contacts, by MuJoCo XLA (MJX) on the models Gymnasium ships.

MuJoCo is an extra. Nothing here imports it before a body is made.
"""

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import jax
import jax.numpy as jnp

from jaxmeta import checks
from jaxmeta.environments.locomotion import runge_kutta

INSTALL = 'pip install "jaxmeta[locomotion]", in a checkout pip install ".[locomotion]"'


class MissingExtraError(ImportError, ValueError):
    """What an extra installs is missing. A ValueError too, as bad arguments are."""


class Motion(NamedTuple):
    """What a simulation carries from one step to the next, and nothing else.

    Attributes:
        position: ``[nq]`` generalised coordinates.
        velocity: ``[nv]``.
        warm_start: ``[nv]`` the last accelerations, where the solver starts.
    """

    position: jax.Array
    velocity: jax.Array
    warm_start: jax.Array


class Physics:
    """A simulated body and the floor it stands on.

    The equations are those of MuJoCo (Todorov, Erez and Tassa, "MuJoCo: A physics
    engine for model-based control", 2012) as MJX computes them, in full float32
    whatever the precision of other matrix products is. Only the number of iterations
    of the constraint solver differs from the model's file: its early exits are no gain
    where many bodies are simulated side by side, and more iterations than the defaults
    here do not bring a step nearer to that of MuJoCo in C; tests compare them. MJX is
    MuJoCo's own, and takes the very models that the field's benchmarks were made with;
    brax has others of its own, and so has MuJoCo Playground.

    Args:
        name: of the model, a file of ``gymnasium/envs/mujoco/assets`` without ``.xml``.
        frame_skip: physics steps per step of the environment.
        iterations: of Newton's method for the contact forces, per physics step.
        line_searches: steps of its line search.

    Raises:
        MissingExtraError: if MuJoCo or MJX is not installed.
        TypeError: if a number is not an integer.
        ValueError: if one is below one.
    """

    def __init__(
        self, name: str, *, frame_skip: int, iterations: int, line_searches: int
    ):
        self.frame_skip = checks.positive_int("frame_skip", frame_skip)
        mujoco, mjx = import_mujoco()
        self.reference = _load(mujoco, _assets() / f"{name}.xml")
        opt = self.reference.opt
        opt.iterations = checks.positive_int("iterations", iterations)
        opt.ls_iterations = checks.positive_int("line_searches", line_searches)
        self._timestep = float(opt.timestep)
        self.seconds_per_step = self._timestep * self.frame_skip
        self._mjx = mjx
        self._runge_kutta = opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
        self._floats = self.reference.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        # A body may be made while jax traces, and MJX lets NumPy promote ranks.
        with jax.ensure_compile_time_eval(), jax.numpy_rank_promotion("allow"):
            self._model = mjx.put_model(self.reference, impl="jax")
            self._data = mjx.make_data(self._model, impl="jax")

    def field(self, name: str) -> jax.Array:
        """An array of the model, such as ``body_mass`` ``[bodies]``."""
        return getattr(self._model, name)

    def start(self, position: jax.Array, velocity: jax.Array) -> Motion:
        """A motion that starts there."""
        return Motion(position, velocity, jnp.zeros_like(velocity))

    def step(
        self,
        motion: Motion,
        control: jax.Array,
        fields: Mapping[str, jax.Array] | None = None,
    ) -> Motion:
        """``frame_skip`` physics steps under the same control.

        Args:
            motion: where the body is.
            control: ``[nu]``, of its motors; what is beyond their range is clipped.
            fields: arrays that replace those of the model, by name.
        """
        model = self._model.tree_replace(dict(fields)) if fields else self._model

        def data(position, velocity, warm_start):
            return self._data.replace(
                qpos=position, qvel=velocity, qacc_warmstart=warm_start, ctrl=control
            )

        def acceleration(*motion):
            return self._mjx.forward(model, data(*motion)).qacc

        def physics_step(motion: Motion, _: Any) -> tuple[Motion, None]:
            if not self._runge_kutta:
                after = self._mjx.step(model, data(*motion))
                return Motion(after.qpos, after.qvel, after.qacc_warmstart), None
            options = {"seconds": self._timestep, "floats": self._floats}
            return Motion(*runge_kutta.step(acceleration, *motion, **options)), None

        promote = jax.numpy_rank_promotion("allow")
        with jax.default_matmul_precision("float32"), promote:
            if self.frame_skip == 1:
                return physics_step(motion, None)[0]
            return jax.lax.scan(physics_step, motion, length=self.frame_skip)[0]


def import_mujoco() -> tuple[Any, Any]:
    """The modules ``mujoco`` and ``mujoco.mjx``.

    Raises:
        MissingExtraError: if one is not installed, with the command that does.
    """
    try:
        # MJX prints that its optional second backend is not there.
        with contextlib.redirect_stdout(io.StringIO()):
            import mujoco
            from mujoco import mjx
    except ImportError as error:
        raise MissingExtraError(
            f"locomotion needs MuJoCo and MJX ({error}): {INSTALL}"
        ) from error
    return mujoco, mjx


def _load(mujoco: Any, path: Path) -> Any:
    """The model of a file, without what MuJoCo 4 no longer scales the mass by."""
    root = ElementTree.parse(path).getroot()
    compiler = root.find("compiler")
    total_mass = None if compiler is None else compiler.attrib.pop("settotalmass", None)
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, "unicode"))
    if total_mass is not None:
        mujoco.mj_setTotalmass(model, float(total_mass))
        mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _assets() -> Path:
    """Where Gymnasium keeps its models; importing it for that would be slow."""
    found = importlib.util.find_spec("gymnasium")
    if found is None or found.origin is None:
        raise MissingExtraError(f"locomotion needs Gymnasium's models: {INSTALL}")
    return Path(found.origin).parent / "envs" / "mujoco" / "assets"
