"""CCNet: a dilated ResNet and recurrent criss-cross attention over its stride-8 features."""

import keras

from keras_segattn.applications.bundled_arguments import takes_bundled_arguments
from keras_segattn.applications.decoding import decode_predictions
from keras_segattn.applications.foreign_arguments import refuse_foreign_arguments
from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.network_frame import NetworkFrame, attend, check_attention
from keras_segattn.applications.unused_arguments import refuse_unused_arguments
from keras_segattn.arguments import check_choice
from keras_segattn.backbones.output_stride import check_output_stride
from keras_segattn.backbones.resnet import STEMS
from keras_segattn.layers import (
    ASPP,
    ConvNormAct,
    CrissCrossAttention,
    FCNHead,
    NonLocal,
    PyramidPooling,
)
from keras_segattn.layers.conv_norm_act import leaky_relu

__all__ = ["CCNet", "decode_predictions", "preprocess_input"]

ATTENTIONS = ("criss_cross", "non_local", "pyramid_pooling", "aspp", None)
AUXILIARY_WEIGHT = 0.4


@refuse_foreign_arguments
@takes_bundled_arguments("ccnet")
@refuse_unused_arguments(
    recurrence=("attention", ("criss_cross",)),
    use_gamma=("attention", ("criss_cross", "non_local")),
)
def CCNet(
    *,
    backbone="resnet101",
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
    attention="criss_cross",
    recurrence=2,
    use_gamma=True,
    filters=512,
    output_stride=8,
    stem="standard",
    auxiliary_heads=False,
    name="ccnet",
):
    """Criss-Cross Network for semantic segmentation.

    ```
    X      = P5 of a backbone with output stride 8                       # 1/8
    H      = conv3x3(X), a quarter of the channels                       # 1/8
    H''    = CrissCrossAttention(recurrence=2)(H)                        # 1/8
    logits = resize(conv1x1(conv3x3([X, conv3x3(H'')])))                 # 1/1
    ```

    Args:
        backbone: `"resnet101"`, `"resnet50"`, `"resnet18"`, another name that
            `keras_segattn.backbones.build_backbone` accepts, or a model from
            `keras_segattn.backbones`, KerasHub or KerasCV, or any model whose outputs are a dict
            with `"P5"`, and with `"P4"` for the auxiliary head. A model keeps its strides. Defaults
            to `"resnet101"`.
        input_shape: Tuple `(height, width, channels)`. If height and width are `None`, they may be
            any numbers from 32 up, not only multiples of 8. `None` means the default,
            `(None, None, 3)`.
        classes: Integer, the number of classes. Defaults to `None`: the number of classes of
            bundled `weights`, or 19, as in Cityscapes, without them.
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
            features that the classifier reads, at the stride of P5. Defaults to `True`.
        pooling: With `include_top=False`: `"avg"` or `"max"` for the average or maximum of the
            features over the map, or `None` for the map itself. Defaults to `None`.
        attention: `"criss_cross"`; a baseline of Table 4: `"non_local"`, `"pyramid_pooling"` or
            `"aspp"`; your own Keras layer, which must keep the size of the map; or `None`, the same
            head without attention. Defaults to `"criss_cross"`.
        recurrence: Integer, the number of loops with `attention="criss_cross"`, as in the paper's
            Table 3. Defaults to `2`.
        use_gamma: Boolean, whether a learned scalar, initially zero, multiplies the context of the
            criss-cross or non-local attention, as in the authors' code; `False` gives the paper's
            equation 2. Defaults to `True`.
        filters: Integer, channels of the classifier's input and of the auxiliary head. Defaults to
            `512`.
        output_stride: Stride of P5 of a backbone by name: `8`, the paper's choice; with `16` or
            `32`, the attention sees a quarter or a sixteenth of the pixels. Backbones without
            dilation (DF and the backbones of Keras and KerasHub) support only `32`. Defaults to
            `8`.
        stem: First layers of a ResNet by name: `"standard"`, torchvision's 7x7 convolution, with
            ImageNet weights, or `"deep"`, the authors' three 3x3 convolutions, for their
            checkpoints. Defaults to `"standard"`.
        auxiliary_heads: Boolean, whether to train with an auxiliary head on P4, with loss weight
            0.4. With `False`, the model has no weights for it. Defaults to `False`.
        name: Name of the model. Defaults to `"ccnet"`.

    Returns:
        A functional `keras.Model` from images `(batch, height, width, channels)`, to which
        `model.preprocessing` has been applied, to float32 logits `(batch, height, width, classes)`.
        With auxiliary heads, a `keras_segattn.applications.DeepSupervision` of this model.

    Raises:
        ValueError: If an argument has a value not listed above, or has no effect with the other
            arguments, such as `output_stride` and `stem` with a backbone model.

    Example:

    >>> model = CCNet(backbone="resnet18", classes=11)
    >>> tuple(model(np.ones((1, 45, 70, 3), "float32")).shape)
    (1, 45, 70, 11)

    Reference:
        "CCNet: Criss-Cross Attention for Semantic Segmentation" (Huang et al., 2019), section 3.1
        and figure 2.

    **Differences from the paper**: where the paper does not specify a detail or differs, the
    network follows the authors' code. There the attended map passes one more 3x3 convolution before
    it joins `X`, a leaky ReLU of slope 0.01 follows the head's normalizations, an auxiliary head is
    trained, and logits are resized with aligned corners. The authors' normalization, InPlaceABN,
    scales by `abs(weight) + 1e-5`; `keras_segattn.weights.load_torch_state_dict` applies this to
    the authors' checkpoints. They expect
    `Preprocessing((0.40787, 0.45752, 0.48109), [1 / 255] * 3, "BGR")`.
    """
    check_attention(attention, ATTENTIONS)
    check_choice("stem", stem, STEMS)
    options = _backbone_options(backbone, output_stride, stem)
    frame = NetworkFrame(
        "ccnet",
        backbone,
        ("P4", "P5") if auxiliary_heads else ("P5",),
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
        backbone_options=options,
    )

    levels = frame.levels
    x = _head(levels["P5"], filters, attention, recurrence, use_gamma)

    outputs = [x]
    if include_top:
        x = keras.layers.SpatialDropout2D(0.1, name="dropout")(x)
        outputs = [frame.logits(keras.layers.Conv2D(frame.classes, 1, name="classifier")(x))]
    if auxiliary_heads:
        x = FCNHead(
            frame.classes,
            filters,
            activation=leaky_relu,
            use_hidden_bias=True,
            name="auxiliary_head",
        )(levels["P4"])
        outputs.append(frame.logits(x, "auxiliary_"))
    return frame.model(name, outputs, [AUXILIARY_WEIGHT])


