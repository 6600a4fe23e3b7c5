import inspect
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmeta as jm
from jaxmeta import diagnosis_files
from jaxmeta.cli import main
from jaxmeta.diagnosis import descents
from jaxmeta.diagnosis.setting import Budget, budget_of, default_loss
from jaxmeta.diagnostics import VERDICTS, Arms, judge, verdict
from jaxmeta.diagnostics.words import in_words
from jaxmeta.environments import BernoulliBandit

DIFFICULTY = jnp.arange(-50.0, 50.0)  # of tasks, which all ways to learn share


def judged(*means, optimum=None, noise=0.0, **options):
    """Of constant differences between the ways to learn, but for the noise of one."""
    returns = [DIFFICULTY + mean for mean in means]
    returns[0] = returns[0] + noise
    key = jax.random.key(0)
    return judge(key, Arms(*returns), DIFFICULTY, optimum=optimum, **options)


@pytest.mark.parametrize(
    ("means", "optimum", "right"),
    [
        # meta-learned, from scratch, one policy, fine-tuning; untrained has 0
        ((10, 5, 1, 8), None, "adaptation gains"),
        ((10, 5, 1, 8.875), None, "adaptation gains"),
        ((10, 5, 1, 9.125), None, "fine-tuning already does"),
        ((10, 5, 9.125, 9.5), None, "one policy already does"),
        ((9.125, 5, 10, 10), None, "one policy already does"),
        ((10, 9.125, 9.125, 9.125), None, "one policy already does"),
        ((10, 9.125, 1, 9.5), None, "tasks share too little"),
        ((5, 10, 1, 9.5), None, "tasks share too little"),
        ((5, 8, 1, 10), None, "fine-tuning already does"),
        ((0.875, 0.5, 0, 0.5), 10, "nothing is learned"),
        ((1.125, 0.5, 0, 0.5), 10, "adaptation gains"),
        ((0, 0, 0, 0), None, "undecided"),
        ((0, 0, 0, 0), 10, "nothing is learned"),
        ((-1, -1, -1, -1), 10, "nothing is learned"),
    ],
)
def test_verdict_by_rule(means, optimum, right):
    found = judged(*means, optimum=optimum)
    assert found.verdict == right
    assert found.verdict in VERDICTS
    best_other = max(means[1:])
    np.testing.assert_array_equal(found.gain, means[0] - best_other)
    for name, mean in zip(Arms._fields, means, strict=True):
        np.testing.assert_array_equal(getattr(found.gains, name), means[0] - mean)
        shortfall = max(means) - mean
        np.testing.assert_array_equal(getattr(found.shortfalls, name), shortfall)
        np.testing.assert_array_equal(getattr(found.improvements, name), mean)
    assert found.range == max(means)


def test_share_is_that_of_the_range():
    assert judged(10, 5, 1, 8).verdict == "adaptation gains"
    assert judged(10, 5, 1, 8, share=0.25).verdict == "fine-tuning already does"


def test_what_overlaps_is_undecided():
    """The same mean gain of 2 is seen without noise, and lost in noise of 24."""
    noise = 24.0 * jnp.where(jnp.arange(100) % 2 == 0, 1.0, -1.0)
    assert judged(10, 5, 1, 8).verdict == "adaptation gains"
    found = judged(10, 5, 1, 8, noise=noise)
    assert found.verdict == "undecided"
    np.testing.assert_allclose(found.gain.mean, 2.0)
    half = 1.96 * 24 / np.sqrt(100)
    np.testing.assert_allclose(found.gain.low, 2 - half, atol=0.5)
    np.testing.assert_allclose(found.gain.high, 2 + half, atol=0.5)
    # A gain that is sure and small is not one that matters, nor is there another best.
    assert judged(10, 5, 1, 9.5, noise=noise / 4).verdict == "undecided"


