"""RL^2: what it refuses, and that it learns within a trial."""

import jax
import optax
import pytest

import jaxmeta as jm
from jaxmeta import advantages, losses, policies
from jaxmeta.environments import BernoulliBandit, MatchProbe

TASKS = jm.tasks.from_gymnax(MatchProbe(), params={"bit": jm.tasks.choice([0, 1])})
HORIZON = TASKS.environment.horizon
REMEMBERING = policies.recurrent(TASKS.environment, core=policies.gru(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 2 * HORIZON - 1}, "length must be at least the horizon .* 5 steps"),
        (
            {"length": HORIZON - 1, "num_episodes": 1},
            "length must be at least the horizon .* 5 steps",
        ),
        ({"num_minibatches": 3}, "must divide the number of trials, 4, got 3"),
        ({"num_minibatches": 8}, "must divide the number of trials, 4, got 8"),
        ({"advantage": advantages.value_baseline()}, "each on their own"),
        ({"advantage": advantages.reward_to_go()}, "each on their own"),
        ({"outer_loss": losses.v_trace(REMEMBERING)}, "each on their own"),
        (
            {"advantage": advantages.value_baseline(episodes_per_trial=1)},
            "make trials of 1, and memory lasts over 2",
        ),
        (
            {
                "outer_loss": losses.v_trace(REMEMBERING, episodes_per_trial=2),
                "entropy_coefficient": 0.1,
            },
            "entropy_coefficient: outer_loss is given, and has its own",
        ),
    ],
)
def test_rl2_refuses(options, message):
    settings = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4, "num_episodes": 2}
    with pytest.raises(ValueError, match=message):
        jm.rl2(TASKS, REMEMBERING, **{**settings, **options})


def test_a_policy_must_fit_the_method():
    settings = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4}
    memoryless = policies.mlp(TASKS.environment, critic=True)
    with pytest.raises(ValueError, match="this one has none; use"):
        jm.rl2(TASKS, memoryless, **settings)
    remembering = policies.recurrent(TASKS.environment)
    with pytest.raises(ValueError, match=r"has a memory.*; use"):
        jm.multitask(TASKS, remembering, **settings)
    blind = policies.recurrent(TASKS.environment, critic=False)
    with pytest.raises(ValueError, match="needs a policy with a critic"):
        jm.rl2(TASKS, blind, **settings)


@pytest.mark.parametrize("loss", ["clipped_surrogate", "v_trace"])
def test_rl2_learns_which_arm_pays_within_a_trial(loss, key):
    """One of two arms pays, always: 4.5 + 5 of two episodes of five, 2.5 + 2.5 blind.

    The first pull is a guess; its reward tells the task, and all later ones are right,
    those of the second episode too.
    """

    def one_pays(key):
        return jax.nn.one_hot(jax.random.bernoulli(key).astype(int), 2)

    tasks = jm.tasks.from_gymnax(
        BernoulliBandit(2), params={"probabilities": one_pays}, horizon=5
    )
    policy = policies.recurrent(tasks.environment, core=policies.gru(8))
    outer_loss = None
    if loss == "v_trace":
        outer_loss = losses.v_trace(
            policy, trace_decay=0.3, entropy_coefficient=0.01, episodes_per_trial=2
        )
    learner = jm.rl2(
        tasks,
        policy,
        outer_optimizer=optax.adam(1e-2),
        num_tasks=64,
        num_episodes=2,
        outer_loss=outer_loss,
    )
    state, _ = jax.jit(lambda s: jm.train(key, learner, s, 80))(learner.init(key))
    curve = jm.adaptation_curve(key, learner, state.meta_params, tasks, num_tasks=1000)
    first, second = curve.mean(0)
    error = curve[:, 0].std() / 1000**0.5
    assert 4.3 < first < 4.5 + 4 * error
    assert 4.9 < second <= 5.0


def test_what_contradicts_trials_is_refused():
    with pytest.raises(ValueError, match="contradicts episodes_per_trial"):
        advantages.value_baseline(discount_steps=True, episodes_per_trial=2)
    with pytest.raises(ValueError, match="episodes_per_trial must be at least 1"):
        losses.v_trace(REMEMBERING, episodes_per_trial=0)
    of_trials = advantages.value_baseline(episodes_per_trial=2)
    for loss in (losses.dice, losses.loaded_dice):
        with pytest.raises(ValueError, match="DiCE follows how an episode depends"):
            loss(REMEMBERING, of_trials)
    memoryless = policies.mlp(TASKS.environment, critic=True)
    settings = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4}
    with pytest.raises(ValueError, match="each episode is on its own; leave"):
        jm.multitask(TASKS, memoryless, advantage=of_trials, **settings)
    with pytest.raises(TypeError, match=r"policy must be a Policy, .* got .*Core"):
        jm.rl2(TASKS, policies.gru(4), **settings)


@pytest.mark.parametrize("scheduled", [False, True])
def test_a_loss_of_another_policy_is_refused(scheduled):
    """One of the same shapes would be learned from: its values are in other units."""
    scaled = policies.scale_values(REMEMBERING, 10.0)
    advantage = advantages.value_baseline(episodes_per_trial=1)

    def loss(policy):
        def make(coefficient):
            return losses.clipped_surrogate(
                policy, advantage, entropy_coefficient=coefficient
            )

        if scheduled:
            return losses.scheduled(make, optax.constant_schedule(0.01))
        return make(0.01)

    settings = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4}
    for given in (REMEMBERING, policies.recurrent(TASKS.environment)):
        with pytest.raises(
            ValueError, match="outer_loss: it is the loss of another policy"
        ):
            jm.rl2(TASKS, scaled, outer_loss=loss(given), **settings)
    jm.rl2(TASKS, scaled, outer_loss=loss(scaled), **settings)
