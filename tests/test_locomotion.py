"""Bodies move as in MuJoCo, are paid as the field pays them, and refuse bad input."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmeta as jm
from jaxmeta import cli
from jaxmeta.environments import locomotion
from jaxmeta.environments.locomotion import BodyState, MissingExtraError, Motion

TASKS = (
    jm.tasks.half_cheetah_direction,
    jm.tasks.half_cheetah_velocity,
    jm.tasks.ant_direction,
    jm.tasks.ant_goal,
    jm.tasks.walker_params,
)


@pytest.fixture(scope="module")
def mujoco():
    return pytest.importorskip("mujoco")


def models(name):
    """The file Gymnasium ships."""
    gymnasium = pytest.importorskip("gymnasium")
    folder = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    return str(folder / f"{name}.xml")


def played(mujoco, model, *, frame_skip, num_steps):
    """Steps of MuJoCo in C: position, velocity, warm start; action; the next two."""
    data, rng, rows = mujoco.MjData(model), np.random.default_rng(0), []
    data.qpos += rng.uniform(-0.1, 0.1, model.nq)
    data.qvel += 0.1 * rng.normal(size=model.nv)
    for _ in range(num_steps):
        data.ctrl = rng.uniform(-1.0, 1.0, model.nu)
        before = data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy()
        mujoco.mj_step(model, data, frame_skip)
        rows.append((*before, data.ctrl.copy(), data.qpos.copy(), data.qvel.copy()))
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    return [jnp.asarray(column, jnp.float32) for column in columns]


def test_a_half_cheetah_moves_as_in_c_and_is_paid_for_its_direction(mujoco, key):
    """Of every state of an episode the next one, as Gymnasium's environment has it.

    MuJoCo in C takes up to 100 iterations of the solver, in float64; contacts come and
    go within a step.
    """
    model = mujoco.MjModel.from_xml_path(models("half_cheetah"))
    *before, action, position, velocity = played(
        mujoco, model, frame_skip=5, num_steps=100
    )
    observation = jnp.concatenate([position[:, 1:], velocity], axis=1)
    speed = (position[:, 0] - before[0][:, 0]) / 0.05
    tasks = jm.tasks.half_cheetah_direction(horizon=7)
    directions = jnp.where(jnp.arange(100) % 2 == 0, 1.0, -1.0)
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 100))
    drawn = drawn._replace(params=drawn.params.replace(direction=directions))
    times = jnp.arange(100) % 7
    state = BodyState(motion=Motion(*before), time=times)
    step = jax.jit(jax.vmap(partial(tasks.environment.step, key)))
    # What is beyond the motors' range is clipped, for the cost too.
    beyond = jnp.where(jnp.abs(action) > 0.5, jnp.sign(action) * 7.0, action)
    result = step(state, action, drawn)
    np.testing.assert_allclose(result.next_observation, observation, atol=2e-3)
    assert np.median(np.abs(result.next_observation - observation)) < 1e-5
    on = ~result.truncated
    np.testing.assert_array_equal(result.truncated, times == 6)
    np.testing.assert_allclose(
        result.state.motion.position[on], position[on], atol=1e-4
    )
    np.testing.assert_allclose(
        result.state.motion.velocity[on], velocity[on], atol=2e-3
    )
    paid = directions * speed - 0.05 * jnp.sum(action**2, axis=1)
    np.testing.assert_allclose(result.reward, paid, atol=1e-3)
    assert not result.terminated.any()
    clipped = step(state, jnp.clip(beyond, -1.0, 1.0), drawn)
    jax.tree.map(np.testing.assert_array_equal, step(state, beyond, drawn), clipped)