def test_the_best_alternative_is_found_anew_in_every_resample():
    """Two that are best on half of the tasks each: together they are not beaten."""
    even = jnp.arange(100) % 2 == 0
    arms = Arms(
        jnp.full(100, 5.0),
        jnp.where(even, 9.0, 0.0),
        jnp.where(even, 0.0, 9.0),
        jnp.zeros(100),
    )
    found = judge(jax.random.key(0), arms, jnp.full(100, -5.0))
    np.testing.assert_allclose(found.gain.mean, 0.5)
    assert found.gain.high <= 0.5  # the better of two equals is above their mean


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"share": 1.0}, r"share must lie in \(0, 1\), got 1.0"),
        ({"share": 0.0}, r"share must be positive"),
        ({"optimum": np.inf}, r"optimum must be finite"),
        ({"confidence": 1.0}, r"confidence must lie in \(0, 1\)"),
        ({"noise": jnp.nan}, r"meta_learned must be finite"),
        ({"noise": jnp.zeros((100, 1))}, r"meta_learned must be returns \[num_tasks\]"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_returns_are_refused(changed, message):
    with jax.numpy_rank_promotion("allow"), pytest.raises(ValueError, match=message):
        judged(10, 5, 1, 8, **changed)


def test_words_say_the_numbers():
    def words(*means, optimum=None):
        curves = Arms(*(SimpleNamespace(mean=[0.5, float(m)]) for m in means))
        found = judged(*means, optimum=optimum)
        return in_words(
            found, curves, 0.0, optimum=optimum, unit="inner update", agreement=None
        )

    first, second, third = words(10, 5, 1, 8, optimum=12.0)
    assert first == (
        "adaptation gains: 2.00 [2.00, 2.00] over the best alternative, fine-tuning, "
        "20% of the range from an untrained policy to the best."
    )
    assert second == (
        "Return after 1 inner update: meta-learned 10.00, learning from scratch 5.00, "
        "one policy 1.00, fine-tuning 8.00; an untrained policy has 0.00, the optimum "
        "12.00."
    )
    assert third == (
        "What was meta-learned gains 5.00 [5.00, 5.00] over learning from scratch, "
        "9.00 [9.00, 9.00] over one policy, 2.00 [2.00, 2.00] over fine-tuning; before "
        "it adapts it has 0.50."
    )
    assert words(10, 5, 9.5, 5)[0] == (
        "one policy already does: one policy for all tasks, without adaptation, is as "
        "good as the best, meta-learned: it falls short by 0.50 [0.50, 0.50], at most "
        "5% of the range from an untrained policy to the best."
    )
    assert words(5, 10, 1, 5)[0].endswith("nothing from other tasks, does best.")
    assert (
        "more than 0.50, and the optimum is 10.00"
        in words(0.5, 0, 0, 0, optimum=10.0)[0]
    )
    assert words(0, 0, 0, 0)[0].startswith("undecided: nothing is better than an")


def bandits(num_arms, arm=None):
    """One arm pays one, the others nothing."""

    def probabilities(key):
        drawn = jax.random.randint(key, (), 0, num_arms) if arm is None else arm
        return jax.nn.one_hot(drawn, num_arms)

    return jm.tasks.from_gymnax(
        BernoulliBandit(num_arms), params={"probabilities": probabilities}, horizon=1
    )


def learner_of(tasks, num_episodes, **options):
    normalised = jm.advantages.linear_baseline(normalize=True)
    options = {"inner_optimizer": optax.sgd(25.0), "advantage": normalised} | options
    return jm.maml(
        tasks,
        jm.policies.mlp(tasks.environment, hidden=()),
        outer_optimizer=optax.adam(0.05),
        num_tasks=20,
        num_updates=1,
        num_episodes=num_episodes,
        **options,
    )


def differ(params, others):
    each = jax.tree.map(lambda a, b: (a != b).any(), params, others)
    return any(jax.tree.leaves(each))


def test_descent_is_that_of_maml(key):
    """One step by a rate that is data is one by a rate that is given."""
    tasks = bandits(5)
    maml = learner_of(tasks, 8, inner_optimizer=optax.sgd(10.0), estimator="lvc")
    policy, budget = maml.policy, Budget(1, 8, 1)
    loss = default_loss(policy, tasks.environment, budget)
    ours = descents.descending(tasks, policy, loss, budget, descents.DESCENTS[0], 1)
    params = policy.init(key)
    experience = maml.collect(key, params, tasks.sample(key))

    def after(rate, **options):
        return ours.adapt(descents.start_of(params, rate, **options), experience)[0]

    theirs, _ = maml.adapt(params, experience)
    jax.tree.map(np.testing.assert_allclose, after(10.0), theirs)
    assert differ(theirs, params)
    jax.tree.map(np.testing.assert_array_equal, after(0.0), params)
    assert differ(after(0.0, anew=True), params)


def test_budget_is_that_of_the_learner():
    tasks = bandits(5)
    assert budget_of(learner_of(tasks, 7), tasks) == Budget(1, 7, 1)
    trials = jm.tasks.bernoulli_bandit(3, horizon=4)
    policy = jm.policies.recurrent(trials.environment, core=jm.policies.gru(4))
    options = {"outer_optimizer": optax.adam(1e-3), "num_tasks": 4, "num_episodes": 3}
    rl2 = jm.rl2(trials, policy, **options)
    assert budget_of(rl2, trials) == Budget(2, 1, 4)
    with pytest.raises(ValueError, match=r"in 2 inner updates and in memory over 3"):
        budget_of(rl2._replace(num_updates=2), trials)

    def living(*arguments):
        return rl2.collect(*arguments)._replace(window=jnp.zeros(()))

    with pytest.raises(ValueError, match=r"its agents live on"):
        budget_of(rl2._replace(collect=living), trials)
    learner = learner_of(tasks, 7)
    memory = jm.policies.recurrent(tasks.environment, core=jm.policies.gru(4))
    with pytest.raises(ValueError, match=r"policy: it has a memory"):
        jm.diagnose(jax.random.key(0), learner, tasks, num_updates=1, policy=memory)
    with pytest.raises(ValueError, match=r"num_tasks must be at least 2, got 1"):
        jm.diagnose(jax.random.key(0), learner, tasks, num_updates=1, num_tasks=1)
    with pytest.raises(ValueError, match=r"num_updates must be at least 1, got 0"):
        jm.diagnose(jax.random.key(0), learner, tasks, num_updates=0)


def diagnosed(tasks, num_pulls, seed=0, **options):
    options = {"num_updates": 20, "num_tasks": 60, "num_tuning_tasks": 60, **options}
    learner = learner_of(tasks, num_pulls)
    return jm.diagnose(jax.random.key(seed), learner, tasks, optimum=1.0, **options)


@pytest.fixture(scope="module")
def unrelated():
    return diagnosed(bandits(5), 20)


@pytest.mark.slow
def test_nothing_is_shared_by_unrelated_bandits(unrelated):
    """From scratch all but 0.8^20 of the tasks are solved, which none can exceed."""
    assert unrelated.verdict == verdict.TOO_LITTLE, unrelated.words
    assert unrelated.words[0].startswith(
        "tasks share too little: learning from scratch"
    )
    scratch, one_policy = unrelated.curves.scratch, unrelated.curves.multitask
    assert scratch.mean[-1] > 0.93
    assert abs(one_policy.mean[-1] - 0.2) < 0.1  # it cannot know the arm
    np.testing.assert_array_equal(unrelated.untrained, unrelated.returns.scratch[:, 0])
    assert abs(unrelated.agreement.cosine.mean) < 0.3
    # Pulls of 20 tasks, before and after the inner update, in each of 20 updates.
    assert unrelated.environment_steps == 20 * 20 * 2 * 20
    best = max(unrelated.chosen["fine-tuning"]["tuning"], key=lambda row: row["return"])
    assert best["rate"] == unrelated.chosen["fine-tuning"]["rate"]


@pytest.mark.slow
def test_one_policy_does_where_all_tasks_are_the_same():
    found = diagnosed(bandits(10, arm=3), 5, num_updates=100)
    assert found.verdict == verdict.ONE_POLICY, found.words
    assert found.curves.scratch.mean[-1] < 0.8  # so it is not that all is easy
    np.testing.assert_allclose(found.agreement.cosine.mean, 1.0, atol=0.1)


@pytest.mark.slow
def test_nothing_is_learned_where_nothing_can_be_found_out():
    """With five pulls of a hundred arms no agent can have more than 0.06."""
    found = diagnosed(bandits(100), 5)
    assert found.verdict == verdict.NOTHING, found.words


@pytest.mark.slow
def test_memory_gains_where_arms_must_be_told_apart():
    """A policy without memory has 5 of 10; the best strategy 6.66, the optimum here."""
    tasks = jm.tasks.bernoulli_bandit(5, horizon=10)
    policy = jm.policies.recurrent(tasks.environment, core=jm.policies.gru(32))
    rl2 = jm.rl2(tasks, policy, outer_optimizer=optax.adam(5e-3), num_tasks=512)
    found = jm.diagnose(
        jax.random.key(0), rl2, tasks, num_updates=60, num_tasks=2000, optimum=6.66
    )
    assert found.verdict == verdict.ADAPTATION_GAINS, found.words
    assert found.unit == "episode"
    np.testing.assert_array_equal(found.returns.multitask, found.returns.fine_tuning)


@pytest.mark.slow
def test_sinusoids_are_learned_from_few_examples_if_meta_learned():
    """The mean of all sinusoids explains little of any; scores are minus errors."""
    tasks = jm.tasks.sinusoids()
    policy = jm.policies.mlp(tasks.environment, hidden=(40, 40), activation=jax.nn.relu)
    maml = jm.maml(
        tasks,
        policy,
        inner_optimizer=optax.sgd(0.01),
        outer_optimizer=optax.adam(1e-3),
        num_tasks=25,
        num_updates=1,
        num_episodes=10,
        rematerialize=False,
        task_batch_size=25,
    )
    found = jm.diagnose(
        jax.random.key(0), maml, tasks, num_updates=3000, num_tasks=300, optimum=0.0
    )
    assert found.verdict == verdict.ADAPTATION_GAINS, found.words
    assert budget_of(maml, tasks) == Budget(1, 10, None)


def test_command_line_writes_what_is_found(unrelated, tmp_path, capsys, monkeypatch):
    calls = []

    def found(*arguments, **options):
        calls.append(inspect.signature(jm.diagnose).bind(*arguments, **options))
        return unrelated

    monkeypatch.setattr(diagnosis_files, "diagnose", found)
    main(
        [
            *("diagnose", "maml-bandit", "--num-updates", "2", "--num-arms", "3"),
            *("--num-test-tasks", "30", "--output", str(tmp_path / "found")),
        ]
    )
    asked = calls[0].arguments
    assert (asked["num_updates"], asked["num_tasks"]) == (2, 30)
    assert asked["learner"].environment.action.n == 3
    assert asked["optimum"] == 5 / 6
    result = json.loads((tmp_path / "found" / "diagnosis.json").read_text())
    printed = " ".join(capsys.readouterr().out.split())
    for sentence in result["words"]:
        assert sentence in printed
    assert result["verdict"] == unrelated.verdict
    returns = {name: np.asarray(rows) for name, rows in result["returns"].items()}
    for name, rows in returns.items():
        assert rows.shape == (60, 2)
        means = result["curves"][name]["mean"]
        np.testing.assert_allclose(rows.mean(0), means, rtol=1e-5)
    finals = Arms(*(jnp.asarray(rows[:, -1]) for rows in returns.values()))
    untrained = jnp.asarray(result["untrained"])
    again = judge(jax.random.key(1), finals, untrained, optimum=result["optimum"])
    assert again.verdict == result["verdict"]
    assert (tmp_path / "found" / "diagnosis.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["metagradient-catch"], "the agents of metagradient-catch live on"),
        (["maml-bandt"], "Did you mean 'maml-bandit'?"),
        (["maml-bandit", "--seed", "-1"], "seed must lie in"),
    ],
)
def test_command_line_refuses(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["diagnose", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
