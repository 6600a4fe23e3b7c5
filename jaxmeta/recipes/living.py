"""How the agents do that live at the end of meta-training."""

from collections.abc import Callable
from functools import partial
from typing import cast

import jax

from jaxmeta import rollouts
from jaxmeta.returns import episode_returns
from jaxmeta.types import Environment, Key, MetaLearner, MetaState


def tested(
    learner: MetaLearner,
) -> Callable[[Key, MetaState, int], tuple[jax.Array, jax.Array]]:
    """An ``Experiment.evaluate`` for the agents that live, each in its task.

    Args:
        learner: of agents that live on, by the meta-params themselves.

    Returns:
        ``(key, state, num) -> (returns [num, 1] of sampled actions, of the mode)``, of
        whole episodes, as many of each agent.
    """
    environment = cast(Environment, learner.environment)

    @partial(jax.jit, static_argnums=2)
    def evaluate(key, state, num):
        lives = state.outer_state.lifetimes
        num_agents = lives.age.shape[0]

        def returns(key, life, mode):
            batch = rollouts.episodes(
                key,
                environment,
                learner.policy,
                learner.inner.params(state.meta_params, life.agent),
                life.task,
                num_episodes=-(-num // num_agents),
                length=environment.horizon,
                mode=mode,
            )
            found = jax.vmap(episode_returns)(batch.reward, batch.timestep.is_first)
            return found[:, 0]

        key_sampled, key_mode = jax.random.split(key)

        def all_of(key, mode):
            found = jax.vmap(partial(returns, mode=mode))(
                jax.random.split(key, num_agents), lives
            )
            return found.T.reshape(-1, 1)[:num]

        return all_of(key_sampled, False), all_of(key_mode, True)

    return evaluate
