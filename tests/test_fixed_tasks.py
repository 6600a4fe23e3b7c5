"""A task stays what it is over the episodes of a rollout, in gymnax's environments."""

import gymnax
import jax
import numpy as np
import pytest
from playing import play

from jaxmeta.tasks import choice, from_gymnax, uniform

MAZE, _ = gymnax.make("MetaMaze-misc")


def rollout(tasks, key, length):
    """A task, random actions, and the states before and the results after each.

    The first step is left out: the state that it starts from is not in the results.
    """
    task = tasks.sample(key)
    sample = tasks.environment.action.sample
    actions = jax.vmap(sample)(jax.random.split(key, length))
    _, results = play(tasks, task, actions, key)
    ends = np.asarray(results.terminated | results.truncated)
    assert ends.sum() > 10
    results = jax.tree.map(np.asarray, results)
    before = jax.tree.map(lambda leaf: leaf[:-1], results.state)
    after = jax.tree.map(lambda leaf: leaf[1:], results)
    return task, np.asarray(actions[1:]), before, after


def test_a_maze_pays_at_the_goal_of_its_task_only(key):
    tasks = from_gymnax(
        "MetaMaze-misc", state={"goal": choice(MAZE.available_goals)}, horizon=60
    )
    task, actions, before, results = rollout(tasks, key, 3000)
    goal = np.asarray(task.state["goal"])
    np.testing.assert_array_equal(np.unique(results.state.goal, axis=0), goal[None])
    reached = np.all(before.pos + np.asarray(MAZE.directions)[actions] == goal, axis=1)
    assert reached.sum() > 5
    np.testing.assert_array_equal(results.reward, 10.0 * reached)


def test_a_maze_left_alone_draws_another_goal_at_every_reset(key):
    _, _, _, results = rollout(from_gymnax("MetaMaze-misc", horizon=60), key, 3000)
    assert len(np.unique(results.state.goal, axis=0)) > 10


def test_goals_of_mazes_are_tasks(key):
    tasks = from_gymnax("MetaMaze-misc", state={"goal": choice(MAZE.available_goals)})
    goals = jax.vmap(tasks.sample)(jax.random.split(key, 2_000)).state["goal"]
    drawn = np.unique(goals, axis=0)
    np.testing.assert_array_equal(drawn, np.unique(MAZE.available_goals, axis=0))


@pytest.mark.parametrize("dense", [True, False])
def test_a_point_robot_is_paid_for_the_goal_of_its_task(dense, key):
    """For where the robot is before its move, as this environment has it."""
    goal = np.array([np.cos(0.7), np.sin(0.7)], np.float32)
    tasks = from_gymnax(
        "PointRobot-misc",
        params={"dense_reward": dense},
        state={"goal": goal},
        horizon=15,
    )
    _, _, before, results = rollout(tasks, key, 400)
    np.testing.assert_array_equal(np.unique(results.state.goal, axis=0), goal[None])
    distance = np.linalg.norm(before.pos - goal, axis=1)
    paid = -distance if dense else distance <= 0.2
    np.testing.assert_allclose(results.reward, paid, rtol=1e-5)


def test_a_cart_pole_keeps_its_dynamics(key):
    """Its masses, gravity and force, by the acceleration of every step."""
    tasks = from_gymnax(
        "CartPole-v1",
        params={
            "gravity": uniform(5, 15),
            "force_mag": uniform(-10, 10),
            "masspole": uniform(0.05, 0.5),
            "length": uniform(0.3, 1.0),
        },
    )
    task, actions, before, results = rollout(tasks, key, 600)
    params = jax.tree.map(np.asarray, task.params)
    total = params.masscart + params.masspole
    force = np.where(np.asarray(actions) == 1, params.force_mag, -params.force_mag)
    sine, cosine = np.sin(before.theta), np.cos(before.theta)
    moment = params.masspole * params.length
    push = (force + moment * before.theta_dot**2 * sine) / total
    angular = (params.gravity * sine - cosine * push) / (
        params.length * (4 / 3 - params.masspole * cosine**2 / total)
    )
    linear = push - moment * angular * cosine / total
    expected = [
        before.x + params.tau * before.x_dot,
        before.x_dot + params.tau * linear,
        before.theta + params.tau * before.theta_dot,
        before.theta_dot + params.tau * angular,
    ]
    np.testing.assert_allclose(
        results.next_observation, np.stack(expected, axis=1), rtol=1e-3, atol=1e-5
    )
