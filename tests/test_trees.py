import jax
import jax.numpy as jnp
import numpy as np

from jaxmeta import trees


def test_strong_types():
    tree = {"weak": jnp.asarray(1.0), "python": 2, "key": jax.random.key(0)}
    strong = trees.strong_types(tree)
    assert not strong["weak"].weak_type
    assert not strong["python"].weak_type
    assert strong["key"].dtype == tree["key"].dtype
    assert jax.tree.structure(strong) == jax.tree.structure(tree)
    np.testing.assert_array_equal(strong["weak"], 1.0)


def test_safe_norm():
    tree = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    assert trees.safe_norm(tree) == 5.0
    gradient = jax.grad(trees.safe_norm)(jax.tree.map(jnp.zeros_like, tree))
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(jax.grad(trees.safe_norm)(tree)["a"], [0.6], rtol=1e-6)
