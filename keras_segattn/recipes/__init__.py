"""Training recipes: the papers' settings as data, with our own settings marked."""

from keras_segattn.recipes.attanet import ATTANET
from keras_segattn.recipes.canet import CANET
from keras_segattn.recipes.ccnet import CCNET
from keras_segattn.recipes.cross_cbam import CROSS_CBAM
from keras_segattn.recipes.instance_recipe import InstanceRecipe
from keras_segattn.recipes.mask_rcnn import MASK_RCNN
from keras_segattn.recipes.own_folder import OWN_FOLDER
from keras_segattn.recipes.recipe import Recipe

__all__ = ["INSTANCE_RECIPES", "RECIPES", "InstanceRecipe", "Recipe", "get"]

RECIPES = {recipe.name: recipe for recipe in (*CANET, *CROSS_CBAM, *CCNET, *ATTANET, OWN_FOLDER)}
"""Dict from the name of each recipe to the recipe."""

INSTANCE_RECIPES = {recipe.name: recipe for recipe in MASK_RCNN}
"""Dict from the name of each recipe of instance segmentation to the recipe."""


def get(name):
    """Returns a recipe by name, such as `"canet1_camvid"` or `"mask_rcnn_resnet50_coco"`.

    Example:

    >>> get("canet1_camvid").learning_rate
    0.0001
    """
    recipes = RECIPES | INSTANCE_RECIPES
    if name not in recipes:
        raise ValueError(f"Unknown recipe {name!r}. Available: {sorted(recipes)}")
    return recipes[name]
