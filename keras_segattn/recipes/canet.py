"""CANet on CamVid and Cityscapes."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "Cross Attention Network for Semantic Segmentation (Liu and Yin, 2019), section 4"

LENGTH = "not given; long enough for CamVid's and Cityscapes' curves to level off"
WEIGHTS = "not given; ENet's are usual for road scenes"
CAMVID_CROP = "not given; the size of the images"


def _recipe(number, backbone, dataset, **fields):
    return Recipe(
        name=f"canet{number}_{dataset}",
        source=SOURCE,
        network="CANet",
        network_arguments={"backbone": backbone},
        backbone_weights="imagenet",
        dataset=dataset,
        optimizer="adam",
        learning_rate=1e-4,
        decay_by="epoch",
        weight_decay=1e-4,
        batch_size=8,
        scale=(0.5, 2.0),
        class_weights="enet",
        **fields,
    )


BACKBONES = {1: "mobilenet_v2", 2: "resnet18", 3: "resnet101"}

CANET = [
    *(
        _recipe(
            number,
            backbone,
            "camvid",
            epochs=300,
            our_choices={"epochs": LENGTH, "class_weights": WEIGHTS, "crop": CAMVID_CROP},
        )
        for number, backbone in BACKBONES.items()
    ),
    *(
        _recipe(
            number,
            backbone,
            "cityscapes",
            crop=(769, 769),
            image_size=(1024, 2048),
            epochs=250,
            our_choices={"epochs": LENGTH, "class_weights": WEIGHTS},
        )
        for number, backbone in BACKBONES.items()
    ),
]
