"""CANet: cross attention fuses a shallow spatial branch and a deep context branch."""

import keras

from keras_segattn.applications.bundled_arguments import takes_bundled_arguments
from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame
from keras_segattn.applications.unused_arguments import refuse_unused_arguments
from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.backbones.stages import level_strides, rounds_up
from keras_segattn.layers import (
    ConvNormAct,
    DeconvNormAct,
    DepthwiseConvNormAct,
    FCNHead,
    FeatureCrossAttention,
    ResizeLike,
)
from keras_segattn.layers.feature_cross_attention import ORDERS

__all__ = ["CANet", "decode_predictions", "preprocess_input"]

FUSIONS = (*ORDERS, "convolution", "concatenation")
SPATIAL_BRANCHES = ("separable", "standard", None)
# Common width and weight of a head on P4, as in CCNet's code.
AUXILIARY_FILTERS, AUXILIARY_WEIGHT = 128, 0.4


@refuse_foreign_arguments
@takes_bundled_arguments("canet")
@refuse_unused_arguments()
def CANet(
    *,
    backbone="mobilenet_v2",
    input_shape=(None, None, 3),
    classes=None,
    task="multiclass",
    weights=None,
    new_classifier=False,
    backbone_weights=None,
    preprocessing=None,
    freeze_backbone=False,
    classifier_activation=None,
    input_tensor=None,
    include_top=True,
    pooling=None,
    fusion="spatial_channel",
    filters=256,
    spatial_branch=None,
    up_channels=None,
    auxiliary_heads=False,
    name="canet",
):
    """Cross Attention Network for semantic segmentation.

    ```
    S      = three stride-2 convolutions of the image                    # 1/8
    C      = deconv(concat([deconv(P5), P4]))                            # 1/8
    logits = resize(conv1x1(FeatureCrossAttention([S, C])))              # 1/1
    ```

    Args:
        backbone: `"mobilenet_v2"` (CANet1 of the paper), `"resnet18"` (CANet2), `"resnet101"`
            (CANet3), another name that `keras_segattn.backbones.build_backbone` accepts, or a model
            from `keras_segattn.backbones`, KerasHub or KerasCV, or any model whose outputs are a
            dict with `"P4"` and `"P5"` at strides 16 and 32. Defaults to `"mobilenet_v2"`.
        input_shape: Tuple `(height, width, channels)`. With `None` for height and width, any
            size of at least 32 is accepted; it need not be a multiple of 32. `None` means the
            default, `(None, None, 3)`.
        classes: Integer, the number of classes. Defaults to `None`: the number of classes of
            bundled `weights`, or 19, as in Cityscapes, without them.
        task: `"multiclass"`, one class per pixel; `"binary"`, one logit that separates foreground
            from background, with `classes=1`; or `"multilabel"`, any number of labels per pixel.
            Defaults to `"multiclass"`.
        weights: `None` for random weights; `"camvid"`, trained on photos of roads; or the path of a
            file written by `save_weights`. With bundled weights, arguments you omit, including the
            backbone, take the values of the trained network. Defaults to `None`.
        new_classifier: Boolean, whether to load bundled `weights` without the classifier and
            auxiliary heads, to fine-tune them for other classes. Defaults to `False`.
        backbone_weights: `None`; `"imagenet"`, for a backbone by name: torchvision's weights for
            the ResNets, MobileNetV2 and ShuffleNetV2 (downloaded once), and an installed package's
            weights for the EfficientNet-Lites; or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing`, the normalization that the weights
            expect, for three channels or for the number of image channels. The model stores it but
            does not apply it: call `model(model.preprocessing(images))`, with images from 0 to 255.
            Defaults to the normalization of a named backbone's ImageNet weights, a no-op for a
            backbone that normalizes pixels itself, and ImageNet's mean and standard deviation
            otherwise.
        freeze_backbone: Boolean, whether to keep the backbone unchanged during training; its batch
            normalization then uses the loaded statistics. Defaults to `False`.
        classifier_activation: Activation of the logits: `"softmax"`, or `"sigmoid"` for a binary or
            multilabel network. Defaults to `None`, which returns logits, as required by losses with
            `from_logits=True` and by export.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        include_top: Boolean, whether to classify and resize. With `False`, the model returns the
            fused features at stride 8. Defaults to `True`.
        pooling: With `include_top=False`: `"avg"` or `"max"` for the average or maximum of the
            features over the map, or `None` for the map itself. Defaults to `None`.
        fusion: A row of the paper's Table 1: one of the orders of `FeatureCrossAttention`
            (`"spatial_channel"`, `"channel_spatial"`, `"parallel"`, `"spatial"`), `"convolution"`
            (C33: two 3x3 convolutions) or `"concatenation"` (the baseline). Defaults to
            `"spatial_channel"`.
        filters: Integer, width of both branches at stride 8 and of the fusion. Defaults to `256`.
        spatial_branch: `"separable"` or `"standard"` convolutions in the spatial branch. Defaults
            to `"separable"` for `"mobilenet_v2"` and to `"standard"` for every other backbone.
        up_channels: Integer, width of the first deconvolution. Defaults to half the channels of P5.
        auxiliary_heads: Boolean, whether to train with an auxiliary head on P4, with loss weight
            0.4. The paper has none. Defaults to `False`.
        name: Name of the model. Defaults to `"canet"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, to which
        `model.preprocessing` has been applied, to float32 logits `(batch, height, width, classes)`.
        With `auxiliary_heads=True`, a `DeepSupervision` of this model.

    Raises:
        ValueError: If an argument has a value not listed above, or has no effect with the other
            arguments.

    Example:

    >>> model = CANet(classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 3.3 and
        figure 2.

    **Differences from the paper**: the text calls the spatial branch separable for all backbones,
    but only standard convolutions reproduce the published parameters and FLOPs of CANet2. Three
    details are inferred from the same counts: the channels of the two deconvolutions (half of P5,
    then 256), batch normalization and ReLU after each of them, and the bilinear resizing of the
    logits.
    """
    check_choice("fusion", fusion, FUSIONS)
    check_choice("spatial_branch", spatial_branch, SPATIAL_BRANCHES)
    if up_channels is not None:
        check_at_least("up_channels", up_channels, 1)
    if spatial_branch is None:
        spatial_branch = "separable" if backbone == "mobilenet_v2" else "standard"
    frame = NetworkFrame(
        "canet",
        backbone,
        ("P4", "P5"),
        input_shape=input_shape,
        classes=classes,
        task=task,
        weights=weights,
        new_classifier=new_classifier,
        backbone_weights=backbone_weights,
        preprocessing=preprocessing,
        freeze_backbone=freeze_backbone,
        classifier_activation=classifier_activation,
        input_tensor=input_tensor,
        include_top=include_top,
        pooling=pooling,
        auxiliary_heads=auxiliary_heads,
    )

    round_up = _check_levels(frame.pyramid)
    spatial = _spatial_branch(frame.image, filters, separable=spatial_branch == "separable")
    levels = frame.levels
    context = _context_decoder(levels, spatial, filters, up_channels, round_up)
    x = _fuse(spatial, context, filters, fusion)

    outputs = [x]
    if include_top:
        outputs = [frame.logits(keras.layers.Conv2D(frame.classes, 1, name="classifier")(x))]
    if auxiliary_heads:
        x = FCNHead(frame.classes, AUXILIARY_FILTERS, name="auxiliary")(levels["P4"])
        outputs.append(frame.logits(x, "auxiliary_"))
    return frame.model(name, outputs, [AUXILIARY_WEIGHT])


