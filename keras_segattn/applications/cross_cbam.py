"""Cross-CBAM: a feature pyramid whose levels are fused by crossed channel and spatial attention."""

import keras

from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame
from keras_segattn.arguments import check_choice
from keras_segattn.layers import ASPP, CCBAM, SEASPP, ConvNormAct, FCNHead, ResizeLike

__all__ = ["CrossCBAM", "decode_predictions", "preprocess_input"]

CONTEXTS = ("se_aspp", "aspp", "convolution")
FUSIONS = ("ccbam", "addition", "concatenation", None)
HEAD_FILTERS = 128


@refuse_foreign_arguments
def CrossCBAM(
    *,
    backbone="stdc1",
    input_shape=(None, None, 3),
    classes=None,
    task="multiclass",
    weights=None,
    backbone_weights=None,
    preprocessing=None,
    freeze_backbone=False,
    classifier_activation=None,
    input_tensor=None,
    include_top=True,
    pooling=None,
    context="se_aspp",
    fusion="ccbam",
    filters=256,
    dilations=(1, 3),
    reduction=16,
    channel_activation="sigmoid",
    auxiliary_heads=False,
    auxiliary_weight=1.0,
    name="cross_cbam",
):
    """Cross-CBAM network for semantic segmentation.

    ```
    x      = SEASPP(P5)                                   # 1/32
    x      = CCBAM([resize(x), P4])                       # 1/16
    x      = CCBAM([resize(x), P3])                       # 1/8
    logits = resize(conv1x1(dropout(conv1x1(x))))         # 1/1
    ```

    Where `x` and a level differ in channels, a 1x1 convolution narrows the wider of the two.

    Args:
        backbone: `"stdc1"` (Cross-CBAM-M of the paper), `"stdc2"` (Cross-CBAM-L), another
            name that `keras_segattn.backbones.build_backbone` takes, or a model: one of
            `keras_segattn.backbones`, of KerasHub or KerasCV, or any whose outputs are a dict with
            `"P3"`, `"P4"` and `"P5"` at strides 8, 16 and 32. Defaults to `"stdc1"`.
        input_shape: Tuple `(height, width, channels)`. Height and width may be `None` and then
            take any value from 32 up, multiples of 32 or not. Defaults to `(None, None, 3)`,
            which `None` stands for, too.
        classes: Integer, the number of classes. Defaults to `None`, which takes the number of
            classes that bundled `weights` have, and 19, as in Cityscapes, without them.
        task: `"multiclass"`, one class per pixel; `"binary"`, one logit that tells foreground from
            background, for which `classes` is 1; or `"multilabel"`, any number of labels per
            pixel. Defaults to `"multiclass"`.
        weights: `None` for random weights, or the path of a file written by `save_weights`.
            Defaults to `None`.
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
        context: Module that widens the field of view at stride 32: `"se_aspp"`, `"aspp"` or
            `"convolution"` (1x1, none at all). Defaults to `"se_aspp"`.
        fusion: How the levels are fused: `"ccbam"`, `"addition"`, `"concatenation"` (and a 1x1
            convolution), or `None`, which classifies the context at stride 32. Defaults to
            `"ccbam"`.
        filters: Integer, width of the context and the fusion, as in the paper's Table 6. Defaults
            to `256`.
        dilations: Dilations of the context, as in the paper's Table 5. Defaults to `(1, 3)`.
        reduction: Integer, reduction of the channel attention in `CCBAM`. Defaults to `16`.
        channel_activation: Activation of the channel attention in `CCBAM`; `None` is the paper's
            equation 3 to the letter, which shows none. Defaults to `"sigmoid"`.
        auxiliary_heads: Boolean, whether a head on P4 helps in training. Defaults to `False`.
        auxiliary_weight: Weight of the loss of that head, unless `compile` is given
            `loss_weights`. Defaults to `1.0`.
        name: Name of the model. Defaults to `"cross_cbam"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, preprocessed by
        its attribute `preprocessing`, to float32 logits
        `(batch, height, width, classes)`; a `DeepSupervision` with `auxiliary_heads=True`.

    Raises:
        ValueError: If an argument has a value that is not named above.

    Example:

    >>> model = CrossCBAM(classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.4 and figure 1.

    **Differences from the paper**: it gives neither the channels around the fusions, nor the heads,
    nor `alpha`. The channels and heads are those that meet all numbers of parameters and FLOPs in
    Tables 5 and 6, which include the parameters of the auxiliary head. The paper's loss, which
    the recipes use, is `compile(loss=[WeightedCrossEntropy(), FocalLoss()],
    loss_weights=[alpha, 1 - alpha])`. Table 4's "FCN" head is taken for the head of
    the full network: its baseline is `context="convolution", fusion=None`.
    """
    check_choice("context", context, CONTEXTS)
    check_choice("fusion", fusion, FUSIONS)
    frame = NetworkFrame(
        "cross_cbam",
        backbone,
        ("P3", "P4", "P5"),
        input_shape=input_shape,
        classes=classes,
        task=task,
        weights=weights,
        backbone_weights=backbone_weights,
        preprocessing=preprocessing,
        freeze_backbone=freeze_backbone,
        classifier_activation=classifier_activation,
        input_tensor=input_tensor,
        include_top=include_top,
        pooling=pooling,
        auxiliary_heads=auxiliary_heads,
    )

    levels = frame.levels
    x = _context(levels["P5"], context, filters, dilations)
    if fusion is not None:
        for i, level in enumerate(("P4", "P3"), start=1):
            gates = (reduction, channel_activation)
            x = _fuse(x, levels[level], fusion, gates, name=f"fusion{i}")

    outputs = [x]
    if include_top:
        if x.shape[-1] != HEAD_FILTERS:
            x = ConvNormAct(HEAD_FILTERS, 1, name="head")(x)
        x = keras.layers.SpatialDropout2D(0.1, name="dropout")(x)
        outputs = [frame.logits(keras.layers.Conv2D(frame.classes, 1, name="classifier")(x))]
    if auxiliary_heads:
        x = FCNHead(frame.classes, HEAD_FILTERS, name="auxiliary")(levels["P4"])
        outputs.append(frame.logits(x, "auxiliary_"))
    return frame.model(name, outputs, [auxiliary_weight])


def _context(x, context, filters, dilations):
    if context == "se_aspp":
        return SEASPP(filters, dilations, name="context")(x)
    if context == "aspp":
        return ASPP(filters, dilations, name="context")(x)
    return ConvNormAct(filters, 1, name="context")(x)


def _fuse(x, lateral, fusion, gates, name):
    """Fuses the decoder's `x` into the next finer level, in the narrower of their widths."""
    width = min(x.shape[-1], lateral.shape[-1])
    if x.shape[-1] > width:
        x = ConvNormAct(width, 1, name=f"{name}_narrow")(x)
    if lateral.shape[-1] > width:
        lateral = ConvNormAct(width, 1, name=f"{name}_lateral")(lateral)
    x = ResizeLike(name=f"{name}_resize")([x, lateral])
    if fusion == "ccbam":
        return CCBAM(*gates, name=name)([x, lateral])
    if fusion == "addition":
        return keras.layers.Add(name=name)([x, lateral])
    x = keras.layers.Concatenate(name=f"{name}_concat")([x, lateral])
    return ConvNormAct(width, 1, name=name)(x)
