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
from jaxmeta.environments.locomotion.runge_kutta import integrate

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


@pytest.mark.slow
def test_a_walker_of_other_numbers_moves_as_in_c(mujoco, key):
    """MuJoCo in C gets the task's masses, inertias, dampings and frictions."""
    tasks = jm.tasks.walker_params()
    task = tasks.sample(key)
    model = mujoco.MjModel.from_xml_path(models("walker2d"))
    model.body_mass *= np.asarray(task.params.mass)
    model.body_inertia *= np.asarray(task.params.inertia)
    model.dof_damping *= np.asarray(task.params.damping)
    model.geom_friction *= np.asarray(task.params.friction)
    columns = played(mujoco, model, frame_skip=4, num_steps=100)
    *before, action, position, velocity = columns
    state = BodyState(motion=Motion(*before), time=jnp.zeros(100, jnp.int32))
    step = jax.jit(jax.vmap(lambda s, a: tasks.environment.step(key, s, a, task)))
    result = step(state, action)
    observation = jnp.concatenate(
        [position[:, 1:], jnp.clip(velocity, -10.0, 10.0)], axis=1
    )
    np.testing.assert_allclose(result.next_observation, observation, atol=2e-3)
    moved = position[:, 0] - before[0][:, 0]
    paid = moved / 0.008 + 1.0 - 0.001 * jnp.sum(action**2, axis=1)
    np.testing.assert_allclose(result.reward, paid, atol=1e-3)


@pytest.mark.slow
def test_an_ant_in_the_air_moves_as_in_c(mujoco):
    """On the floor the pyramids of friction are turned; see ``AntDirection``."""
    model = mujoco.MjModel.from_xml_path(models("ant"))
    model.qpos0[2] = 30.0
    *before, action, position, velocity = played(
        mujoco, model, frame_skip=5, num_steps=40
    )
    ant = locomotion.AntDirection()
    after = jax.jit(jax.vmap(ant.physics.step))(Motion(*before), action)
    np.testing.assert_allclose(after.position, position, atol=1e-4)
    np.testing.assert_allclose(after.velocity, velocity, atol=2e-3)


def test_a_velocity_is_paid_for_by_its_distance(mujoco):
    environment = locomotion.HalfCheetahVelocity(frame_skip=2)
    start = Motion(jnp.zeros(9), jnp.zeros(9), jnp.zeros(9))
    after = start._replace(position=start.position.at[0].set(0.06))  # in 0.02 s
    action = jnp.array([0.5, -0.5, 0.0, 0.0, 1.0, 0.0])
    for velocity, distance in ((1.0, 2.0), (3.0, 0.0), (4.0, 1.0)):
        params = environment.default_params.replace(velocity=velocity)
        reward, ends = environment.judge(start, after, action, params)
        np.testing.assert_allclose(reward, -distance - 0.05 * 1.5, atol=1e-6)
        assert not ends


def test_an_ant_is_paid_along_its_direction_or_near_its_goal(mujoco):
    still = Motion(jnp.zeros(15).at[2].set(0.75), jnp.zeros(14), jnp.zeros(14))
    moved = still._replace(position=still.position.at[:2].set(jnp.array([0.1, 0.2])))
    action = jnp.full(8, 0.5)
    walks = locomotion.AntDirection()
    for direction, speed in (((1.0, 0.0), 2.0), ((-1.0, 0.0), -2.0), ((0.0, 1.0), 4.0)):
        params = walks.default_params.replace(direction=jnp.array(direction))
        reward, ends = walks.judge(still, moved, action, params)
        np.testing.assert_allclose(reward, speed - 0.01 + 0.05, atol=1e-5)
        assert not ends
    goes = locomotion.AntGoal()
    params = goes.default_params.replace(goal=jnp.array([1.0, -1.0]))
    reward, _ = goes.judge(still, moved, action, params)
    np.testing.assert_allclose(reward, -0.9 - 1.2 - 0.01 + 4.05, atol=1e-5)
    for height, over in ((0.19, True), (0.21, False), (1.01, True), (jnp.nan, True)):
        after = moved._replace(position=moved.position.at[2].set(height))
        assert walks.judge(still, after, action, walks.default_params)[1] == over


def test_a_walker_ends_where_it_falls(mujoco):
    environment = locomotion.Walker()
    start = Motion(jnp.zeros(9).at[1].set(1.25), jnp.zeros(9), jnp.zeros(9))
    after = start._replace(position=start.position.at[0].set(0.016))  # in 0.008 s
    params, action = environment.default_params, jnp.ones(6)
    reward, ends = environment.judge(start, after, action, params)
    np.testing.assert_allclose(reward, 2.0 + 1.0 - 0.006, atol=1e-5)
    assert not ends
    for index, value in ((1, 0.79), (1, 2.01), (2, 1.01), (2, -1.01)):
        fallen = after._replace(position=after.position.at[index].set(value))
        assert environment.judge(start, fallen, action, params)[1]


