"""Mask R-CNN with CCNet's attention on COCO."""

from keras_segattn.recipes.instance_recipe import InstanceRecipe

SOURCE = (
    "CCNet (Huang et al., 2019), section 4.5 and Table 7, and maskrcnn-benchmark, "
    "e2e_mask_rcnn_R_50_FPN_1x.yaml and e2e_mask_rcnn_R_101_FPN_1x.yaml"
)
DEFAULTS = "the paper names maskrcnn-benchmark without values; these are its default settings"
SETTINGS = {
    "learning_rate": 0.02,
    "decay_at": (60 / 90, 80 / 90),
    "warmup_steps": 500,
    "weight_decay": 1e-4,
    "bias_rate_factor": 2.0,
    "batch_size": 16,
    "short_side": 800,
    "long_side": 1333,
    "steps": 90_000,
}
VARIANTS = {None: "", "non_local": "_non_local", "criss_cross": "_criss_cross"}

MASK_RCNN = [
    InstanceRecipe(
        name=f"mask_rcnn_{backbone}{variant}_coco",
        source=SOURCE,
        network_arguments={"backbone": backbone, "attention": attention},
        # With these weights, the stem, res2 and all batch normalization are frozen.
        backbone_weights="imagenet",
        dataset="coco",
        **SETTINGS,
        our_choices=dict.fromkeys(SETTINGS, DEFAULTS),
    )
    for backbone in ("resnet50", "resnet101")
    for attention, variant in VARIANTS.items()
]