def _spatial_branch(image, filters, separable):
    """Three stride-2 convolutions: 64, 128 and `filters` channels at strides 2, 4 and 8."""
    x = ConvNormAct(64, strides=2, name="spatial1")(image)
    for i, channels in enumerate((128, filters), start=2):
        if separable:
            x = DepthwiseConvNormAct(strides=2, name=f"spatial{i}_depthwise")(x)
            x = ConvNormAct(channels, 1, name=f"spatial{i}_pointwise")(x)
        else:
            x = ConvNormAct(channels, strides=2, name=f"spatial{i}")(x)
    return x


def _check_levels(pyramid):
    """Returns whether the backbone rounds odd sizes up, like convolutions that pad both sides.

    Raises a ValueError unless P4 and P5 have strides 16 and 32.
    """
    strides = level_strides(pyramid)
    if strides != {"P4": 16, "P5": 32}:
        raise ValueError(
            "CANet doubles P5 to the size of P4, and P4 to the size of its spatial branch. It "
            f"needs P4 at stride 16 and P5 at stride 32. Backbone {pyramid.name!r} has {strides}. "
            "Build it without dilation."
        )
    return rounds_up(pyramid)


def _context_decoder(levels, spatial, filters, up_channels, round_up):
    """Two deconvolutions: from stride 32 to stride 16, then to stride 8."""
    p4, p5 = levels["P4"], levels["P5"]
    x = _double(p5, p4, up_channels or p5.shape[-1] // 2, round_up, "up1")
    x = keras.layers.Concatenate(name="up1_concat")([x, p4])
    return _double(x, spatial, filters, round_up, "up2")


def _double(x, reference, filters, round_up, name):
    """Deconvolves to the size of a reference, and resizes if the size is not exactly doubled."""
    if round_up:
        return DeconvNormAct(filters, name=name)([x, reference])
    x = DeconvNormAct(filters, name=name)(x)
    return ResizeLike(name=f"{name}_resize")([x, reference])


def _fuse(spatial, context, filters, fusion):
    if fusion in ORDERS:
        return FeatureCrossAttention(filters, order=fusion, name="fusion")([spatial, context])
    x = keras.layers.Concatenate(name="fusion_concat")([spatial, context])
    if fusion == "convolution":
        x = ConvNormAct(filters, name="fusion1")(x)
        x = ConvNormAct(filters, name="fusion2")(x)
    return x
