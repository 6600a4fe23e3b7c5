"""Every method on 2D navigation with the same environment steps.

``python benchmarks/methods.py``: all seeds of a method in one program; draws
the return after adaptation against environment steps, with its interval over seeds
(of ES-MAML, that of the perturbed agents that act in training). ``--draw`` draws what
was measured.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

import jaxmeta as jm
from jaxmeta import policies
from jaxmeta.recipes import Experiment
from jaxmeta.recipes.navigation2d import experiment

SGD = optax.sgd(optax.piecewise_constant_schedule(0.1, {1: 0.5}))
NETWORK = partial(policies.mlp, hidden=(48, 48), initial_std=0.8)


def inner_only(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that has an inner loss alone, with the advantage of inner losses."""

    def call(*arguments: Any, advantage: Any, inner_advantage: Any, **options: Any):
        del advantage
        return method(*arguments, advantage=inner_advantage, **options)

    return call


Make = Callable[..., Experiment]


def methods(num_updates: int) -> dict[str, tuple[Make, int]]:
    """Method -> how to make its experiment, and its environment steps per update.

    Steps are in units of an update of MAML with one inner update; ``num_updates`` is
    how many of those the budget pays for, over which learning rates fall.
    """

    def falling(cost: int) -> optax.GradientTransformation:
        updates = num_updates // cost
        return optax.adam(optax.cosine_decay_schedule(4e-3, updates, alpha=0.02))

    adam = falling(1)
    make = partial(experiment, inner_discount=0.98)
    descend = partial(make, inner_optimizer=SGD)
    estimators = ("first_order", "plain", "lvc", "loaded_dice", "leave_one_out")
    maml = partial(descend, jm.maml, NETWORK, outer_optimizer=adam)
    trust_region = {"radius": 0.02, "num_cg": 5, "num_curvature_episodes": 5}
    es = {"sigma": 0.1, "outer_optimizer": optax.adam(1e-2)}
    return {
        **{f"MAML, {name}": (partial(maml, estimator=name), 1) for name in estimators},
        "MAML-TRPO": (partial(descend, jm.maml_trpo, NETWORK, **trust_region), 1),
        "ProMP": (
            partial(descend, jm.promp, NETWORK, outer_optimizer=optax.adam(1e-3)),
            1,
        ),
        "Meta-SGD": (
            partial(make, jm.meta_sgd, NETWORK, inner_rate=0.1, outer_optimizer=adam),
            1,
        ),
        "ANIL": (partial(descend, jm.anil, NETWORK, outer_optimizer=adam), 1),
        "CAVIA": (
            partial(
                make,
                jm.cavia,
                partial(policies.with_context, NETWORK, size=5),
                inner_optimizer=optax.sgd(1.0),
                outer_optimizer=adam,
            ),
            1,
        ),
        "E-MAML": (partial(descend, jm.emaml, NETWORK, outer_optimizer=adam), 1),
        "implicit MAML": (
            partial(
                descend,
                jm.imaml,
                NETWORK,
                strength=1.0,
                num_updates=3,
                outer_optimizer=falling(2),
            ),
            2,
        ),
        "Reptile": (
            partial(
                descend,
                inner_only(jm.reptile),
                NETWORK,
                num_updates=3,
                outer_optimizer=optax.sgd(0.5),
            ),
            2,
        ),
        "ES-MAML": (partial(descend, inner_only(jm.es_maml), NETWORK, **es), 2),
    }


