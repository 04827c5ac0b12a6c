"""CANet on CamVid and Cityscapes."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "Cross Attention Network for Semantic Segmentation (Liu and Yin, 2019), section 4"

LENGTH = "not given; long enough for CamVid's and Cityscapes' curves to level off"
WEIGHTS = "not given; ENet's are usual for road scenes"
WHOLE = "not given; whole images at one scale"
HALF_CROP = "the paper gives the image size, 512x1024, but no crop; whole images"
CAMVID_CROP = "not given; the image size"


def _recipe(number, dataset, variant="", **fields):
    return Recipe(
        name=f"canet{number}_{dataset}{variant}",
        source=SOURCE,
        network="CANet",
        network_arguments={"backbone": BACKBONES[number]},
        backbone_weights="imagenet",
        dataset=dataset,
        optimizer="adam",
        learning_rate=1e-4,
        decay_by="epoch",
        weight_decay=1e-4,
        batch_size=8,
        class_weights="enet",
        **fields,
    )


BACKBONES = {1: "mobilenet_v2", 2: "resnet18", 3: "resnet101"}


def _cityscapes(number, variant="", **fields):
    our_choices = {"epochs": LENGTH, "class_weights": WEIGHTS, **fields.pop("our_choices", {})}
    return _recipe(
        number,
        "cityscapes",
        variant,
        image_size=(1024, 2048),
        epochs=250,
        our_choices=our_choices,
        **fields,
    )


CANET = [
    *(
        _recipe(
            number,
            "camvid",
            scale=(0.5, 2.0),
            epochs=300,
            our_choices={
                "epochs": LENGTH,
                "class_weights": WEIGHTS,
                "crop": CAMVID_CROP,
                "evaluation": WHOLE,
            },
        )
        for number in BACKBONES
    ),
    # Table 3.
    *(
        _cityscapes(
            number,
            crop=(769, 769),
            scale=(0.5, 2.0),
            our_choices={"evaluation": WHOLE},
        )
        for number in BACKBONES
    ),
    # Table 1, the ablations, on the validation set.
    _cityscapes(1, "_713", crop=(713, 713), scale=(0.5, 2.0), our_choices={"evaluation": WHOLE}),
    # Table 2: trained and evaluated on half-size images, also scaled by 0.5 to 2.
    *(
        _cityscapes(
            number,
            "_1024x512",
            crop=(512, 1024),
            scale=(0.25, 1.0),
            evaluation={"size": (512, 1024)},
            our_choices={"crop": HALF_CROP},
        )
        for number in (1, 2)
    ),
]
