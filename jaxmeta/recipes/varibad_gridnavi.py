"""VariBAD on GridNavi, where the Bayes-optimal agent is known.

Protocol of Zintgraf et al., "VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
Meta-Learning" (2020): trials of four episodes of 15 steps, five latents from a gated
recurrent unit of 64, one Bernoulli head for the reward of each cell, three updates of
encoder and decoder to one of the policy. It departs from the settings of the authors'
code, for fewer environment steps, in

- the data of an update: 64 trials, where theirs has 16;
- the policy's steps: rate 2e-3 falling to zero, ratios clipped at 0.2 and four epochs,
  where theirs have 7e-4 throughout, 0.05 and two;
- the discount of 0.99, where theirs is 0.95;
- the entropy bonus: 0.03 falling to zero, where theirs is 0.1; the rate of encoder and
  decoder falls to zero too;
- the critic: a plain squared error of values in units of 5, where theirs is a clipped
  Huber loss of normalised rewards;
- the weight of the divergence: 0.01, where theirs is 1;
- the replay: 1,000 trials, of which it draws 32, where theirs keeps 100,000 and
  draws 25;
- the networks: one layer of 64 on what is observed and believed as it is, where theirs
  normalise both, embed each in 16 units, and have a layer of 32.
"""

import jax
import jax.numpy as jnp
import optax

from jaxmeta import decoders, policies, tasks
from jaxmeta.algorithms import varibad
from jaxmeta.recipes.trials import proximal
from jaxmeta.recipes.types import Experiment, Recipe
from jaxmeta.types import Transition

NUM_CELLS = 25
REWARDS = (-0.1, 1.0)
NUM_MODEL_UPDATES = 3
FIRST, LATER = 4.0, 11.0714  # of the Bayes-optimal agent, by dynamic programming


def reached(step: Transition) -> jax.Array:
    """The number of the cell a step leads to."""
    cell = jnp.round((step.next_observation + 1.0) * 2.0).astype(jnp.int32)
    return 5 * cell[0] + cell[1]


def build(
    *,
    num_episodes: int = 4,
    size: int = 64,
    num_latents: int = 5,
    hidden: tuple[int, ...] = (64,),
    num_tasks: int = 64,
    outer_rate: float = 2e-3,
    model_rate: float = 3e-3,
    decay_updates: int = 2500,
    discount: float = 0.99,
    trace_decay: float = 0.95,
    entropy_coefficient: float = 0.03,
    value_coefficient: float = 0.5,
    value_scale: float = 5.0,
    num_minibatches: int = 4,
    kl_weight: float = 0.01,
) -> Experiment:
    """VariBAD on a grid with a hidden goal.

    Args:
        num_episodes: episodes in a trial.
        size: of the encoder's gated recurrent unit.
        num_latents: dimensions of the latent.
        hidden: sizes of the hidden layers of actor and critic.
        num_tasks: trials per update.
        outer_rate: of the policy's Adam, at first.
        model_rate: of the Adam of encoder and decoder, at first.
        decay_updates: updates until both and the entropy bonus are zero.
        discount: of the reward of a trial.
        trace_decay: lambda of the advantages.
        entropy_coefficient: weight of the entropy bonus, at first.
        value_coefficient: weight of the critic's squared error, in such units.
        value_scale: unit of the critic, about the spread of returns.
        num_minibatches: steps of the optimizer per epoch, of which there are four.
        kl_weight: weight of the divergence of beliefs.
    """
    distribution = tasks.gridnavi()
    environment = distribution.environment
    believing = policies.belief(
        environment,
        core=policies.gru(size),
        num_latents=num_latents,
        hidden=hidden,
    )
    policy = policies.scale_values(believing, value_scale)
    decay = optax.cosine_decay_schedule(model_rate, decay_updates * NUM_MODEL_UPDATES)
    learner = varibad(
        distribution,
        policy,
        decoder=decoders.reward(
            environment, values=REWARDS, heads=(NUM_CELLS, reached)
        ),
        model_optimizer=optax.adam(decay),
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        num_model_updates=NUM_MODEL_UPDATES,
        kl_weight=kl_weight,
        **proximal(
            policy,
            num_episodes=num_episodes,
            outer_rate=outer_rate,
            decay_updates=decay_updates,
            discount=discount,
            trace_decay=trace_decay,
            entropy_coefficient=entropy_coefficient,
            value_coefficient=value_coefficient,
            value_scale=value_scale,
            num_minibatches=num_minibatches,
        ),
    )
    optimum = (FIRST, *(LATER,) * (num_episodes - 1))
    return Experiment(learner, learner, distribution, {}, optimum)


RECIPE = Recipe(
    name="varibad-gridnavi",
    summary="VariBAD infers where the goal of a grid may be, and searches there",
    method="VariBAD",
    tasks="GridNavi",
    build=build,
    num_updates=2500,
    num_test_tasks=10_000,
    published={},
    optimum=(FIRST, LATER, LATER, LATER),
    expected_time="5 minutes on one CPU core",
)
