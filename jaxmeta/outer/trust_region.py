"""Natural-gradient steps of bounded KL divergence, through adaptation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxmeta import batching, checks
from jaxmeta.outer.conjugate_gradient import conjugate_gradient
from jaxmeta.outer.gradient import Objective
from jaxmeta.types import Experience, Outer, Params

AdaptedDistributions = Callable[[Params, Experience], tuple[Any, Any, jax.Array]]
"""``(meta_params, experience of one task) -> (distribution, recorded, weights)``.

The action distributions of the adapted policy on steps that it acted in, those that
were recorded there, and weights that say how much each step counts; all of one shape.
"""

Vector = jax.Array  # [P], all meta-params in one


def trust_region(
    objective: Objective,
    distributions: AdaptedDistributions,
    *,
    radius: float | optax.Schedule = 0.01,
    num_cg: int = 10,
    damping: float = 1e-5,
    num_backtracks: int = 15,
    shrink: float = 0.8,
    num_curvature_episodes: int | None = None,
    task_batch_size: int | None = None,
) -> Outer:
    """Descend a meta-objective within a trust region around the meta-params (TRPO).

    With ``g`` the gradient of the objective ``L(theta) = (1/M) sum_m L_m(theta)`` and
    ``D(theta) = (1/M) sum_m D_m(theta)`` the divergence of the adapted policies,
    ``D_m`` the weighted mean over steps of ``KL(recorded || adapted)``::

        x = (H + damping I)^-1 g              H the Hessian of D
        theta <- theta - s sqrt(2 radius / x'Hx) x

    for the first ``s`` of ``1, shrink, shrink^2, ...`` whose ``D <= radius`` and whose
    ``L`` is less than before; without one the meta-params stay as they are. ``D`` of a
    candidate is exact, with each task adapted from the candidate.

    ``x`` is found by conjugate gradient. At the meta-params that acted ``H = (1/M)
    sum_m J_m' F_m J_m``, with ``J_m`` the Jacobian of adaptation followed by the
    policy and ``F_m`` the Fisher information of the action distribution (the
    Gauss-Newton matrix: no third derivatives). ``J_m`` is linearized once per update.

    Adapt with ``inner.gradient(..., rematerialize=False)``: what linearization would
    keep, rematerialization recomputes in every product.

    The info has, besides that of the objective: ``meta_loss`` and ``meta_loss_after``
    the step, ``meta_gradient_norm``, ``kl`` (D after the step), ``step_size`` (the
    ``s`` accepted, zero if none was) and ``num_backtracks`` (how often it shrank).

    Args:
        objective: what to minimise, on the experience of one task.
        distributions: ``(meta_params, experience of one task) -> (distribution,
            recorded, weights)`` of the adapted policy where it acted; all tasks count
            the same. A distribution is a pytree of floats with a method ``kl``.
        radius: the largest ``D``, in nats; a number, or a schedule of the number of
            updates done.
        num_cg: iterations of conjugate gradient.
        damping: added to the diagonal of ``H``.
        num_backtracks: how often the step may shrink.
        shrink: by how much, in (0, 1).
        num_curvature_episodes: episodes of each task, the first of each batch, that
            ``H`` is estimated on; all by default. The products are most of the cost of
            an update. With fewer, it is the ``H`` of adaptation to these alone, which
            is noisier, so larger, and steps are shorter for it; the ``D`` that is
            bounded is that of all data whatever this is.
        task_batch_size: tasks differentiated at a time; see ``batching.map_tasks``.

    Source: Schulman, Levine, Moritz, Jordan and Abbeel, "Trust Region Policy
    Optimization", 2015; the products of Martens, "Deep Learning via Hessian-Free
    Optimization", 2010; as outer step of MAML in Finn, Abbeel and Levine,
    "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", 2017.

    Raises:
        TypeError: if a count is not an integer.
        ValueError: if an argument is out of range.
    """
    num_cg = checks.positive_int("num_cg", num_cg)
    num_backtracks = checks.positive_int("num_backtracks", num_backtracks)
    if task_batch_size is not None:
        checks.positive_int("task_batch_size", task_batch_size)
    if num_curvature_episodes is not None:
        checks.positive_int("num_curvature_episodes", num_curvature_episodes)
    if not callable(radius) and not radius > 0:
        raise ValueError(f"radius must be positive, got {radius}")
    if not damping >= 0:
        raise ValueError(f"damping must not be negative, got {damping}")
    if not 0 < shrink < 1:
        raise ValueError(f"shrink must lie in (0, 1), got {shrink}")

    mean_over_tasks = partial(batching.mean_over_tasks, batch_size=task_batch_size)

    def update(key, meta_params, state, experience):
        del key
        value_and_gradient = jax.value_and_grad(objective, has_aux=True)

        def start_of(one):
            divergence = _mean_kl(*distributions(meta_params, one))
            return value_and_gradient(meta_params, one), divergence

        ((loss, info), gradients), kl = mean_over_tasks(start_of, experience)
        gradient, _ = ravel_pytree(gradients)
        theta, unravel = ravel_pytree(meta_params)
        bound = radius(state) if callable(radius) else radius
        some = _first_episodes(experience, num_curvature_episodes)
        linear, push = _linearize(distributions, meta_params, some, task_batch_size)

        def curvature(vector: Vector) -> Vector:
            tangent = unravel(vector)
            product = mean_over_tasks(
                lambda one: _gauss_newton_product(push, one, tangent), linear
            )
            return ravel_pytree(product)[0]

        step = _full_step(curvature, gradient, bound, num_cg, damping)

        def evaluate(candidate: Vector) -> tuple[jax.Array, jax.Array]:
            params = unravel(candidate)

            def one_task(one):
                return objective(params, one)[0], _mean_kl(*distributions(params, one))

            return mean_over_tasks(one_task, experience)

        start = _Candidate(theta, loss, kl)
        accepted, num_shrunk, size = _line_search(
            evaluate, start, step, bound, num_backtracks, shrink
        )
        info = {
            **info,
            "meta_loss": loss,
            "meta_loss_after": accepted.loss,
            "meta_gradient_norm": jnp.linalg.norm(gradient),
            "kl": accepted.kl,
            "step_size": size,
            "num_backtracks": num_shrunk,
        }
        return unravel(accepted.theta), state + 1, info

    return Outer(lambda meta_params: jnp.zeros((), jnp.int32), update, None, objective)


Push = Callable[[list[jax.Array], Params], Any]  # (residuals, v) -> J v


def _first_episodes(experience: Experience, count: int | None) -> Experience:
    """Of every batch ``[M, K, N, ...]`` or ``[M, N, ...]`` so many episodes."""
    return experience._replace(
        support=jax.tree.map(lambda leaf: leaf[:, :, :count], experience.support),
        query=jax.tree.map(lambda leaf: leaf[:, :count], experience.query),
    )


class _Linear(NamedTuple):
    """The adapted policies where they acted in one task, linear in the meta-params."""

    distribution: Any
    weights: jax.Array
    residuals: list[jax.Array]  # all that products with its Jacobian depend on


class _Candidate(NamedTuple):
    """Meta-params as a vector, their objective and their divergence."""

    theta: Vector
    loss: jax.Array
    kl: jax.Array


def _linearize(
    distributions: AdaptedDistributions,
    meta_params: Params,
    experience: Experience,
    task_batch_size: int | None,
) -> tuple[_Linear, Push]:
    """Linearize every task ``[M]``, and how to multiply with the Jacobian of one."""
    programs = []

    def one_task(one):
        def now_and_weights(params):
            now, _, weights = distributions(params, one)
            return now, weights

        now, push, weights = jax.linearize(now_and_weights, meta_params, has_aux=True)
        residuals, program = jax.tree.flatten(push)
        programs.append(program)
        return _Linear(now, weights, residuals)

    linear = batching.map_tasks(one_task, experience, batch_size=task_batch_size)

    def push(residuals, tangent):
        # One program per trace, all the same: a last, smaller piece has its own trace.
        return jax.tree.unflatten(programs[0], residuals)(tangent)

    return linear, push


def _gauss_newton_product(push: Push, linear: _Linear, tangent: Params) -> Params:
    """``J' F J`` times a tangent of the meta-params, for one task."""
    now = linear.distribution

    def divergence(other):
        # From where it is now: its Hessian is the Fisher information, which is never
        # negative, even on experience of other meta-params.
        return _weighted_mean(now.kl(other), linear.weights)

    jacobian = partial(push, linear.residuals)
    fisher = jax.jvp(jax.grad(divergence), (now,), (jacobian(tangent),))[1]
    return jax.linear_transpose(jacobian, tangent)(fisher)[0]


def _mean_kl(new: Any, recorded: Any, weights: jax.Array) -> jax.Array:
    """Mean over steps of the KL divergence from the distributions recorded."""
    return _weighted_mean(recorded.kl(new), weights)


def _weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    count = jnp.sum(weights)
    total = jnp.sum(jnp.where(weights > 0, values, 0.0) * weights)
    return total / jnp.where(count > 0, count, 1.0)


def _full_step(
    curvature: Callable[[Vector], Vector],
    gradient: Vector,
    radius: jax.typing.ArrayLike,
    num_cg: int,
    damping: float,
) -> Vector:
    """The step to the border of the trust region; zero where there is none."""
    x, residual = conjugate_gradient(
        lambda vector: curvature(vector) + damping * vector, gradient, num_cg
    )
    # x'Hx, without one more product: (H + damping I) x = gradient - residual.
    damped = jnp.vdot(x, gradient - residual)
    square = damped - damping * jnp.vdot(x, x)
    # Where damping is all there is, what is left of it is rounding.
    good = jnp.isfinite(square) & (square > 16 * jnp.finfo(x.dtype).eps * damped)
    scale = jnp.sqrt(2.0 * radius / jnp.where(good, square, 1.0))
    return jnp.where(good, -scale * x, 0.0)


def _line_search(
    evaluate: Callable[[Vector], tuple[jax.Array, jax.Array]],
    start: _Candidate,
    step: Vector,
    radius: jax.typing.ArrayLike,
    num_backtracks: int,
    shrink: float,
) -> tuple[_Candidate, jax.Array, jax.Array]:
    """The first candidate that improves within the radius, or else the start.

    Returns:
        The candidate, how often the step shrank, and its size (zero if none did).
    """
    possible = jnp.any(step != 0) & jnp.isfinite(start.loss)

    def proceed(carry):
        tried, _, size = carry
        return possible & (size == 0) & (tried <= num_backtracks)

    def attempt(carry):
        tried, best, _ = carry
        size = jnp.asarray(shrink, step.dtype) ** tried
        theta = start.theta + size * step
        loss, kl = evaluate(theta)
        # Comparisons with NaN are false.
        good = (loss < start.loss) & jnp.isfinite(loss) & (kl <= radius)
        best = jax.tree.map(
            lambda new, old: jnp.where(good, new, old),
            _Candidate(theta, loss, kl),
            best,
        )
        return tried + 1, best, jnp.where(good, size, 0.0)

    initial = (jnp.zeros((), jnp.int32), start, jnp.zeros((), step.dtype))
    tried, best, size = jax.lax.while_loop(proceed, attempt, initial)
    return best, jnp.maximum(tried - 1, 0), size
