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


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batching.map_tasks(lambda x: x, jnp.zeros(3), batch_size=0)
