"""Named experiments: a method, tasks, hyper-parameters and published numbers."""

from jaxmeta import checks
from jaxmeta.recipes import (
    catch,
    control,
    discounting_chain,
    emaml_corners,
    evolved_rules,
    gridworld,
    locomotion,
    maml_navigation2d,
    maml_trpo_navigation2d,
    navigation2d,
    pearl_semicircle,
    sinusoid,
    small,
    trial_bandits,
    trial_worlds,
    varibad_gridnavi,
)
from jaxmeta.recipes.types import Experiment, Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        maml_navigation2d.RECIPE,
        maml_trpo_navigation2d.RECIPE,
        *navigation2d.RECIPES,
        emaml_corners.RECIPE,
        pearl_semicircle.RECIPE,
        *discounting_chain.RECIPES,
        catch.RECIPE,
        *gridworld.RECIPES,
        *evolved_rules.RECIPES,
        *sinusoid.RECIPES,
        *locomotion.RECIPES,
        *small.RECIPES,
        *trial_bandits.RECIPES,
        *trial_worlds.RECIPES,
        control.RECIPE,
        varibad_gridnavi.RECIPE,
    )
}


def get(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: if there is none, suggesting the nearest.
    """
    if name not in RECIPES:
        near = checks.nearest(name, RECIPES)
        raise ValueError(f"no recipe {name!r}.{near} There are: {', '.join(RECIPES)}")
    return RECIPES[name]


__all__ = ["RECIPES", "Experiment", "Recipe", "get"]
