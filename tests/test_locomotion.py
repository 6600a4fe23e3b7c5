"""Bodies move as in MuJoCo, are paid as the field pays them, and refuse bad input."""

import builtins
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import recipes
from jaxmeta.environments.locomotion import HalfCheetahDirection, MissingExtraError
from jaxmeta.environments.locomotion.body import BodyState
from jaxmeta.environments.locomotion.physics import Motion, Physics, import_mujoco

mujoco = pytest.importorskip("mujoco")
gymnasium = pytest.importorskip("gymnasium")


def recorded(name, frame_skip, *, steps, episodes, spread, seed=0):
    """Steps of MuJoCo in C under random actions: (before, action, after), stacked."""
    environment = gymnasium.make(f"{name}-v5", frame_skip=frame_skip).unwrapped
    model, data = environment.model, environment.data
    rng, rows = np.random.default_rng(seed), []
    for _ in range(episodes):
        mujoco.mj_resetData(model, data)
        data.qpos[:] = model.qpos0 + rng.uniform(-spread, spread, model.nq)
        data.qvel[:] = spread * rng.normal(size=model.nv)
        for step in range(steps):
            if step % 3 == 0:
                action = rng.uniform(-1.0, 1.0, model.nu)
            before = (data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy())
            environment.do_simulation(action, frame_skip)
            rows.append((*before, action, data.qpos.copy(), data.qvel.copy()))
    return [jnp.asarray(np.stack(column), jnp.float32) for column in zip(*rows)]
