import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmeta import batching


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7, 100])
def test_pieces_give_what_the_whole_gives(size, key):
    """Also where they do not divide the number of tasks."""
    batched = {"x": jnp.arange(14.0).reshape(7, 2), "key": jax.random.split(key, 7)}

    def function(one, scale):
        noise = jax.random.normal(one["key"], ())
        return one["x"] * scale, noise

    scales = jnp.arange(7.0)
    got = batching.map_tasks(function, batched, scales, batch_size=size)
    want = jax.vmap(function)(batched, scales)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7, 100])
def test_means_are_added_up_in_pieces(size, key):
    batched = {
        "x": jnp.arange(14.0).reshape(7, 2),
        "key": jax.random.split(key, 7),
        "nothing": jnp.zeros((7, 0)),
    }

    def function(one, scale):
        return {
            "y": one["x"] * scale,
            "count": scale > 2,
            "noise": jax.random.normal(one["key"], ()),
            "half": (one["x"] * scale).astype(jnp.bfloat16),
            "nothing": one["nothing"],
        }

    scales = jnp.arange(7.0)
    got = jax.jit(
        lambda: batching.mean_over_tasks(function, batched, scales, batch_size=size)
    )()
    each = jax.vmap(function)(batched, scales)
    assert got["count"] == pytest.approx(4 / 7)
    for name, leaf in each.items():
        want = jnp.mean(leaf, axis=0)
        assert got[name].dtype == want.dtype
        rtol = 1e-2 if name == "half" else 1e-6
        np.testing.assert_allclose(
            got[name].astype(np.float32), want.astype(np.float32), rtol=rtol
        )


def test_the_memory_of_a_mean_is_that_of_a_piece():
    """Its intermediates and its results do not grow with the number of tasks."""

    def bytes_of(num_tasks):
        def function(x):
            return jnp.outer(x, x)

        mean = jax.jit(lambda x: batching.mean_over_tasks(function, x, batch_size=4))
        program = mean.lower(jnp.zeros((num_tasks, 64))).compile()
        return program.memory_analysis().temp_size_in_bytes

    few, many = bytes_of(8), bytes_of(512)
    assert many - few < 2 * 512 * 64 * 4  # copies of the arguments, at most


@pytest.mark.parametrize("size", [None, 1, 3])
def test_a_function_maps_itself_when_batched(size, key):
    """Also where one argument is shared by all tasks, and under a second vmap."""
    weights = {"w": jnp.array([1.0, 2.0])}

    def function(weights, x, key):
        noise = jax.random.normal(key, x.shape)
        return {"y": weights["w"] * x + noise}

    mapped = batching.map_when_batched(function, batch_size=size)
    x, keys = jax.random.normal(key, (4, 5, 2)), jax.random.split(key, (4, 5))

    def twice(function):
        over_tasks = jax.vmap(function, in_axes=(None, 0, 0))
        return jax.jit(jax.vmap(over_tasks, in_axes=(None, 0, 0)))(weights, x, keys)

    np.testing.assert_allclose(twice(mapped)["y"], twice(function)["y"], rtol=1e-6)
    one = mapped(weights, x[0, 0], keys[0, 0])
    np.testing.assert_allclose(one["y"], twice(function)["y"][0, 0], rtol=1e-6)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batching.map_tasks(lambda x: x, jnp.zeros(3), batch_size=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batching.mean_over_tasks(lambda x: x, jnp.zeros(3), batch_size=0)
