"""Cross-CBAM: crossed channel and spatial attention fuses the levels of a feature pyramid."""

import keras

from keras_segattn.applications.bundled_arguments import takes_bundled_arguments
from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame
from keras_segattn.applications.unused_arguments import refuse_unused_arguments
from keras_segattn.arguments import check_at_least, check_choice, check_weight
from keras_segattn.layers import ASPP, CCBAM, SEASPP, ConvNormAct, FCNHead, ResizeLike

__all__ = ["CrossCBAM", "decode_predictions", "preprocess_input"]

CONTEXTS = ("se_aspp", "aspp", "convolution")
FUSIONS = ("ccbam", "addition", "concatenation", None)
HEAD_FILTERS = 128


@refuse_foreign_arguments
@takes_bundled_arguments("cross_cbam")
@refuse_unused_arguments(
    dilations=("context", ("se_aspp", "aspp")),
    reduction=("fusion", ("ccbam",)),
    channel_activation=("fusion", ("ccbam",)),
    fusion_filters=("fusion", ("ccbam", "addition", "concatenation")),
    auxiliary_weight=("auxiliary_heads", (True,)),
)
def CrossCBAM(
    *,
    backbone="stdc1",
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
    context="se_aspp",
    fusion="ccbam",
    filters=256,
    fusion_filters=None,
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

    If `x` and a level differ in channels, a 1x1 convolution narrows the wider of the two, unless
    `fusion_filters` sets one width for all fusions. The first 1x1 convolution of the logits is
    omitted if `x` has its 128 channels already.

    Args:
        backbone: `"stdc1"` (Cross-CBAM-M of the paper), `"stdc2"` (Cross-CBAM-L), another name that
            `keras_segattn.backbones.build_backbone` accepts, or a model from
            `keras_segattn.backbones`, KerasHub or KerasCV, or any model whose outputs are a dict
            with `"P3"`, `"P4"` and `"P5"` at strides 8, 16 and 32. Defaults to `"stdc1"`.
        input_shape: Tuple `(height, width, channels)`. With `None` for height and width, any
            size of at least 32 is accepted; it need not be a multiple of 32. `None` means the
            default, `(None, None, 3)`.
        classes: Integer, the number of classes. Defaults to `None`: the number of classes of
            bundled `weights`; without them, 1 for a binary network and otherwise 19, as in
            Cityscapes.
        task: `"multiclass"`, one class per pixel; `"binary"`, one logit that separates foreground
            from background, with `classes=1`; or `"multilabel"`, any number of labels per pixel.
            Defaults to `"multiclass"`.
        weights: `None` for random weights; `"camvid"`, trained on photos of roads, from the
            package `keras-segattn-weights`; or the path of a file written by `save_weights`. With
            bundled weights, arguments you omit, including the backbone, take the values of the
            trained network. Defaults to `None`.
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
            fused features at stride 8, or 32 with `fusion=None`. Defaults to `True`.
        pooling: With `include_top=False`: `"avg"` or `"max"` for the average or maximum of the
            features over the map, or `None` for the map itself. Defaults to `None`.
        context: Module that enlarges the receptive field at stride 32: `"se_aspp"`, `"aspp"` or
            `"convolution"` (1x1, which does not enlarge it). Defaults to `"se_aspp"`.
        fusion: Fusion of the levels: `"ccbam"`, `"addition"`, `"concatenation"` (with a 1x1
            convolution), or `None` to classify the context at stride 32. Defaults to `"ccbam"`.
        filters: Integer, width of the context and the fusion, as in the paper's Table 6. Defaults
            to `256`.
        fusion_filters: Integer, width at which `x` and the levels are fused, for backbones with few
            channels: the paper's have 256 at stride 8, MobileNetV2 and the EfficientNet-Lites 24 to
            48. Defaults to `None`: the smaller width of `x` and the level.
        dilations: Dilations of the context, as in the paper's Table 5. Defaults to `(1, 3)`.
        reduction: Integer, reduction of the channel attention in `CCBAM`. Defaults to `16`.
        channel_activation: Activation of the channel attention in `CCBAM`. `None` follows the
            paper's equation 3 literally. Defaults to `"sigmoid"`.
        auxiliary_heads: Boolean, whether to train with an auxiliary head on P4. Defaults to
            `False`.
        auxiliary_weight: Loss weight of the auxiliary head. `loss_weights` in `compile` overrides
            it. Defaults to `1.0`.
        name: Name of the model. Defaults to `"cross_cbam"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, to which
        `model.preprocessing` has been applied, to float32 logits `(batch, height, width, classes)`.
        With `auxiliary_heads=True`, a `DeepSupervision` of this model.

    Raises:
        ValueError: If an argument has a value not listed above, or has no effect with the other
            arguments.

    Example:

    >>> model = CrossCBAM(classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), section
        3.4 and figure 1.

    **Differences from the paper**: the paper specifies neither the channels around the fusions, nor
    the heads, nor `alpha`. The channels and heads here reproduce all parameter counts and FLOPs in
    Tables 5 and 6; the parameters include the auxiliary head. The paper's loss, used by the
    recipes, is `compile(loss=[WeightedCrossEntropy(), FocalLoss()], loss_weights=[alpha, 1 -
    alpha])`. Table 4's "FCN" head is assumed to be the head of the full network: the baseline of
    that table is `context="convolution", fusion=None`.
    """
    check_choice("context", context, CONTEXTS)
    check_choice("fusion", fusion, FUSIONS)
    check_weight("auxiliary_weight", auxiliary_weight)
    if fusion_filters is not None:
        check_at_least("fusion_filters", fusion_filters, 1)
    frame = NetworkFrame(
        "cross_cbam",
        backbone,
        ("P3", "P4", "P5"),
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

    levels = frame.levels
    x = _context(levels["P5"], context, filters, dilations)
    if fusion is not None:
        for i, level in enumerate(("P4", "P3"), start=1):
            gates = (reduction, channel_activation)
            x = _fuse(x, levels[level], fusion_filters, fusion, gates, name=f"fusion{i}")

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


def _fuse(x, lateral, width, fusion, gates, name):
    """Fuses the decoder's `x` into the next finer level, at a width or the smaller of theirs."""
    if width is None:
        width = min(x.shape[-1], lateral.shape[-1])
    if x.shape[-1] != width:
        x = ConvNormAct(width, 1, name=f"{name}_narrow")(x)
    if lateral.shape[-1] != width:
        lateral = ConvNormAct(width, 1, name=f"{name}_lateral")(lateral)
    x = ResizeLike(name=f"{name}_resize")([x, lateral])
    if fusion == "ccbam":
        return CCBAM(*gates, name=name)([x, lateral])
    if fusion == "addition":
        return keras.layers.Add(name=name)([x, lateral])
    x = keras.layers.Concatenate(name=f"{name}_concat")([x, lateral])
    return ConvNormAct(width, 1, name=name)(x)
