"""Optimizers that are networks: how far each weight of an agent should move."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen
from jax.flatten_util import ravel_pytree

from jaxmeta import checks, policies, trees
from jaxmeta.self_tuning import Signals
from jaxmeta.types import Key, Params, Policy

MOMENTUM_DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


class Schedule(NamedTuple):
    """How the steps of an optimizer are spread over the life of an agent.

    Attributes:
        lifetime: updates in it; None: it lives for ever, and no part of it is over.
        num_epochs: per update.
        num_minibatches: steps per epoch.
    """

    lifetime: int | None = None
    num_epochs: int = 1
    num_minibatches: int = 1


class LearnedOptimizer(NamedTuple):
    """An optimizer with params.

    Attributes:
        init: ``key -> meta_params``.
        transform: ``(meta_params, schedule) -> optax transform``. Its update takes two
            arguments more, by name: ``key``, for its noise, without which it has none,
            and ``dormancy``, as of ``policies.dormancy``, taken to be one without. See
            :func:`signals`.
    """

    init: Callable[[Key], Params]
    transform: Callable[[Params, Schedule], optax.GradientTransformationExtraArgs]


class LearnedOptimizerState(NamedTuple):
    """What a learned optimizer keeps of each of the ``P`` weights of an agent.

    Attributes:
        num_steps: ``[]`` int32, that it has made.
        momenta: ``[P, B]``, means of the gradients so far for ``B`` decays.
        memory: ``[P, H]``, of its recurrent network.
    """

    num_steps: jax.Array
    momenta: jax.Array
    memory: jax.Array


class Inputs(NamedTuple):
    """What the network is told of the ``P`` weights, each ``[P]`` or ``[P, B]``."""

    params: jax.Array
    gradients: jax.Array
    momenta: jax.Array
    dormancy: jax.Array
    layer: jax.Array


def signals(policy: Policy) -> Signals:
    """What ``inner.descent`` tells a learned optimizer: a key, and who is dormant.

    Args:
        policy: of the agent.
    """

    def told(key, params, batch):
        dormancy = policies.dormancy(policy, params, batch.timestep)
        return {"key": key, "dormancy": dormancy}

    return told


def recurrent(
    *,
    size: int = 16,
    memory: int = 8,
    decays: Sequence[float] = MOMENTUM_DECAYS,
    step_scale: float = 1e-3,
    exponent_scale: float = 1e-3,
    noise_scale: float = 1e-3,
    is_noisy: Callable[[str], bool] = lambda path: "critic" not in path,
) -> LearnedOptimizer:
    """OPEN's optimizer: one small recurrent network for every weight.

    ::

        x = [p, s(m_1), ..., s(m_B), s(g)] / rms, t_p, l_p, b_p, D
        (m, e, delta) = perceptron(GRU(x))
        u = step_scale m exp(exponent_scale e) + noise_scale delta epsilon
        p <- p - (u - mean(u))

    with ``s(z) = (sign z, log(|z| + 1e-13))``, the momenta ``m_b <- d_b m_b + (1 - d_b)
    g``, the root mean square of each feature over a tensor, how much of the lifetime
    (``t_p``) and of the epochs of an update (``b_p``) is over, how far up the layer is
    (``l_p``), the dormancy ``D`` of the neuron that a weight leads to, noise ``epsilon
    ~ N(0, 1)`` for weights of the actor, and the mean of all updates of the agent. All
    weights share the network; each has a memory of its own, empty at first.

    It can be differentiated through, as ``optimizers.check_meta_differentiable`` has
    it, though the logarithms are steep near zero.

    Args:
        size: of the two hidden layers of the perceptron, each with a layer norm.
        memory: of the GRU.
        decays: of the momenta, each in [0, 1).
        step_scale: of the updates.
        exponent_scale: of their exponents.
        noise_scale: of the noise.
        is_noisy: ``path -> bool``, which params of the agent may have noise, by the
            paths of ``trees.paths``.

    Source: Goldie, Lu, Jackson, Whiteson and Foerster, "Can Learned Optimization Make
    Reinforcement Learning Less Difficult?", 2024. The order of the network's layers,
    the root mean square, and that the mean is over all params are as in its code.

    Raises:
        TypeError: if a size is no integer.
        ValueError: if a number is out of range; from the transform's update, without
            params.
    """
    size = checks.positive_int("size", size)
    memory = checks.positive_int("memory", memory)
    step_scale = checks.positive("step_scale", step_scale)
    exponent_scale = checks.positive("exponent_scale", exponent_scale, or_zero=True)
    noise_scale = checks.positive("noise_scale", noise_scale, or_zero=True)
    decays = tuple(decays)
    for decay in decays:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decays must each lie in [0, 1), got {decay}")
    init, read = _network(size, memory, num_inputs=1 + 2 * (len(decays) + 1) + 4)

    def propose(meta_params, features, remembered, noise):
        """The updates ``[P]``, and what is remembered from now on."""
        remembered, output = read(meta_params, remembered, features)
        step, exponent, spread = output[:, 0], output[:, 1], output[:, 2]
        updates = step_scale * step * jnp.exp(exponent_scale * exponent)
        updates = updates + noise_scale * spread * noise
        return jnp.mean(updates) - updates, remembered

    def transform(meta_params, schedule):
        schedule = _checked(schedule)

        def start(params):
            flat, _ = ravel_pytree(params)
            return LearnedOptimizerState(
                jnp.int32(0),
                jnp.zeros((flat.size, len(decays)), flat.dtype),
                jnp.zeros((flat.size, memory), flat.dtype),
            )

        def update(updates, state, params=None, *, key=None, dormancy=None, **others):
            del others
            if params is None:
                raise ValueError("params: a learned optimizer reads them; pass them")
            flat, unravel = ravel_pytree(params)
            gradients, _ = ravel_pytree(updates)
            decay = jnp.asarray(decays, flat.dtype)[None]
            momenta = decay * state.momenta + (1.0 - decay) * gradients[:, None]
            told = Inputs(
                flat,
                gradients,
                momenta,
                _spread(1.0 if dormancy is None else dormancy, params),
                _spread(policies.layer_proportions(params), params),
            )
            features = _features(told, params, proportions(state.num_steps, schedule))
            noise = jnp.zeros_like(flat)
            if key is not None:
                noisy = _spread(trees.path_mask(params, is_noisy), params)
                noise = noisy * jax.random.normal(key, flat.shape, flat.dtype)
            moves, remembered = propose(meta_params, features, state.memory, noise)
            state = LearnedOptimizerState(state.num_steps + 1, momenta, remembered)
            return unravel(moves), state

        return optax.GradientTransformationExtraArgs(start, update)

    return LearnedOptimizer(init, transform)


def _network(size: int, memory: int, *, num_inputs: int) -> tuple[Any, Any]:
    """``key -> params``, and ``(params, memory, features) -> (memory, outputs)``."""
    cell = linen.GRUCell(memory)
    layer = [linen.Dense(size), linen.LayerNorm(), jax.nn.relu]
    other = [linen.Dense(size), linen.LayerNorm(), jax.nn.relu]
    perceptron = linen.Sequential([*layer, *other, linen.Dense(3)])

    def init(key):
        key_cell, key_perceptron = jax.random.split(key)
        empty = jnp.zeros(memory)
        return {
            "cell": cell.init(key_cell, empty, jnp.zeros(num_inputs)),
            "perceptron": perceptron.init(key_perceptron, empty),
        }

    def apply(params, remembered, features):
        remembered, hidden = cell.apply(params["cell"], remembered, features)
        return remembered, perceptron.apply(params["perceptron"], hidden)

    return init, apply


def proportions(
    num_steps: jax.Array, schedule: Schedule
) -> tuple[jax.Array, jax.Array]:
    """How much of a lifetime, and of the epochs of an update, is over: in [0, 1].

    Both are 0 in the first and 1 in the last update of a life, or epoch of an update,
    and 0 if there is but one.

    Args:
        num_steps: ``[]``, made before.
        schedule: of the steps.
    """
    epoch = num_steps // schedule.num_minibatches
    age = epoch // schedule.num_epochs
    last = max((schedule.lifetime or 1) - 1, 1)
    over = jnp.zeros(()) if schedule.lifetime is None else age / last
    return (
        jnp.minimum(over, 1.0),
        (epoch % schedule.num_epochs) / max(schedule.num_epochs - 1, 1),
    )


def _features(
    told: Inputs, params: Params, over: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """What the network reads of each weight, ``[P, F]``."""
    raw = jnp.concatenate(
        [
            told.params[:, None],
            _sign_and_log(told.momenta),
            _sign_and_log(told.gradients[:, None]),
        ],
        axis=1,
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    ends = [sum(sizes[:i]) for i in range(1, len(sizes))]
    scaled = [
        tensor * jax.lax.rsqrt(1e-5 + jnp.mean(tensor**2, axis=0, keepdims=True))
        for tensor in jnp.split(raw, ends)
    ]
    time_over, epochs_over = (jnp.full_like(told.params, part) for part in over)
    same = jnp.stack([time_over, told.layer, epochs_over, told.dormancy], axis=1)
    return jnp.concatenate([jnp.concatenate(scaled), same], axis=1)


def _sign_and_log(z: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.sign(z), jnp.log(jnp.abs(z) + 1e-13)], axis=1)


def _spread(tree: Any, params: Params) -> jax.Array:
    """One number for each weight ``[P]``, from what broadcasts to each param.

    Raises:
        ValueError: if the trees differ.
    """
    if isinstance(tree, float):
        tree = jax.tree.map(lambda _: tree, params)
    given, wanted = jax.tree.structure(tree), jax.tree.structure(params)
    if given != wanted:
        raise ValueError(
            f"dormancy must be a tree like the params, {wanted}, got {given}"
        )
    full = jax.tree.map(
        lambda value, p: jnp.broadcast_to(jnp.asarray(value, p.dtype), p.shape),
        tree,
        params,
    )
    return ravel_pytree(full)[0]


def _checked(schedule: Any) -> Schedule:
    """The schedule, if it is one.

    Raises:
        TypeError: if it is none, or a number no integer.
        ValueError: if a number is below one.
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, got {schedule!r}")
    lifetime = schedule.lifetime
    return Schedule(
        None if lifetime is None else checks.positive_int("lifetime", lifetime),
        checks.positive_int("num_epochs", schedule.num_epochs),
        checks.positive_int("num_minibatches", schedule.num_minibatches),
    )
