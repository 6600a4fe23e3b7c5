"""MAML on 2D navigation by torchopt or learn2learn: one meta-update, the same work.

``python benchmarks/torch_maml.py torchopt``, in an environment of
``requirements-torch.txt``; jaxmeta is not needed. What ``meta_update.py`` times of
``maml-navigation2d --arguments '{"hidden": [64, 64], "outer_loss_weights": [1.0]}'`` is
written here as the examples of both libraries do it: tasks one after the other, the
episodes of a task side by side in torch, a linear-feature baseline fitted per batch,
normalised advantages in the inner update, Adam outside. Both one thread and all are
tried, and the faster is reported.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

RESULTS = Path(__file__).parent / "results"
HORIZON, INNER_RATE, OUTER_RATE, DISCOUNT = 100, 0.1, 4e-3, 0.99


class Gaussian(nn.Module):
    """Two hidden layers of tanh, and a standard deviation that is a parameter."""

    def __init__(self, width: int):
        super().__init__()
        self.mean = nn.Sequential(
            nn.Linear(2, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, 2),
        )
        self.log_std = nn.Parameter(torch.full((2,), -0.22))

    def forward(self, observation: torch.Tensor) -> torch.distributions.Normal:
        """The distribution of actions."""
        mean = self.mean(observation)
        return torch.distributions.Normal(mean, self.log_std.exp(), validate_args=False)


class Batch:
    """Episodes ``[T, N]`` of one task, with advantages over a fitted baseline."""

    def __init__(self, policy: Callable, goal: torch.Tensor, num_episodes: int):
        position = torch.zeros(num_episodes, 2)
        alive = torch.ones(num_episodes)
        rows = []
        with torch.no_grad():
            for _ in range(HORIZON):
                action = policy(position).sample()
                after = position + (0.1 * action).clamp(-0.1, 0.1)
                reward = -(after - goal).norm(dim=-1) * alive
                rows.append((position, action, reward, alive))
                alive = alive * ((after - goal).abs().amax(-1) >= 0.01)
                position = after
        stacked = [torch.stack(column) for column in zip(*rows, strict=True)]
        self.observation, self.action, self.reward, self.alive = stacked
        self.advantage = self._advantages()

    def _advantages(self) -> torch.Tensor:
        returns, total = [], torch.zeros(self.reward.shape[1])
        for reward in self.reward.flip(0):
            total = reward + DISCOUNT * total
            returns.append(total)
        to_go = torch.stack(returns[::-1])
        clock = torch.arange(HORIZON).float().div(100)[:, None, None]
        clock = clock.expand(*to_go.shape, 1)
        seen = self.observation
        features = [seen, seen**2, clock, clock**2, clock**3, torch.ones_like(clock)]
        features = torch.cat(features, -1) * self.alive[..., None]
        flat = features.flatten(0, 1)
        gram = flat.T @ flat + 1e-5 * torch.eye(flat.shape[1])
        weights = torch.linalg.solve(gram, flat.T @ to_go.flatten())
        return (to_go - features @ weights) * self.alive


def loss(policy: Callable, batch: Batch, *, normalize: bool) -> torch.Tensor:
    """The policy-gradient loss of a batch."""
    advantage = batch.advantage
    if normalize:
        alive = advantage[batch.alive > 0]
        advantage = (advantage - alive.mean()) / (alive.std() + 1e-8)
    log_prob = policy(batch.observation).log_prob(batch.action).sum(-1)
    return -(log_prob * advantage * batch.alive).sum() / batch.alive.sum()


def with_torchopt(policy: Gaussian, goals: torch.Tensor, num_episodes: int):
    import torchopt

    inner = torchopt.MetaSGD(policy, lr=INNER_RATE)
    start = torchopt.extract_state_dict(policy, by="reference", detach_buffers=True)
    start_inner = torchopt.extract_state_dict(inner, by="reference")
    losses = []
    for goal in goals:
        inner.step(loss(policy, Batch(policy, goal, num_episodes), normalize=True))
        losses.append(loss(policy, Batch(policy, goal, num_episodes), normalize=False))
        torchopt.recover_state_dict(policy, start)
        torchopt.recover_state_dict(inner, start_inner)
    return losses


def with_learn2learn(policy: Gaussian, goals: torch.Tensor, num_episodes: int):
    import learn2learn

    maml = learn2learn.algorithms.MAML(policy, lr=INNER_RATE)
    losses = []
    for goal in goals:
        learner = maml.clone()
        learner.adapt(loss(learner, Batch(learner, goal, num_episodes), normalize=True))
        query = Batch(learner, goal, num_episodes)
        losses.append(loss(learner, query, normalize=False))
    return losses


LIBRARIES = {"torchopt": with_torchopt, "learn2learn": with_learn2learn}


def measure(given: argparse.Namespace, threads: int) -> dict[str, float]:
    """Seconds of repeated meta-updates, after two more."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    policy = Gaussian(given.width)
    optimizer = torch.optim.Adam(policy.parameters(), lr=OUTER_RATE)
    seconds = []
    for _ in range(given.repeats + 2):
        started = time.perf_counter()
        goals = torch.rand(given.num_tasks, 2) - 0.5
        losses = LIBRARIES[given.library](policy, goals, given.num_episodes)
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    runs = torch.tensor(seconds[2:], dtype=torch.float64)
    quartiles = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, median, high = runs.quantile(quartiles).tolist()
    return {
        "median": median,
        "lower_quartile": low,
        "upper_quartile": high,
        "calls": len(runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--num-tasks", type=int, default=20)
    parser.add_argument("--num-episodes", type=int, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    all_threads = torch.get_num_threads()
    timed = {count: measure(given, count) for count in {1, all_threads}}
    threads = min(timed, key=lambda count: timed[count]["median"])
    steps = 2 * given.num_tasks * given.num_episodes * HORIZON
    found = {
        "command": shlex.join(["python", "benchmarks/torch_maml.py", *sys.argv[1:]]),
        "device": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            given.library: version(given.library),
        },
        "settings": {**vars(given), "horizon": HORIZON},
        "threads": threads,
        "environment_steps": steps,
        "run_seconds": timed[threads],
        "environment_steps_per_second": steps / timed[threads]["median"],
    }
    path = RESULTS / f"torch_maml_{given.library}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