def _backbone_options(backbone, output_stride, stem):
    """Returns the arguments for a backbone by name; a model already has its own."""
    check_output_stride(output_stride)
    given = {"output_stride": (output_stride, 8), "stem": (stem, "standard")}
    for name, (value, default) in given.items():
        if value != default and not isinstance(backbone, str):
            raise ValueError(
                f"`{name}` applies to a backbone by name. Received: {name}={value!r} and a model; "
                f"build the model with that {name} instead."
            )
    if not isinstance(backbone, str):
        return {}
    options = {"output_stride": output_stride}
    # Only ResNets have the argument `stem`.
    return options if stem == "standard" else {**options, "stem": stem}


def _head(x, filters, attention, recurrence, use_gamma):
    """Reduces the map, attends to it, and fuses the result with the map before the reduction."""
    channels = x.shape[-1] // 4
    y = ConvNormAct(channels, activation=leaky_relu, name="reduce")(x)
    if attention is not None:
        y = attend(_attention_layer(attention, channels, recurrence, use_gamma), y)
    y = ConvNormAct(channels, activation=leaky_relu, name="context")(y)
    y = keras.layers.Concatenate(name="concat")([x, y])
    return ConvNormAct(filters, activation=leaky_relu, name="fuse")(y)


def _attention_layer(attention, channels, recurrence, use_gamma):
    if attention == "criss_cross":
        return CrissCrossAttention(recurrence, use_gamma=use_gamma, name="attention")
    if attention == "non_local":
        return NonLocal(use_gamma=use_gamma, name="attention")
    if attention == "pyramid_pooling":
        return PyramidPooling(name="attention")
    if attention == "aspp":
        return ASPP(channels, name="attention")
    return attention
