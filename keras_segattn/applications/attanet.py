"""AttaNet: attention fuses two pyramid levels, and every pixel attends to the map's columns."""

import keras

from keras_segattn.applications.bundled_arguments import takes_bundled_arguments
from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame, attend, check_attention
from keras_segattn.applications.unused_arguments import refuse_unused_arguments
from keras_segattn.arguments import check_choice, check_weight
from keras_segattn.layers import AttentionFusion, ConvNormAct, FCNHead, ResizeLike, StripAttention

__all__ = ["AttaNet", "decode_predictions", "preprocess_input"]

ATTENTIONS = ("vertical", "horizontal", None)
FUSIONS = ("attention", "addition", "concatenation")
# Fusion widths that reproduce the published counts of the deep networks.
FUSION_FILTERS = {"resnet50": 512, "resnet101": 512}


@refuse_foreign_arguments
@takes_bundled_arguments("attanet")
@refuse_unused_arguments(
    auxiliary_weight=("auxiliary_heads", (True,)),
    normalize_attention=("attention", ("vertical", "horizontal")),
)
def AttaNet(
    *,
    backbone="resnet18",
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
    auxiliary_heads=False,
    auxiliary_weight=1.0,
    attention="vertical",
    normalize_attention=True,
    fusion="attention",
    interpolation="nearest",
    filters=None,
    fusion_filters=None,
    light=None,
    classifier_bias=False,
    name="attanet",
):
    """Attention-Augmented Network for semantic segmentation.

    ```
    F      = AttentionFusion([P4, P5])                         # 1/16
    A      = StripAttention(conv3x3(F))                        # 1/16
    logits = resize(conv1x1(conv3x3(conv3x3(up(A)))))          # 1/8, resized to 1/1
    ```

    Args:
        backbone: `"resnet18"`, `"resnet50"`, `"resnet101"`, `"shufflenet_v2"`, `"df1"`, `"df2"`,
            `"light"` (the paper's network without a pretrained backbone), another name that
            `keras_segattn.backbones.build_backbone` accepts, or a model from
            `keras_segattn.backbones`, KerasHub or KerasCV, or any model whose outputs are a dict
            with `"P3"`, `"P4"` and `"P5"` at strides 8, 16 and 32. Defaults to `"resnet18"`.
        input_shape: Tuple `(height, width, channels)`. With `None` for height and width, any
            size of at least 32 is accepted; it need not be a multiple of 32. `None` means the
            default, `(None, None, 3)`.
        classes: Integer, the number of classes. Defaults to `None`: the number of classes of
            bundled `weights`, or 19, as in Cityscapes, without them.
        task: `"multiclass"`, one class per pixel; `"binary"`, one logit that separates foreground
            from background, with `classes=1`; or `"multilabel"`, any number of labels per pixel.
            Defaults to `"multiclass"`.
        weights: `None` for random weights; `"camvid"`, trained on photos of roads; `"road_scenes"`,
            trained on drawings of roads; or the path of a file written by `save_weights`. With
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
            features at stride 8. Defaults to `True`.
        pooling: With `include_top=False`: `"avg"` or `"max"` for the average or maximum of the
            features over the map, or `None` for the map itself. Defaults to `None`.
        auxiliary_heads: Boolean, whether training also supervises the weighted high level and P3.
            The light network supervises the map `"P4_inner"` of the backbone `"light"` instead of
            P3. Defaults to `False`.
        auxiliary_weight: Loss weight of each auxiliary head, the paper's `lambda`. `compile`
            overrides it with `loss_weights`. Defaults to `1.0`, the paper's choice.
        attention: Strips of the attention, `"vertical"` or `"horizontal"`; a Keras layer that keeps
            the size of the map, such as the baselines of Table 3: `NonLocal(reduction=2)`,
            `CrissCrossAttention(2, reduction=2)` and `ExpectationMaximizationAttention()`; or
            `None` for no attention (Table 2). Defaults to `"vertical"`.
        normalize_attention: Boolean, whether batch normalization and ReLU follow the projections of
            the strip attention, as in the authors' network. With `False`, they are plain
            convolutions, as in the paper's text. Defaults to `True`.
        fusion: `"attention"`, or a baseline of Table 3: `"addition"` or `"concatenation"`.
            Defaults to `"attention"`.
        interpolation: `"nearest"` or `"bilinear"`, the resizing inside the network. Logits are
            always resized bilinearly. Defaults to `"nearest"`.
        filters: Integer, width of the network after the backbone. The attention keys and the
            auxiliary heads have half this width, or the full width in the light network. Defaults
            to `128`, or `64` for the light network.
        fusion_filters: Integer, width of the fusion. If it differs from `filters`, a 3x3
            convolution of this width follows the fusion. Defaults to `512` for `"resnet50"` and
            `"resnet101"`, and to `filters` otherwise.
        light: Boolean, whether to build the light network. It first reduces P3 and P4, fuses them
            instead of P4 and P5, and has no dropout. Defaults to `True` for `"light"` and to
            `False` for every other backbone.
        classifier_bias: Boolean, whether the classifiers have biases, as they do after
            `keras_segattn.training.adjust_logits`. The paper's have none. Defaults to `False`.
        name: Name of the model. Defaults to `"attanet"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, to which
        `model.preprocessing` has been applied, to float32 logits `(batch, height, width, classes)`.
        With `auxiliary_heads=True`, a `DeepSupervision` of this model.

    Raises:
        ValueError: If an argument has a value not listed above, or has no effect with the other
            arguments.

    Example:

    >>> model = AttaNet(backbone="light", classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing" (Song, Mei and
        Huang, 2021), figure 2.

    **Differences from the paper**: where the paper does not specify a detail or differs, the
    network follows the authors' released code for ResNet-18 and for the light network. Resizing
    inside the network takes the nearest pixel; the text says bilinear (`interpolation="bilinear"`).
    An auxiliary head reads the weighted high level instead of the fused map. Logits are resized
    with aligned corners. No other backbone was released. The counts in Table 4 include the
    auxiliary heads. The network reproduces the parameters of the baselines
    (`attention=None, fusion="addition"`) with DF1, DF2 and ResNet-50. It also reproduces the added
    FLOPs of AttaNet with DF1, ShuffleNetV2, ResNet-50 and ResNet-101, the last two with a fusion of
    512 channels. The added parameters would require a 3x3 convolution in the fusion, which
    contradicts the added FLOPs. No variant tried reproduces the rows of ResNet-101 and
    ShuffleNetV2.
    """
    if light is None:
        light = backbone == "light"
    check_attention(attention, ATTENTIONS)
    check_choice("fusion", fusion, FUSIONS)
    check_weight("auxiliary_weight", auxiliary_weight)
    if filters is None:
        filters = 64 if light else 128
    if fusion_filters is None:
        fusion_filters = FUSION_FILTERS.get(backbone, filters)
    narrow = filters if light else filters // 2
    low, high = ("P3", "P4") if light else ("P4", "P5")
    supervised = "P4_inner" if light else "P3"
    needed = {"P3", low, high} | ({supervised} if auxiliary_heads else set())

    frame = NetworkFrame(
        "attanet",
        backbone,
        sorted(needed),
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
        align_corners=True,
        smallest_side=16 if light else 32,
    )
    levels = frame.levels
    x, high = _fuse(levels[low], levels[high], fusion_filters, fusion, interpolation, light)
    if fusion_filters != filters:
        x = ConvNormAct(fusion_filters, name="fused")(x)
    x = ConvNormAct(filters, name="decoder1")(x)
    if isinstance(attention, str):
        attention = StripAttention(
            narrow, orientation=attention, normalize=normalize_attention, name="attention"
        )
    if attention is not None:
        x = attend(attention, x)
    if not light:
        x = ResizeLike(interpolation, name="up")([x, levels["P3"]])
    x = ConvNormAct(filters, name="decoder2")(x)

    outputs = [x]
    if include_top:
        heads = {"": (x, filters)}
        if auxiliary_heads:
            heads["auxiliary1_"] = (high, narrow)
            heads["auxiliary2_"] = (levels[supervised], narrow)
        outputs = [
            _classify(frame, features, width, light, classifier_bias, prefix)
            for prefix, (features, width) in heads.items()
        ]
    return frame.model(name, outputs, [auxiliary_weight] * 2)


def _fuse(low, high, filters, fusion, interpolation, light):
    """Returns the fused map and the high level as it enters the sum."""
    if fusion == "attention":
        layer = AttentionFusion(filters, interpolation=interpolation, light=light, name="fusion")
        return layer([low, high], return_high=True)
    if light:
        low = ConvNormAct(filters, name="fusion_reduce_low")(low)
        high = ConvNormAct(filters, name="fusion_reduce_high")(high)
    local = ConvNormAct(filters, name="fusion_low")(low)
    projected = ConvNormAct(filters, name="fusion_high")(high)
    projected = ResizeLike(interpolation, name="fusion_up")([projected, low])
    if fusion == "addition":
        return keras.layers.Add(name="fusion_add")([local, projected]), projected
    context = ResizeLike(interpolation, name="fusion_up_context")([high, low])
    x = keras.layers.Concatenate(name="fusion_concat")([local, context])
    return ConvNormAct(filters, 1, name="fusion_mix")(x), projected


def _classify(frame, features, filters, light, bias, prefix):
    dropout = 0.0 if light else 0.1
    x = FCNHead(frame.classes, filters, dropout, use_bias=bias, name=f"{prefix}head")(features)
    return frame.logits(x, prefix)
