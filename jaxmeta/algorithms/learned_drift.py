"""LPO: an objective, learned from how agents fare that maximise it."""

from functools import partial

import optax

from jaxmeta import advantages, inner, lifetimes, losses
from jaxmeta.advantages import Advantage
from jaxmeta.algorithms import evolved, family
from jaxmeta.losses import LearnedDrift
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import MetaLearner, Policy, TaskDistribution


def learned_drift(
    tasks: TaskDistribution,
    policy: Policy,
    *,
    agent_optimizer: optax.GradientTransformation,
    outer_optimizer: optax.GradientTransformation,
    sigma: float,
    num_lifetimes: int,
    lifetime: int,
    num_environments: int = 64,
    length: int = 64,
    num_updates: int | None = None,
    drift: LearnedDrift | None = None,
    advantage: Advantage | None = None,
    entropy_coefficient: float = 0.01,
    value_coefficient: float = 0.5,
    num_epochs: int = 4,
    num_minibatches: int = 4,
    objective: Objective | None = None,
    ranked: bool = False,
    persistent: bool = False,
    lifetime_batch_size: int | None = None,
) -> MetaLearner:
    """Learned policy optimisation: what holds a policy back is learned.

    Agents live in tasks of their own and descend ``-mean [r A - D(r, A)]`` in epochs
    and minibatches, with a learned drift ``D`` where PPO clips; see
    ``losses.mirror_learning``. Evolution strategies improve the drift by how agents do.
    The meta-params are the drift's: it fits agents of any network in any environment,
    and remains a drift whatever it learns. What was found so, in closed form, is
    ``losses.discovered_drift``.

    Args:
        tasks: the distribution of tasks.
        policy: the agent, with a critic.
        agent_optimizer: of an agent; any optax transform.
        outer_optimizer: of the drift.
        sigma: the standard deviation of its perturbations.
        num_lifetimes: pairs of agents that live at a time, by opposite perturbations.
        lifetime: updates in an agent's life, a multiple of ``num_updates``.
        num_environments: copies of its environment each acts in.
        length: steps in each copy per update.
        num_updates: of agents per update of the drift; None: all of a life, which is
            then judged by its end.
        drift: ``losses.learned_drift()`` by default.
        advantage: ``advantages.value_baseline(normalize=True)`` by default.
        entropy_coefficient: weight of the entropy bonus of agents.
        value_coefficient: weight of the squared error of their critics.
        num_epochs: how often an update of an agent learns from each trajectory.
        num_minibatches: steps per epoch, a divisor of ``num_environments``.
        objective: what a window is judged by: by default ``objectives.lifetime_return``
            at the end of a whole life, ``lifetime_reward`` of a shorter window.
        ranked: as in ``outer.evolution``.
        persistent: as in ``lifetime_learner``, for windows shorter than a life.
        lifetime_batch_size: as in ``lifetime_learner``.

    Source: Lu, Kuba, Letcher, Metz, Schroeder de Witt and Foerster, "Discovered Policy
    Optimisation", 2022.

    Raises:
        TypeError: if a number is no integer, an optimizer none, or ``drift`` no learned
            one.
        ValueError: if a number is out of range, or the parts do not fit each other.
    """
    family.check_optimizers(
        agent_optimizer=agent_optimizer, outer_optimizer=outer_optimizer
    )
    if drift is None:
        drift = losses.learned_drift()
    if not isinstance(drift, LearnedDrift):
        raise TypeError(
            f"drift must be a LearnedDrift, such as losses.learned_drift(), got "
            f"{drift!r}"
        )
    evolved.check_critic(tasks, policy)
    evolved.check_minibatches(num_environments, num_minibatches)
    if advantage is None:
        advantage = advantages.value_baseline(normalize=True)

    def agent_loss(meta_params):
        return losses.mirror_learning(
            policy,
            advantage,
            drift=partial(drift.apply, meta_params),
            entropy_coefficient=entropy_coefficient,
            value_coefficient=value_coefficient,
        )

    lifetimes.check_loss("advantage", agent_loss(None))
    agent = inner.descent(
        policy.init,
        agent_loss,
        agent_optimizer,
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )
    return evolved.evolved(
        tasks,
        policy,
        agent,
        drift.init,
        objective=objective,
        outer_optimizer=outer_optimizer,
        sigma=sigma,
        ranked=ranked,
        num_lifetimes=num_lifetimes,
        lifetime=lifetime,
        num_updates=num_updates,
        num_environments=num_environments,
        length=length,
        persistent=persistent,
        lifetime_batch_size=lifetime_batch_size,
    )
