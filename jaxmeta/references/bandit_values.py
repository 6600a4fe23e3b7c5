"""What bandits are worth: to the best possible agent, and to an oracle."""

from functools import cache

import numpy as np

from jaxmeta import checks

Arm = tuple[int, int]  # successes and failures


def bayes_optimal_bandit_value(num_arms: int, horizon: int) -> float:
    r"""The highest expected total reward of ``horizon`` pulls, arms uniform on [0, 1].

    ``V_m(state) = max_a p_a (1 + V_{m-1}(state + success of a)) + (1 - p_a)
    V_{m-1}(state + failure of a)``, ``p_a = (s_a + 1) / (s_a + f_a + 2)``, ``V_0 = 0``.
    Arms are exchangeable, so a state is the multiset of the counts of the arms that
    were pulled. No agent does better on average, whatever it has learned.

    Args:
        num_arms: ``k``; more than ``horizon`` of them are worth no more.
        horizon: ``n`` pulls; with as many arms, the number of states grows
            exponentially.

    Source: Bellman, "A Problem in the Sequential Design of Experiments", 1956.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one.
    """
    num_arms = checks.positive_int("num_arms", num_arms)
    horizon = checks.positive_int("horizon", horizon)

    @cache
    def value(pulled: tuple[Arm, ...], remaining: int) -> float:
        if remaining == 0:
            return 0.0
        arms = set(pulled)
        if len(pulled) < num_arms:
            arms.add((0, 0))
        return max(of_arm(arm, pulled, remaining) for arm in arms)

    def of_arm(arm: Arm, pulled: tuple[Arm, ...], remaining: int) -> float:
        successes, failures = arm
        others = list(pulled)
        if arm in others:
            others.remove(arm)
        probability = (successes + 1) / (successes + failures + 2)
        win = tuple(sorted([*others, (successes + 1, failures)]))
        loss = tuple(sorted([*others, (successes, failures + 1)]))
        return probability * (1.0 + value(win, remaining - 1)) + (
            1.0 - probability
        ) * value(loss, remaining - 1)

    return value((), horizon)


def bernoulli_bandit_oracle(num_arms: int, horizon: int) -> float:
    """``n k / (k + 1)``: total reward of an agent told the best of ``k`` uniform arms.

    Args:
        num_arms: ``k``.
        horizon: ``n`` pulls.

    Raises:
        TypeError: if a number is not an integer.
        ValueError: if a number is below one.
    """
    num_arms = checks.positive_int("num_arms", num_arms)
    horizon = checks.positive_int("horizon", horizon)
    return horizon * num_arms / (num_arms + 1)


def gaussian_bandit_oracle(
    num_arms: int, horizon: int, *, mean: float = 0.0, std: float = 1.0
) -> float:
    """Total reward of an agent told the best of ``k`` arms of means ``N(mean, std^2)``.

    ``n (mean + std E[max of k standard normals])``, where the expectation is
    ``int_0^inf (1 - Phi(x)^k) - Phi(-x)^k dx``, by the trapezoidal rule on [0, 12].

    Args:
        num_arms: ``k``.
        horizon: ``n`` pulls.
        mean: of the arms' mean rewards.
        std: of the arms' mean rewards, not negative.

    Raises:
        TypeError: if a number of arms or pulls is not an integer.
        ValueError: if a number is out of range.
    """
    num_arms = checks.positive_int("num_arms", num_arms)
    horizon = checks.positive_int("horizon", horizon)
    if not std >= 0:
        raise ValueError(f"std must not be negative, got {std}")
    x = np.linspace(0.0, 12.0, 24_001)
    # Phi by the same rule: accurate to 1e-8 and no need of scipy.
    density = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)
    step = x[1] - x[0]
    inner = np.cumsum(0.5 * (density[1:] + density[:-1])) * step
    phi = np.minimum(0.5 + np.concatenate([[0.0], inner]), 1.0)
    tail = 1.0 - phi**num_arms - (1.0 - phi) ** num_arms
    best = float(np.sum(0.5 * (tail[1:] + tail[:-1])) * step)
    return horizon * (mean + std * best)
