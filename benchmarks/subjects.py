"""The subjects: networks, and layers at the sizes used in networks."""

import math

import numpy as np

# Name: the class, its arguments, and the shapes of its inputs for an image of 512x1024. Criss-cross
# attention has the size in its paper.
LAYERS = {
    **{
        f"CrissCrossAttention R={loops}": (
            "CrissCrossAttention",
            {"recurrence": loops},
            [(1, 97, 97, 512)],
        )
        for loops in (1, 2, 3)
    },
    "NonLocal": ("NonLocal", {}, [(1, 97, 97, 512)]),
    "StripAttention": ("StripAttention", {}, [(1, 32, 64, 128)]),
    "AttentionFusion": ("AttentionFusion", {}, [(1, 32, 64, 256), (1, 16, 32, 512)]),
    "CCBAM": ("CCBAM", {}, [(1, 32, 64, 256), (1, 32, 64, 256)]),
    "SEASPP": ("SEASPP", {}, [(1, 16, 32, 1024)]),
    "FeatureCrossAttention": (
        "FeatureCrossAttention",
        {"filters": 19},
        [(1, 64, 128, 128), (1, 64, 128, 128)],
    ),
    "ResizeLike": ("ResizeLike", {"align_corners": True}, [(1, 64, 128, 19), (1, 512, 1024, 3)]),
    "ResizeLike nearest": (
        "ResizeLike",
        {"interpolation": "nearest"},
        [(1, 32, 64, 128), (1, 64, 128, 64)],
    ),
}

# Name: the function and its arguments.
NETWORKS = {
    "CANet MobileNetV2": ("CANet", {"backbone": "mobilenet_v2"}),
    "CANet ResNet-18": ("CANet", {"backbone": "resnet18"}),
    "Cross-CBAM STDC1": ("CrossCBAM", {"backbone": "stdc1"}),
    "AttaNet ResNet-18": ("AttaNet", {"backbone": "resnet18"}),
    "AttaNet light": ("AttaNet", {"backbone": "light"}),
    "CCNet ResNet-50": ("CCNet", {"backbone": "resnet50"}),
}
# Trained networks, and networks of the guide to choose one.
EDGE_NETWORKS = {
    "CANet EfficientNet-Lite0": ("CANet", {"backbone": "efficientnet_lite0"}),
    "CANet EfficientNet-Lite0, narrow": (
        "CANet",
        {"backbone": "efficientnet_lite0", "filters": 192, "spatial_branch": "separable"},
    ),
    "Cross-CBAM EfficientNet-Lite0": ("CrossCBAM", {"backbone": "efficientnet_lite0"}),
    "Cross-CBAM EfficientNet-Lite0, 192": (
        "CrossCBAM",
        {"backbone": "efficientnet_lite0", "filters": 192, "fusion_filters": 192},
    ),
    "AttaNet EfficientNet-Lite0": ("AttaNet", {"backbone": "efficientnet_lite0"}),
    "AttaNet EfficientNet-Lite0, 192": (
        "AttaNet",
        {"backbone": "efficientnet_lite0", "filters": 192, "interpolation": "bilinear"},
    ),
    "CCNet EfficientNet-Lite0": (
        "CCNet",
        {"backbone": "efficientnet_lite0", "output_stride": 16},
    ),
    "CCNet MobileNetV2": ("CCNet", {"backbone": "mobilenet_v2", "filters": 256}),
}
CLASSES = 19
# Side of the matrices in the reference product.
PRODUCT = 2048


def shapes_of(name, shapes=None):
    """Returns the shapes of the inputs as tuples, by default for an image of 512x1024."""
    if shapes is None:
        shapes = LAYERS[name][2] if name in LAYERS else [(1, 512, 1024, 3)]
        if name == "matmul":
            shapes = [(PRODUCT, PRODUCT)]
    return [tuple(shape) for shape in shapes]


def build(name, shapes):
    """Returns a built layer or network with nontrivial weights."""
    import keras

    keras.utils.set_random_seed(0)
    if name == "matmul":
        layer = keras.layers.Dense(shapes[0][1], use_bias=False)
    elif name in NETWORKS or name in EDGE_NETWORKS:
        from keras_segattn import applications

        function, arguments = (NETWORKS | EDGE_NETWORKS)[name]
        return getattr(applications, function)(classes=CLASSES, **arguments)
    else:
        from keras_segattn import layers

        kind, arguments, _ = LAYERS[name]
        layer = getattr(layers, kind)(**arguments)
    layer.build(shapes[0] if len(shapes) == 1 else shapes)
    for weight in layer.weights:
        # At zero, criss-cross attention is the identity, which a compiler could detect.
        if weight.path.endswith("gamma") and weight.shape == (1,):
            weight.assign([0.5])
    return layer


def call(model, inputs):
    return model(inputs[0] if len(inputs) == 1 else list(inputs))


def inputs_of(shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def batch_of(shape):
    """Returns training images and masks, with a tenth of the pixels void."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal(shape).astype("float32")
    masks = rng.integers(0, CLASSES, shape[:3])
    return images, np.where(rng.random(shape[:3]) < 0.1, 255, masks).astype("int32")


def traffic(shapes, outputs, weights, output_bytes=4):
    """Returns the minimum number of bytes that one call must read and write.

    Inputs and weights are float32 even under mixed policies.
    """
    read = 4 * (weights + sum(map(math.prod, shapes)))
    return read + output_bytes * sum(map(math.prod, outputs))


def operations(name, shapes):
    """Returns the operations of one call, two for each multiply-add of products and convolutions.

    Resizing and pixel-wise operations are not counted. Returns None for several inputs.
    """
    from keras_segattn.flops import count_flops

    if name == "matmul":
        return 2 * shapes[0][0] ** 3
    if len(shapes) > 1:
        return None
    return 2 * shapes[0][0] * count_flops(build(name, shapes), shapes[0][1:])
