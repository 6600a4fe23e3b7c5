"""Write SCALING.md: what a meta-update should cost on many devices.

``python benchmarks/tables.py`` does, from ``results/scaling_one_core.json`` (a device)
and ``results/scaling.json`` (two); a test holds the page to them.
"""

import math
from typing import Any

import jax
import numpy as np
from sections import HERE, read, table, versions

import jaxmeta as jm

PAGE = HERE / "SCALING.md"
# Assumed of the network between devices, not measured: one hop, and bytes a second.
LATENCY, BANDWIDTH = 20e-6, 10e9
DEVICES = (1, 8, 64, 1024)
NUM_TASKS, TASKS_PER_DEVICE = 16_384, 64


def fitted(points: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds of every update, and of each of its tasks: ``t = fixed + slope M``.

    By least squares of relative errors, as times span three orders of magnitude.
    """
    counts = np.array([point["size"]["num_tasks"] for point in points], float)
    seconds = np.array([point["run_seconds"]["median"] for point in points])
    columns = np.stack([np.ones_like(counts), counts], axis=1) / seconds[:, None]
    found, *_ = np.linalg.lstsq(columns, np.ones_like(seconds))
    return float(found[0]), float(found[1])


def param_bytes(width: int) -> int:
    """Of the meta-params, and so of what the devices must agree on in an update."""
    policy = jm.policies.mlp(jm.tasks.navigation2d().environment, hidden=(width, width))
    params = jax.eval_shape(policy.init, jax.random.key(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def sum_seconds(devices: int, num_bytes: int) -> float:
    """An all-reduce: there and back through a tree of devices."""
    if devices == 1:
        return 0.0
    hops = 2 * math.ceil(math.log2(devices))
    return hops * LATENCY + 2 * num_bytes * (devices - 1) / devices / BANDWIDTH


def render() -> str:
    one, two = read("scaling_one_core"), read("scaling")
    points = one["sweeps"]["tasks"]["points"]
    size = points[0]["size"]
    fixed, slope = fitted(points)
    num_bytes = param_bytes(size["width"])
    memory = read("scaling_memory")["in_pieces"]
    few, many = memory[0], memory[-1]
    per_task = (many["temporary_bytes"] - few["temporary_bytes"]) / (
        many["num_tasks"] - few["num_tasks"]
    )
    piece = few["temporary_bytes"] - per_task * few["num_tasks"]
    experience = many["experience_bytes"] / many["num_tasks"]

    def model(devices: int, num_tasks: int) -> list[str]:
        share = num_tasks / devices
        work, agree = slope * share, sum_seconds(devices, num_bytes)
        total = fixed + work + agree
        parts = {"tasks": work, "what every update costs": fixed, "the sum": agree}
        return [
            f"{devices:,}",
            f"{num_tasks:,}",
            f"{1e3 * total:.2f}",
            f"{1e3 * work:.2f}",
            f"{1e3 * agree:.3f}",
            f"{(fixed + slope * num_tasks) / total / devices:.0%}",
            f"{(share * per_task + piece + 3 * num_bytes) / 1e6:.1f}",
            max(parts, key=lambda name: parts[name]),
        ]

    header = ["devices", "tasks", "ms", "of tasks", "of the sum", "efficiency"]
    header += ["MB a device", "most of it"]
    measured = []
    for mine, theirs in zip(points, two["sweeps"]["tasks"]["points"], strict=True):
        count = mine["size"]["num_tasks"]
        pair = [mine["run_seconds"]["median"], theirs["run_seconds"]["median"]]
        alone = fixed + slope * count
        expected = fixed + slope * count / 2 + sum_seconds(2, num_bytes)
        measured.append(
            [
                f"{count:,}",
                f"{1e3 * pair[0]:.2f}",
                f"{1e3 * alone:.2f}",
                f"{1e3 * pair[1]:.2f}",
                f"{1e3 * expected:.2f}",
                f"{pair[0] / pair[1] / 2:.0%}",
            ]
        )
    return TEXT.format(
        size=f"{size['num_episodes']} episodes of {size['horizon']} steps, "
        f"2 x {size['width']} tanh, one inner update",
        fixed=1e3 * fixed,
        slope=1e6 * slope,
        num_bytes=num_bytes,
        experience=experience,
        per_task=per_task,
        latency=1e6 * LATENCY,
        bandwidth=BANDWIDTH / 1e9,
        strong=table(header, [model(d, NUM_TASKS) for d in DEVICES]),
        weak=table(header, [model(d, TASKS_PER_DEVICE * d) for d in DEVICES]),
        measured=table(
            ["tasks", "one core, ms", "model", "two, ms", "model", "efficiency"],
            measured,
        ),
        one=versions(one),
        two=versions(two),
    )


TEXT = """# Many devices

`jm.sharded(learner)` spreads the tasks (or lifetimes) of a meta-update over all
devices: each acts and adapts in its share, and one all-reduce of the meta-gradient, as
large as the meta-params, is all they tell each other in an update of MAML, LPG, OPEN or
meta-gradients. The batch is that of the learner whatever their number, so the results
are the same but for the order of sums; tasks that cannot be shared out evenly are
refused.

## How to start

**One host.** GPUs and TPU cores are found; `JAX_NUM_CPU_DEVICES=8` makes eight cores of
a CPU devices. `jaxmeta train` uses all of them, a program of your own calls
`jm.sharded`.

**Several hosts.** Each runs the same program, which starts JAX's distributed runtime
before it imports jaxmeta, as that import makes arrays:

```python
# train.py
import jax

jax.distributed.initialize()

import jaxmeta as jm

learner = jm.sharded(...)
jm.fit(jax.random.key(0), learner, 500, directory="/shared/run")
```

* SLURM: a process for each GPU, `srun --gpus-per-node=8 --ntasks-per-node=8 python
  train.py`; JAX takes addresses from SLURM and gives each process a GPU.
* TPU pods: the same command on every worker, such as `gcloud compute tpus tpu-vm ssh
  NAME --worker=all --command="python train.py"`; on GKE a JobSet whose pods run it.
  Addresses come from the platform.
* Plain hosts: `jax.distributed.initialize("first-host:1234", num_processes=4,
  process_id=i)`.

The directory must be one that all hosts see. The first process writes metrics and
progress, all take part in checkpoints, which are written once; a run goes on with
another number of devices or hosts. What is tested is two processes of several devices
on one machine, on CPUs; the starts above are those of JAX's documentation.

## What it should cost

A meta-update of MAML on 2D navigation ({size}) takes `fixed + slope M` for `M` tasks on
one core, with fixed = {fixed:.2f} ms and slope = {slope:.0f} us a task, from the
measured points below. On `D` such devices it is `fixed + slope M / D`, and the sum of
{num_bytes:,} bytes through a tree, `2 log2(D)` hops of {latency:.0f} us at
{bandwidth:.0f} GB/s: these two are assumed of the network. The experience of a task is
{experience:,.0f} bytes, and each task takes {per_task:,.0f} of memory.

The same batch on more devices (strong scaling):

{strong}

{per_device} tasks on each (weak scaling):

{weak}

The meta-params are so small that it is never the bytes of the sum that count: with few
tasks on each device its latency does, and what every update costs however few tasks it
has. So give a device tasks enough that their time is well above these; more devices
than that make no update faster, but every update better, by larger batches.

## Measured

One core, which the model is fitted to, and two, each a device, which it is held
against; they share memory and the last level of cache:

{measured}

{one}. {two}.
""".replace("{per_device}", str(TASKS_PER_DEVICE))
