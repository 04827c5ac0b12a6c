"""CCNet on Cityscapes and ADE20K."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "CCNet (Huang et al., 2019), section 4.2, and the authors' code"

HEADS = (
    "from the authors' code; the paper has neither the auxiliary head nor its weight of 0.4, nor "
    "the 3x3 convolution after the attention"
)
# Tables 3 and 4 evaluate at one scale; Table 1 and the test set at several.
SEVERAL = {"scales": (0.75, 1.0, 1.25, 1.5, 1.75, 2.0), "flip": True}
SCALES = (
    "from the authors' code; the paper says that it averages scales, but neither which ones nor "
    "that it averages mirrored images too"
)
ADE_SCALES = "not given for ADE20K; scales and mirrored images as for Cityscapes"
VALIDATION = "one scale, as in Table 3: several take 25 times as long"
LENGTH = "from the authors' code; not given in the paper"
CAMVID = "the paper does not train on CamVid; as in Cross-CBAM at its size"
ADE_CROP = "not given for ADE20K; as in PSPNet"
ADE_LENGTH = "not given; as in PSPNet on ADE20K"


def _recipe(dataset, **fields):
    return Recipe(
        name=f"ccnet_{dataset}",
        source=SOURCE,
        network="CCNet",
        network_arguments={"backbone": "resnet101", "auxiliary_heads": True},
        backbone_weights="imagenet",
        dataset=dataset,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=1e-4,
        batch_size=8,
        our_choices={"network_arguments": HEADS, **fields.pop("our_choices")},
        **fields,
    )


CCNET = [
    _recipe(
        "cityscapes",
        crop=(769, 769),
        image_size=(1024, 2048),
        scale=(0.75, 2.0),
        steps=60_000,
        evaluation=SEVERAL,
        validation={},
        our_choices={"steps": LENGTH, "evaluation": SCALES, "validation": VALIDATION},
    ),
    _recipe(
        "ade20k",
        crop=(473, 473),
        short_sides=(300, 375, 450, 525, 600),
        steps=150_000,
        evaluation=SEVERAL,
        validation={},
        our_choices={
            "crop": ADE_CROP,
            "steps": ADE_LENGTH,
            "evaluation": ADE_SCALES,
            "validation": VALIDATION,
        },
    ),
    _recipe(
        "camvid",
        crop=(360, 480),
        image_size=(360, 480),
        scale=(0.75, 2.0),
        steps=10_000,
        our_choices=dict.fromkeys(("dataset", "crop", "steps", "evaluation"), CAMVID),
    ),
]
