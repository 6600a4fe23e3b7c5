"""How the agents are tested that live, and pictures of what they learned."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import outer, plots, policies, runs
from jaxmeta.environments import MatchProbe
from jaxmeta.recipes import Recipe, living
from jaxmeta.recipes.types import Experiment
from jaxmeta.types import Inner

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
POLICY = policies.mlp(TASKS.environment, hidden=())
# An agent that never learns.
BORN = Inner(
    init=lambda key, meta_params: POLICY.init(key),
    update=lambda key, meta_params, state, batch: (state, {}),
    params=lambda meta_params, state: state,
)


def learner(**options):
    return jm.lifetime_learner(
        TASKS,
        POLICY,
        BORN,
        outer.gradient(lambda p, e: (jnp.sum(p), {"number": p}), optax.sgd(0.1)),
        lambda key: jnp.asarray(0.5),
        num_lifetimes=4,
        lifetime=None,
        num_updates=1,
        num_environments=2,
        length=3,
        **options,
    )


def test_every_agent_is_tested_in_its_own_task(key):
    """Of seven episodes each of four agents plays two, the last one."""
    made = learner()
    state = made.init(key)
    lives = state.outer_state.lifetimes
    is_right = jnp.array([True, False, False, True])
    copies = jnp.where(is_right, 1.0, -1.0) * (1 - 2 * lives.task.params.bit)

    def acts(copies, agent):
        """The action is the bit shown, or the other one."""
        kernel = jnp.array([[-90.0, 90.0], [0.0, 0.0]])
        bias = jnp.array([45.0, -45.0])
        return jax.tree.map(
            lambda leaf: copies * (kernel if leaf.ndim == 2 else bias), agent
        )

    agents = jax.vmap(acts)(copies, lives.agent)
    lives = state.outer_state.lives._replace(lifetimes=lives._replace(agent=agents))
    state = state._replace(outer_state=state.outer_state._replace(lives=lives))
    expected = np.tile(np.where(is_right, TASKS.environment.horizon, 0), 2)[:7]
    for returns in living.tested(made)(key, state, 7):
        assert returns.shape == (7, 1)
        np.testing.assert_array_equal(returns[:, 0], expected)


@pytest.mark.slow
def test_what_an_experiment_traces_is_drawn(tmp_path):
    """Its numbers, in panels of their own."""

    def build():
        made = learner()
        return Experiment(
            made,
            made,
            TASKS,
            {},
            None,
            evaluate=living.tested(made),
            traces=("number",),
        )

    recipe = Recipe("drawn", "", "", "", build, 3, 8, {}, None, "")
    result = runs.train(recipe, tmp_path / "run", progress=False)
    assert result["traces"] == ["number"]
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(row) for row in rows]
    figure, _ = plots.picture([plots.Run("drawn", metrics, result)])
    panels = [axes for axes in figure.axes if axes.get_ylabel() == "number"]
    (line,) = panels[0].lines
    np.testing.assert_allclose(line.get_ydata(), [row["number"] for row in metrics])
    plain = plots.Run("plain", metrics, {**result, "traces": []})
    assert len(plots.picture([plain]).figure.axes) == 2
