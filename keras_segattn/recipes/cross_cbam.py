"""Cross-CBAM on CamVid and Cityscapes."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "Cross-CBAM (Zhang et al., 2023), sections 3.4 and 4.2"

# Loss = ALPHA * cross-entropy of the main output + (1 - ALPHA) * focal loss of the auxiliary output
ALPHA = 0.5
ALPHA_REASON = "alpha is not given; both outputs have the same weight in the authors' code"
SECOND = "the paper describes one training for both evaluation sizes"
GAMMA_REASON = "gamma is not given; 2 is the choice of the focal loss's paper"


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
        loss="weighted_cross_entropy",
        auxiliary_loss="focal",
        auxiliary_loss_arguments={"gamma": 2.0},
        loss_weights=(ALPHA, 1 - ALPHA),
        our_choices={
            "loss_weights": ALPHA_REASON,
            "auxiliary_loss_arguments": GAMMA_REASON,
            **fields.pop("our_choices", {}),
        },
        **fields,
    )


def _cityscapes(size, backbone, evaluation, **our_choices):
    return _recipe(
        size,
        backbone,
        "cityscapes",
        batch_size=16,
        crop=(512, 1024),
        image_size=(1024, 2048),
        scale=(0.125, 0.5),
        steps=160_000,
        evaluation={"size": evaluation},
        our_choices=our_choices,
    )


CROSS_CBAM = [
    recipe
    for size, backbone in (("m", "stdc1"), ("l", "stdc2"))
    for recipe in (
        # M1 and L1 of Table 2, and M2 and L2.
        _cityscapes(size, backbone, (512, 1024)),
        _cityscapes(f"{size}2", backbone, (768, 1536), crop=SECOND, scale=SECOND, steps=SECOND),
        _recipe(
            size,
            backbone,
            "camvid",
            batch_size=24,
            crop=(720, 960),
            image_size=(720, 960),
            scale=(0.5, 2.5),
            steps=10_000,
        ),
    )
]
