"""Published results, at full size: ``pytest -m slow``."""

import numpy as np
import pytest

from jaxmeta import recipes, runs

pytestmark = pytest.mark.slow


def test_maml_adapts_on_navigation_as_published(tmp_path):
    """Mean of three seeds; within 1.0 of the published row, or better than it."""
    recipe = recipes.get("maml-navigation2d")
    curves = [
        runs.train(recipe, tmp_path / str(seed), seed=seed)["adaptation_curve"]["mean"]
        for seed in range(3)
    ]
    (published,) = recipe.published.values()
    mean = np.mean(curves, axis=0)
    assert np.all(mean[1:] > np.asarray(published)[1:] - 1.0)
    assert np.all(mean < np.asarray(recipe.optimum))
    assert mean[0] < -37.0  # the best a policy that knows no goal can do is -38.26