def test_the_factors_of_a_walker_are_those_of_its_task(mujoco, key):
    """Masses times 1.5^u, and what the bodies of a branch weigh together."""
    tasks = jm.tasks.walker_params(spread=2.0)
    drawn = jax.vmap(tasks.sample)(jax.random.split(key, 50)).params
    powers = {"mass": 1.5, "inertia": 1.5, "friction": 1.5, "damping": 1.3}
    for name, power in powers.items():
        exponents = np.log(getattr(drawn, name)) / np.log(power)
        assert -2.0 <= exponents.min() < -1.8
        assert 1.8 < exponents.max() <= 2.0
    environment = locomotion.Walker()
    model = environment.physics.reference
    fields = environment.fields(jm.trees.at(drawn, 3))
    np.testing.assert_allclose(
        fields["body_mass"], model.body_mass * np.asarray(drawn.mass[3]), rtol=1e-6
    )
    model.body_mass[:] = fields["body_mass"]
    mujoco.mj_setConst(model, mujoco.MjData(model))
    np.testing.assert_allclose(
        fields["body_subtreemass"], model.body_subtreemass, rtol=1e-5
    )


def test_directions_and_goals_are_drawn_as_documented(mujoco, key):
    keys = jax.random.split(key, 400)

    def drawn(tasks):
        return jax.vmap(tasks.sample)(keys).params

    signs = np.asarray(drawn(jm.tasks.half_cheetah_direction()).direction)
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.2
    velocities = drawn(jm.tasks.half_cheetah_velocity(velocities=(0.0, 3.0))).velocity
    assert 0.0 <= velocities.min() < 0.1
    assert 2.9 < velocities.max() <= 3.0
    two = np.asarray(drawn(jm.tasks.ant_direction()).direction)
    assert {tuple(row) for row in two.tolist()} == {(1.0, 0.0), (-1.0, 0.0)}
    any_of = np.asarray(drawn(jm.tasks.ant_direction(planar=True)).direction)
    np.testing.assert_allclose((any_of**2).sum(1), 1.0, rtol=1e-5)
    assert np.abs(any_of.mean(0)).max() < 0.2
    goals = np.asarray(drawn(jm.tasks.ant_goal(size=2.0)).goal)
    assert goals.shape == (400, 2)
    assert -2.0 <= goals.min() < -1.9
    assert 1.9 < goals.max() <= 2.0


def test_a_body_may_be_made_while_jax_traces(mujoco):
    made = []

    def trace():
        made.append(locomotion.Walker())
        return jnp.zeros(())

    jax.eval_shape(trace)
    assert made[0].physics.field("qpos0")[1] == 1.25
    assert made[0].physics.seconds_per_step == 0.008


def test_a_free_body_turns_as_in_c(mujoco):
    """The place and the quaternion of a free joint, after a turn of 1.2 rad."""
    model = mujoco.MjModel.from_xml_path(models("ant"))
    rng = np.random.default_rng(0)
    position, velocity = rng.normal(size=model.nq), 3.0 * rng.normal(size=model.nv)
    position[3:7] /= np.linalg.norm(position[3:7])
    after = position.copy()
    mujoco.mj_integratePos(model, after, velocity, 0.2)
    ours = integrate(*map(jnp.float32, (position, velocity)), 0.2, floats=True)
    np.testing.assert_allclose(ours, after, atol=1e-5)
    still = integrate(jnp.float32(position), jnp.zeros(model.nv), 0.2, floats=True)
    np.testing.assert_allclose(still, position, atol=1e-6)


@pytest.mark.parametrize("make", TASKS, ids=lambda make: make.__name__)
def test_without_mujoco_the_extra_is_named(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install \"jaxmeta\[locomotion\]\""
    ):
        make()


def test_without_mujoco_recipes_are_listed_and_refused(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    cli.main(["list"])
    assert "maml-halfcheetah-direction" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "maml-halfcheetah-direction"])
    assert stopped.value.code == 2
    assert 'pip install "jaxmeta[locomotion]"' in capsys.readouterr().err


@pytest.mark.parametrize("make", TASKS, ids=lambda make: make.__name__)
def test_bad_numbers_are_refused(make, mujoco):
    with pytest.raises(ValueError, match="frame_skip must be at least 1, got 0"):
        make(frame_skip=0)
    with pytest.raises(TypeError, match=r"horizon must be an integer, got 2\.5"):
        make(horizon=2.5)


def test_bad_distributions_are_refused(mujoco):
    with pytest.raises(ValueError, match="velocities must be in order"):
        jm.tasks.half_cheetah_velocity(velocities=(2.0, 1.0))
    with pytest.raises(ValueError, match="size must be positive and finite, got 0"):
        jm.tasks.ant_goal(size=0)
    with pytest.raises(ValueError, match="spread must be positive and finite, got -1"):
        jm.tasks.walker_params(spread=-1)
    with pytest.raises(ValueError, match="line_searches must be at least 1, got 0"):
        locomotion.HalfCheetahDirection(line_searches=0)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        locomotion.AntGoal(iterations=0)
