"""Cross-CBAM on CamVid and Cityscapes."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "Cross-CBAM (Zhang et al., 2023), sections 3.4 and 4.2"

ALPHA = "alpha and gamma are not given: 0.5, which the weights of the authors' code come to, and 2"


def _recipe(size, backbone, dataset, **fields):
    return Recipe(
        name=f"cross_cbam_{size}_{dataset}",
        source=SOURCE,
        network="CrossCBAM",
        network_arguments={"backbone": backbone, "auxiliary_heads": True},
        dataset=dataset,
        optimizer="sgd",
        learning_rate=0.01,
        end_learning_rate=1e-4,
        momentum=0.9,
        weight_decay=5e-4,
        loss="focal",
        loss_arguments={"gamma": 2.0, "cross_entropy_share": 0.5},
        our_choices={"loss_arguments": ALPHA},
        **fields,
    )


CROSS_CBAM = [
    recipe
    for size, backbone in (("m", "stdc1"), ("l", "stdc2"))
    for recipe in (
        _recipe(
            size,
            backbone,
            "cityscapes",
            batch_size=16,
            crop=(512, 1024),
            scale=(0.125, 0.5),
            steps=160_000,
        ),
        _recipe(
            size,
            backbone,
            "camvid",
            batch_size=24,
            crop=(720, 960),
            scale=(0.5, 2.5),
            steps=10_000,
        ),
    )
]
