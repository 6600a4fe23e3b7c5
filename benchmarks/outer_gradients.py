"""What estimators of the outer gradient know, where the meta-optimum is known.

``python benchmarks/outer_gradients.py``: agents descend a noisy bowl by a rate that is
meta-learned for all of their life; see ``noisy_bowl.py``. For every estimator: mean and
spread of its estimate at the first rate beside the exact slope, and the rate that
learning by it ends at beside the best. ``--draw`` draws what was measured.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from noisy_bowl import (
    FIRST_RATE,
    LIFETIME,
    NUMBERS,
    POLICY,
    STEEPNESS,
    TASKS,
    agent,
    exact,
    life_loss,
    truncated,
    where_zero,
)

import jaxmeta as jm
from jaxmeta import hyperparameters, objectives, outer
from jaxmeta.types import MetaLearner, Outer

SIGMA, NUM_AGENTS = 0.05, 64
LENGTHS = (1, 5, 20, 100)


class Estimator(NamedTuple):
    """One row: how the outer gradient is estimated, and what it should be then."""

    outer: Callable[[optax.GradientTransformation], Outer]
    inner: Any
    window: int
    persistent: bool = False
    expected: float | None = None


def estimators(rate: float) -> dict[str, Estimator]:
    """All of them; ``expected`` at this rate."""
    exact_agent, cheap = agent(), agent(first_order=True)
    loss = partial(life_loss, exact_agent)
    _, whole, _ = exact(rate)
    found = {}
    for length in LENGTHS:
        found[f"backpropagation, {length}"] = Estimator(
            lambda o: outer.gradient(loss, o),
            exact_agent,
            length,
            expected=truncated(rate, length),
        )
    found["first-order, 20"] = Estimator(
        lambda o: outer.gradient(partial(life_loss, cheap), o), cheap, 20
    )
    for length in (5, 20, 100):
        found[f"ES, {length}"] = Estimator(
            lambda o: outer.evolution(loss, o, sigma=SIGMA),
            exact_agent,
            length,
            expected=truncated(rate, length),
        )
    for length in (1, 5, 20):
        found[f"PES, {length}"] = Estimator(
            lambda o: outer.evolution(loss, o, sigma=SIGMA),
            exact_agent,
            length,
            persistent=True,
            expected=whole,
        )
    for matched, ahead in ((1, 20), (5, 16)):
        target = objectives.bootstrapped(
            exact_agent,
            POLICY,
            lambda params, batch: (0.5 * jnp.sum(STEEPNESS * params**2), {}),
            optax.sgd(FIRST_RATE),
            num_matched=matched,
        )
        found[f"bootstrapped, {matched} + {ahead - 1}"] = Estimator(
            lambda o, target=target: outer.gradient(target, o),
            exact_agent,
            matched + ahead - 1,
        )
    return found


def kept() -> optax.GradientTransformation:
    """An optimizer that changes nothing, and whose state is the last gradient."""

    def still(updates, state, params=None):
        del state, params
        return jax.tree.map(jnp.zeros_like, updates), updates

    return optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params), still
    )


def learner_of(one: Estimator, optimizer: optax.GradientTransformation) -> MetaLearner:
    """So many agents for all, of which evolution makes pairs."""
    made = one.outer(optimizer)
    return jm.lifetime_learner(
        TASKS,
        POLICY,
        one.inner,
        made,
        lambda key: hyperparameters.init(NUMBERS),
        num_lifetimes=NUM_AGENTS if made.propose is None else NUM_AGENTS // 2,
        lifetime=LIFETIME,
        num_updates=one.window,
        num_environments=1,
        length=1,
        persistent=one.persistent,
    )


def measured(one: Estimator, count: int) -> dict[str, float]:
    """Mean and spread of ``count`` estimates, once all agents have lived from birth."""
    learner = learner_of(one, kept())

    @jax.jit
    def run(key):
        key_init, key_first, key_all = jax.random.split(key, 3)
        state = learner.init(key_init)
        state, _ = jm.train(key_first, learner, state, LIFETIME // one.window)

        def step(state, key):
            state, _ = learner.update(key, state)
            return state, state.outer_state.outer["rate"]

        return jax.lax.scan(step, state, jax.random.split(key_all, count))[1]

    found = np.asarray(run(jax.random.key(0)), np.float64)
    # Estimates of neighbouring updates are of the same agents: errors by blocks.
    blocks = found.reshape(20, -1).mean(1)
    return {
        "mean": float(found.mean()),
        "error": float(blocks.std(ddof=1) / len(blocks) ** 0.5),
        "spread": float(found.std(ddof=1)),
    }


def learned(one: Estimator, num_updates: int, num_seeds: int) -> dict[str, Any]:
    """The rate while it is learned, for as many updates of the agents for all."""
    learner = learner_of(one, optax.adam(0.02))
    steps = num_updates // one.window

    def run(key):
        key_init, key_train = jax.random.split(key)

        def step(state, key):
            state, _ = learner.update(key, state)
            return state, jnp.exp(state.meta_params["rate"])

        keys = jax.random.split(key_train, steps)
        return jax.lax.scan(step, learner.init(key_init), keys)[1]

    keys = jax.random.split(jax.random.key(1), num_seeds)
    rates = np.asarray(jax.jit(jax.vmap(run))(keys))
    final = rates[:, -steps // 5 :].mean(1)
    pieces = np.array_split(rates, min(50, steps), axis=1)
    return {
        "rate": final.tolist(),
        "loss": [float(exact(rate)[0]) for rate in final],
        "trace": np.stack([piece.mean(1) for piece in pieces], 1).round(4).tolist(),
    }


def draw(found: dict[str, Any]) -> Figure:
    """What is estimated at the first rate, and where learning by it leads."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = found["estimators"]
    for place, (name, style) in enumerate(styles(list(rows)).items()):
        slope = rows[name]["slope"]
        left.errorbar(
            slope["mean"], place, xerr=slope["spread"], fmt="o", color=style["color"]
        )
        trace = np.array(rows[name]["learned"]["trace"]).mean(0)
        updates = np.linspace(0, found["num_updates"], len(trace))
        right.plot(updates, trace, label=name, **style)
    left.axvline(found["slope"], color="black", linestyle="--", label="exact")
    left.set_yticks(range(len(rows)), list(rows))
    left.invert_yaxis()
    left.set_xlabel(
        f"slope of the loss by log rate, at rate {FIRST_RATE:g}\n"
        "(mean, and spread of one estimate)"
    )
    left.legend(frameon=False)
    right.axhline(found["best_rate"], color="black", linewidth=1, label="the best")
    right.set_yscale("log")
    right.set_yticks(
        [0.1, 0.2, 0.3, 0.4, 0.6, 0.8], ["0.1", "0.2", "0.3", "0.4", "0.6", "0.8"]
    )
    right.minorticks_off()
    right.set_xlabel("updates of every agent")
    right.set_ylabel("rate of descent")
    right.legend(
        frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    return figure


def styles(names: list[str]) -> dict[str, dict[str, Any]]:
    """A colour for every kind of estimator, a line for every window."""
    colors = dict(
        zip(
            dict.fromkeys(name.split(",")[0] for name in names),
            ("#0072b2", "#000000", "#d55e00", "#009e73", "#cc79a7"),
            strict=True,
        )
    )
    lines, seen, found = ("-", "--", ":", "-."), {}, {}
    for name in names:
        kind = name.split(",")[0]
        index = seen[kind] = seen.get(kind, -1) + 1
        found[name] = {"color": colors[kind], "linestyle": lines[index]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-updates", type=int, default=20_000)
    parser.add_argument("--num-estimates", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draw", action="store_true", help="what was measured")
    given = parser.parse_args()
    picture = harness.RESULTS / "outer_gradients.png"
    if given.draw:
        measured_before = json.loads(picture.with_suffix(".json").read_text())
        draw(measured_before).savefig(picture, dpi=120)
        return
    best = where_zero(lambda rate: exact(rate)[1])
    rows = {}
    for name, one in estimators(FIRST_RATE).items():
        slope = measured(one, given.num_estimates)
        rows[name] = {
            "slope": {**slope, "expected": one.expected},
            "learned": learned(one, given.num_updates, given.seeds),
        }
        print(name, slope, one.expected, rows[name]["learned"]["rate"], flush=True)
    found = {
        "best_rate": best,
        "best_loss": float(exact(best)[0]),
        "first_rate": FIRST_RATE,
        "first_loss": float(exact(FIRST_RATE)[0]),
        "slope": float(exact(FIRST_RATE)[1]),
        "num_agents": NUM_AGENTS,
        "num_updates": given.num_updates,
        "num_estimates": given.num_estimates,
        "num_seeds": given.seeds,
        "estimators": rows,
    }
    harness.save(
        "outer_gradients",
        f"python benchmarks/outer_gradients.py --num-updates {given.num_updates} "
        f"--num-estimates {given.num_estimates} --seeds {given.seeds}",
        **found,
    )
    draw(found).savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
