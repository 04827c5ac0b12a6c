"""AttaNet on Cityscapes and ADE20K."""

from keras_segattn.recipes.recipe import Recipe

SOURCE = "AttaNet (Song et al., 2021), implementation details, and the authors' code"

CODE = "from the authors' code; the paper has cross-entropy, one rate and no warm-up"
JITTER = "strength not given; as in STDC-Seg's code"
FULL = "not given for this data set; whole images"
HEADS = (
    "from the authors' code: auxiliary heads, which Table 4 counts, on the weighted high level; "
    "the paper names the fused map"
)
CAMVID = "the paper does not train on CamVid; as in Cross-CBAM at its size"
# A fraction of the pixels of a batch, for any crop and batch size.
MIN_KEPT = 1 / 16
MIN_KEPT_REASON = (
    "from the authors' code: a sixteenth of the pixels of a batch, counted there on each GPU and "
    "here over the whole batch; a fraction adapts to other batch sizes and crops"
)


def _recipe(backbone, dataset, **fields):
    return Recipe(
        name=f"attanet_{backbone}_{dataset}",
        source=SOURCE,
        network="AttaNet",
        network_arguments={"backbone": backbone, "auxiliary_heads": True},
        # The paper: "only ShuffleNetV2 and ResNet are pretrained".
        backbone_weights="imagenet" if backbone.startswith("resnet") else None,
        dataset=dataset,
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        warmup_steps=1000,
        weight_decay=5e-4,
        decay_kernels_only=True,
        rate_factors={"head": 10.0, "auxiliary1_head": 10.0, "auxiliary2_head": 10.0},
        scales=(0.75, 1.0, 1.5, 1.75, 2.0),
        color_jitter=0.5,
        loss="ohem",
        loss_arguments={"threshold": 0.7, "min_kept": MIN_KEPT},
        our_choices={
            **fields.pop("our_choices", {}),
            "loss": CODE,
            "loss_arguments": MIN_KEPT_REASON,
            "warmup_steps": CODE,
            "rate_factors": CODE,
            "decay_kernels_only": CODE,
            "color_jitter": JITTER,
            "network_arguments": HEADS,
        },
        **fields,
    )


def _ade20k(backbone, **our_choices):
    return _recipe(
        backbone,
        "ade20k",
        batch_size=32,
        crop=(512, 512),
        steps=250_000,
        our_choices={"evaluation": FULL, **our_choices},
    )


def _for_all_data_sets(backbone):
    return [
        _recipe(
            backbone,
            "cityscapes",
            batch_size=16,
            crop=(1024, 1024),
            image_size=(1024, 2048),
            steps=200_000,
            # "Experiments on Cityscapes": the model resizes the image and resizes the prediction
            # back.
            evaluation={"size": (512, 1024)},
        ),
        # Table 5 trains ResNet-50 and ResNet-101 on ADE20K.
        _ade20k(backbone, dataset="the paper trains only ResNet-50 and 101 on ADE20K"),
        _recipe(
            backbone,
            "camvid",
            batch_size=16,
            crop=(360, 480),
            image_size=(360, 480),
            steps=10_000,
            our_choices=dict.fromkeys(
                ("dataset", "batch_size", "crop", "steps", "evaluation"), CAMVID
            ),
        ),
    ]


ATTANET = [
    *(recipe for name in ("resnet18", "df2", "light") for recipe in _for_all_data_sets(name)),
    *(_ade20k(backbone) for backbone in ("resnet50", "resnet101")),
]
