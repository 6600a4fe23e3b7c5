"""RL^2 over several environments of classic control at once."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxmeta import checks, policies, tasks
from jaxmeta.recipes.trials import experiment
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.tasks import Sampler
from jaxmeta.types import TaskDistribution


def either_way(low: float, high: float) -> Sampler:
    """Uniform between two numbers, with either sign equally likely."""
    size = tasks.uniform(low, high)

    def sample(key):
        key_size, key_sign = jax.random.split(key)
        return size(key_size) * jax.random.rademacher(key_sign, (), jnp.float32)

    return sample


def _torques(key: jax.Array) -> jax.Array:
    """What the three actions of an acrobot do."""
    return either_way(1.0, 3.0)(key) * jnp.array([-1.0, 0.0, 1.0])


def domains() -> Mapping[str, TaskDistribution]:
    """The tasks of each domain: in all of them actions may do the reverse.

    * Cart-pole, 100 steps: gravity 5 to 15, a push of 5 to 10.
    * Acrobot, 150 steps: a torque of 1 to 3, where the environment itself has 1.
    * Mountain car, 100 steps: a force of 0.002 to 0.006, where the environment itself
      has 0.001 and 200 steps, in which random actions never reach the goal. Above
      0.0025 the car climbs the hill from where it stands.
    """
    return {
        "cart-pole": tasks.from_gymnax(
            "CartPole-v1",
            horizon=100,
            params={
                "gravity": tasks.uniform(5, 15),
                "force_mag": either_way(5.0, 10.0),
            },
        ),
        "acrobot": tasks.from_gymnax(
            "Acrobot-v1", horizon=150, params={"available_torque": _torques}
        ),
        "mountain car": tasks.from_gymnax(
            "MountainCar-v0",
            horizon=100,
            params={"force": either_way(0.002, 0.006)},
        ),
    }


def build(
    *,
    domain: str = "all",
    num_episodes: int = 2,
    size: int = 32,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 36,
    outer_rate: float = 2e-3,
    decay_updates: int = 250,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    entropy_coefficient: float = 0.02,
    value_coefficient: float = 0.4,
    value_scale: float = 20.0,
    num_minibatches: int = 4,
) -> Experiment:
    """RL^2 on cart-poles, acrobots and mountain cars whose actions may be reversed.

    Args:
        domain: ``"all"``, or the one to train and test in, with the interface of all.
        num_episodes: episodes in a trial.
        size: of the gated recurrent unit.
        hidden: sizes of the hidden layers between memory and outputs.
        num_tasks: trials per update.
        outer_rate: of Adam, at first.
        decay_updates: updates until it and the entropy bonus are zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus, at first.
        value_coefficient: weight of the critic's squared error, in such units.
        value_scale: unit of the critic, about the spread of returns.
        num_minibatches: steps of the optimizer per epoch, of which there are four.
    """
    return experiment(
        mixed(domain),
        policies.gru(size),
        hidden=hidden,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        outer_rate=outer_rate,
        decay_updates=decay_updates,
        discount=discount,
        trace_decay=trace_decay,
        entropy_coefficient=entropy_coefficient,
        value_coefficient=value_coefficient,
        value_scale=value_scale,
        num_minibatches=num_minibatches,
    )


def mixed(domain: str = "all") -> TaskDistribution:
    """The tasks of all domains, or of one in the interface of all.

    Raises:
        ValueError: if there is no such domain.
    """
    components = domains()
    checks.one_of("domain", domain, ("all", *components))
    weights = {name: float(domain in (name, "all")) for name in components}
    return tasks.mixture(components, weights=weights)


RECIPE = Recipe(
    name="rl2-control",
    summary="RL^2 in three environments at once, whose actions may do the reverse",
    method="RL^2",
    tasks="classic control",
    build=build,
    num_updates=250,
    num_test_tasks=3000,
    published={},
    optimum=None,
    expected_time="about 4 minutes on one core",
)
