"""Meta-learners whose gradients are known, by construction."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmeta as jm
from jaxmeta.environments import DelayedProbe
from jaxmeta.types import Experience, Inner, MetaLearner, MetaState, TaskDistribution

PROBE = jm.tasks.from_gymnax(DelayedProbe(), params={"bit": 1}, horizon=2)
POLICY = jm.policies.mlp(PROBE.environment, hidden=())
SIZE = 20
MEAN = np.eye(SIZE, dtype=np.float32)[0] * 2.0  # of the gradient, by construction
SHIFT = np.eye(SIZE, dtype=np.float32)[1]  # of a biased one


def tasks_of(*gradients):
    """Tasks whose gradients are these, each as likely as the others."""
    gradients = jnp.asarray(np.stack(gradients))

    def sample(key):
        return gradients[jax.random.randint(key, (), 0, len(gradients))]

    return TaskDistribution(PROBE.environment, sample)


def known_learner(estimate, noise=1.0, num_updates=0, rate=0.0):
    """``estimate`` makes a gradient of that of the task and of two noise vectors."""

    def init(key):
        del key
        return MetaState(jnp.zeros(SIZE), (), jnp.zeros((), jnp.int32))

    def collect(key, meta_params, task, environment=None):
        del meta_params, environment
        noises = noise * jax.random.normal(key, (2, SIZE))
        keys = jax.random.split(key, num_updates + 1)
        return Experience(keys, jnp.ones(num_updates), (task, noises))

    def objective(meta_params, experience):
        gradient = estimate(experience.query[0], *experience.query[1])
        return jnp.sum(meta_params * gradient), {}

    inner = Inner(
        init=lambda key, meta_params: meta_params,
        update=lambda key, meta_params, state, batch: (state + rate * batch, {}),
        params=lambda meta_params, state: state,
    )
    return MetaLearner(
        init,
        lambda key, state: (state, {}),
        collect,
        lambda meta_params, experience: (meta_params, {}),
        POLICY,
        PROBE.environment,
        inner,
        objective,
    )


UNBIASED = known_learner(lambda task, first, second: task + first)
# The same mean by other noise, in part the same, and thrice as much in all.
NOISY = known_learner(lambda task, first, second: task + first + 8**0.5 * second)
BIASED = known_learner(lambda task, first, second: task + first + SHIFT)
DOUBLE = known_learner(lambda task, first, second: 2.0 * (task + first))
THETA = jnp.zeros(SIZE)


def contains(interval, value):
    return interval.low <= value <= interval.high