def train(make: Make, num_updates: int, num_seeds: int) -> dict[str, Any]:
    """A method's returns after the first inner update, against environment steps."""
    found = harness.train_seeds(
        make(num_episodes=10),
        num_updates=num_updates,
        num_seeds=num_seeds,
        num_test_tasks=200,
    )
    after = found.pop("training_returns")[:, :, 1]
    window = max(num_updates // 20, 1)  # smooths over tasks drawn
    count = num_updates // window
    means = after[:, : count * window].reshape(num_seeds, count, window).mean(2)
    interval = jm.bootstrap_interval(jax.random.key(2), jnp.asarray(means))
    steps = found["environment_steps"] / num_updates * window * np.arange(1, count + 1)
    curve = {"environment_steps": steps.tolist()}
    curve |= {end: value.tolist() for end, value in interval._asdict().items()}
    return {**found, "training_curve": curve}


# A color for each family, told apart by whoever sees colors differently too (Okabe and
# Ito), and within it a line style; each method has a marker of its own.
STYLES = {
    "MAML, first_order": ("#0072B2", ":", "o"),
    "MAML, plain": ("#0072B2", "-", "s"),
    "MAML, lvc": ("#0072B2", "--", "^"),
    "MAML, loaded_dice": ("#0072B2", "-.", "v"),
    "MAML, leave_one_out": ("#0072B2", (0, (1, 3)), "D"),
    "MAML-TRPO": ("#D55E00", "-", "P"),
    "ProMP": ("#D55E00", "--", "X"),
    "E-MAML": ("#D55E00", ":", "<"),
    "Meta-SGD": ("#009E73", "-", ">"),
    "ANIL": ("#009E73", "--", "*"),
    "CAVIA": ("#009E73", ":", "h"),
    "implicit MAML": ("#000000", "-", "d"),
    "Reptile": ("#000000", "--", "p"),
    "ES-MAML": ("#000000", ":", "8"),
}


def draw(results: dict[str, dict], shown: Sequence[str]) -> Figure:
    """Return after one inner update against environment steps.

    The left half of the figure has all of them; the right one is a close-up of those
    that end near each other.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    whole, near = figure.subplots(1, 2)
    for number, name in enumerate(shown):
        color, line, marker = STYLES[name]
        curve = results[name]["training_curve"]
        steps = curve["environment_steps"]
        style = {"color": color, "ls": line, "marker": marker, "ms": 7, "lw": 1.5}
        for axes in (whole, near):
            axes.plot(
                steps,
                curve["mean"],
                label=name,
                markevery=(number % 3, 3),
                markerfacecolor="white",
                **style,
            )
            axes.fill_between(
                steps, curve["low"], curve["high"], color=color, alpha=0.08, lw=0
            )
    lowest = min(min(results[name]["training_curve"]["low"]) for name in shown)
    whole.set(title="2D navigation", ylim=(5 * np.floor(lowest / 5), -5))
    whole.set_ylabel("return after one inner update, in training")
    near.set(title="the best of them, closer", ylim=(-20, -11.5))
    for axes in (whole, near):
        axes.set(xlabel="environment steps")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    whole.legend(fontsize="small", loc="lower right", ncols=2, handlelength=4)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--num-updates", type=int, default=200)
    parser.add_argument("--only", nargs="+", help="methods to measure again")
    parser.add_argument("--draw", action="store_true", help="what was measured")
    arguments = parser.parse_args()
    picture = harness.RESULTS / "methods.png"
    if arguments.draw:
        measured = json.loads(picture.with_suffix(".json").read_text())["methods"]
        draw(measured, list(measured)).savefig(picture, dpi=120)
        return
    command = (
        f"python benchmarks/methods.py --seeds {arguments.seeds} "
        f"--num-updates {arguments.num_updates}"
    )
    chosen = methods(arguments.num_updates)
    results: dict[str, Any] = dict.fromkeys(chosen)
    if arguments.only:
        results |= harness.load("methods", command)["methods"]
        chosen = {name: chosen[name] for name in arguments.only}
    for name, (make, cost) in chosen.items():
        results[name] = train(make, arguments.num_updates // cost, arguments.seeds)
        row = [round(value, 2) for value in results[name]["mean"]]
        print(name, row, round(results[name]["seconds"]), flush=True)
        harness.save(  # after each method, as all of them take long
            "methods",
            command,
            num_seeds=arguments.seeds,
            num_test_tasks_per_seed=200,
            num_tasks=20,
            num_episodes=10,
            methods={name: one for name, one in results.items() if one},
        )
    draw(results, list(results)).savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
