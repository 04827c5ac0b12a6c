"""The recipe for a user's own images."""

from keras_segattn.recipes.recipe import Recipe

SIZES = "fitted to the images and the machine by the command `train`"

OWN_FOLDER = Recipe(
    name="own_folder",
    source="Our own settings, tried on CamVid in benchmarks/camvid.md",
    network="CANet",
    network_arguments={"backbone": "mobilenet_v2", "auxiliary_heads": True},
    backbone_weights="imagenet",
    dataset="own",
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    decay_kernels_only=True,
    rate_factors={"mobilenet_v2": 0.25},
    batch_size=8,
    crop=(256, 256),
    scale=(0.5, 2.0),
    rare_class_crops=0.5,
    color_jitter=0.4,
    loss={"weighted_cross_entropy": 1.0, "dice": 1.0},
    epochs=100,
    our_choices={"batch_size": SIZES, "crop": SIZES, "epochs": SIZES},
)
