"""CANet: a shallow spatial branch and a deep context branch, fused by cross attention."""

import keras

from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame
from keras_segattn.arguments import check_choice
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
# The usual width and weight of a head on P4, as in CCNet's code.
AUXILIARY_FILTERS, AUXILIARY_WEIGHT = 128, 0.4


@refuse_foreign_arguments
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
            (CANet3), another name that `keras_segattn.backbones.build_backbone` takes, or a model:
            one of `keras_segattn.backbones`, of KerasHub or KerasCV, or any whose outputs are a
            dict with `"P4"` and `"P5"` at strides 16 and 32. Defaults to `"mobilenet_v2"`.
        input_shape: Tuple `(height, width, channels)`. Height and width may be `None` and then
            take any value from 32 up, multiples of 32 or not. Defaults to `(None, None, 3)`,
            which `None` stands for, too.
        classes: Integer, the number of classes. Defaults to `None`, which takes the number of
            classes that bundled `weights` have, and 19, as in Cityscapes, without them.
        task: `"multiclass"`, one class per pixel; `"binary"`, one logit that tells foreground from
            background, for which `classes` is 1; or `"multilabel"`, any number of labels per
            pixel. Defaults to `"multiclass"`.
        weights: `None` for random weights; `"camvid"`, for `"mobilenet_v2"` with `classes=11`,
            which comes with the package; or the path of a file written by `save_weights`. Defaults
            to `None`.
        new_classifier: Boolean, whether to load all of bundled `weights` except the classifier and
            auxiliary heads, to fine-tune them for other classes. Defaults to `False`.
        backbone_weights: `None`; `"imagenet"`, for a backbone by name: torchvision's weights for
            the ResNets, MobileNetV2 and ShuffleNetV2, which are fetched once, and an installed
            package's weights for the EfficientNet-Lites; or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing` that the weights expect, for three
            channels or as many as the images have; the network keeps it. Defaults to the one
            that the backbone expects: of its ImageNet weights, for a backbone by name; pixels as
            they are, for a model that normalizes them itself; ImageNet's mean and standard
            deviation otherwise.
        freeze_backbone: Boolean, whether to train without changing the backbone, whose batch
            normalization then uses the statistics that it was loaded with. Defaults to `False`.
        classifier_activation: Activation of the logits: `"softmax"`, or `"sigmoid"` for a binary or
            multilabel network. Defaults to `None`, which returns logits, as losses with
            `from_logits=True` and export want them.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        include_top: Boolean, whether to classify and resize. Defaults to `True`; otherwise the
            model returns the fused features at stride 8.
        pooling: `"avg"` or `"max"`, to average the features over the map or take their maximum,
            without a top; or `None` for the map. Defaults to `None`.
        fusion: A row of the paper's Table 1: one of the orders of `FeatureCrossAttention`
            (`"spatial_channel"`, `"channel_spatial"`, `"parallel"`, `"spatial"`), `"convolution"`
            (C33: two 3x3 convolutions) or `"concatenation"` (the baseline). Defaults to
            `"spatial_channel"`.
        filters: Integer, width of both branches at stride 8 and of the fusion. Defaults to `256`.
        spatial_branch: `"separable"` or `"standard"` convolutions in the spatial branch. Defaults
            to separable for `"mobilenet_v2"` and to standard for every other backbone.
        up_channels: Integer, width of the first deconvolution. Defaults to half the channels of
            P5.
        auxiliary_heads: Boolean, whether a head on P4 helps in training, with weight 0.4. The paper
            has none. Defaults to `False`.
        name: Name of the model. Defaults to `"canet"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, preprocessed by
        its attribute `preprocessing`, to float32 logits
        `(batch, height, width, classes)`; with `auxiliary_heads=True` a `DeepSupervision` of it.

    Raises:
        ValueError: If an argument has a value that is not named above.

    Example:

    >>> model = CANet(classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 3.3 and
        figure 2.

    **Differences from the paper**: the text calls the spatial branch separable for all backbones;
    the published parameters and FLOPs of CANet2 are met only by standard convolutions there. The
    channels of the two deconvolutions (half of P5, then 256), batch normalization and ReLU after
    each of them, and the bilinear resizing of the logits are inferred from the same counts.
    """
    check_choice("fusion", fusion, FUSIONS)
    check_choice("spatial_branch", spatial_branch, SPATIAL_BRANCHES)
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
    """Returns whether the backbone rounds odd sizes up, as convolutions that pad both sides do.

    Raises a ValueError unless P4 and P5 lie at strides 16 and 32.
    """
    strides = level_strides(pyramid)
    if strides != {"P4": 16, "P5": 32}:
        raise ValueError(
            "CANet doubles P5 to the size of P4, and P4 to the size of its spatial branch: it "
            f"needs P4 at stride 16 and P5 at stride 32. Backbone {pyramid.name!r} has {strides}; "
            "build it without dilation."
        )
    return rounds_up(pyramid)


def _context_decoder(levels, spatial, filters, up_channels, round_up):
    """Two deconvolutions, from stride 32 over stride 16 to stride 8."""
    p4, p5 = levels["P4"], levels["P5"]
    x = _double(p5, p4, up_channels or p5.shape[-1] // 2, round_up, "up1")
    x = keras.layers.Concatenate(name="up1_concat")([x, p4])
    return _double(x, spatial, filters, round_up, "up2")


def _double(x, reference, filters, round_up, name):
    """A deconvolution to the size of a reference, which is resized where that is not the double."""
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
