"""Mask R-CNN on a feature pyramid, optionally with the attention of CCNet's Table 7."""

from pathlib import Path

import keras

from keras_segattn.applications.imagenet import preprocess_input
from keras_segattn.applications.instance_segmentation_model import (
    InstanceSegmentationModel,
    find_objects,
)
from keras_segattn.applications.network_frame import check_attention, check_image
from keras_segattn.arguments import by_name_only, check_at_least, check_choice
from keras_segattn.backbones.image_input import image_input
from keras_segattn.backbones.pyramid import LEVELS
from keras_segattn.backbones.registry import build_backbone
from keras_segattn.detection import RegionProposal, ROIAlign
from keras_segattn.detection.box_head import BoxHead
from keras_segattn.detection.box_selection import BoxSelection
from keras_segattn.detection.feature_pyramid import FeaturePyramid
from keras_segattn.detection.mask_head import MaskHead
from keras_segattn.detection.region_head import RegionHead
from keras_segattn.layers import CrissCrossAttention, NonLocal
from keras_segattn.weights.keras_file import load_keras_weights

__all__ = ["MaskRCNN", "preprocess_input"]

ATTENTIONS = ("criss_cross", "non_local", None)
BOX_SIZE, MASK_SIZE = 7, 14


@by_name_only
def MaskRCNN(
    *,
    backbone="resnet50",
    input_shape=(None, None, 3),
    classes=80,
    weights=None,
    backbone_weights=None,
    preprocessing=None,
    freeze_until="auto",
    freeze_batch_norm="auto",
    input_tensor=None,
    attention=None,
    filters=256,
    units=1024,
    proposals=1000,
    training_proposals=2000,
    sampled_boxes=512,
    detections=100,
    score_threshold=0.05,
    anchor_sizes=None,
    anchor_style="torchvision",
    aligned=True,
    name="mask_rcnn",
):
    """Mask R-CNN: finds objects and predicts a mask for each.

    ```
    P2 .. P6 = FeaturePyramid(P2 .. P5 of a backbone)                    # 1/4 .. 1/64
    regions  = RegionProposal(RegionHead(P2 .. P6))
    boxes, scores, classes = BoxSelection(BoxHead(ROIAlign(7)(regions, P2 .. P5)))
    masks    = sigmoid(MaskHead(ROIAlign(14)(boxes, P2 .. P5)))          # 28x28 in each box
    ```

    Args:
        backbone: `"resnet50"`, `"resnet101"`, another name that
            `keras_segattn.backbones.build_backbone` takes, or a model whose outputs are a dict with
            `"P2"` to `"P5"` at strides 4 to 32. Defaults to `"resnet50"`.
        input_shape: Tuple `(height, width, channels)`. Height and width may be `None`, for any
            value of at least 32. Defaults to `(None, None, 3)`.
        classes: Integer, the number of classes, without a background. Defaults to `80`, as in COCO.
        weights: `None` for random weights, or the path of a file written by `save_weights`.
            Defaults to `None`.
        backbone_weights: `None`, `"imagenet"` for a backbone by name, or the path of a file that
            `keras_segattn.weights.load_backbone_weights` reads. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing`, the normalization that the weights
            expect. The model stores it but does not apply it: call
            `model(model.preprocessing(images))`, with images from 0 to 255. Defaults to the
            backbone's.
        freeze_until: Name of a level; the layers up to it are not trained. `"P2"` freezes the stem
            and res2, as maskrcnn-benchmark does. `None` freezes none. Defaults to `"auto"`: `"P2"`
            with `backbone_weights`, `None` without.
        freeze_batch_norm: Boolean, whether the backbone's batch normalization keeps its statistics
            and weights, as in maskrcnn-benchmark. Defaults to `"auto"`: `True` with
            `backbone_weights`, `False` without.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        attention: `"criss_cross"`, two loops of `CrissCrossAttention`, or `"non_local"`, before the
            last residual block of res4 of a ResNet by name, as in CCNet's Table 7; another new
            Keras layer for that place; or `None`. Defaults to `None`. For a backbone model, put the
            attention into the model when you build it: `ResNet50(attention_before_last_block=...)`.
        filters: Integer, channels of the pyramid and of the mask head. Defaults to `256`.
        units: Integer, size of the hidden layers of the box head. Defaults to `1024`.
        proposals: Integer, the number of classified regions per image. Defaults to `1000`.
        training_proposals: Integer, the number in training, from which `sampled_boxes` are sampled.
            Defaults to `2000`.
        sampled_boxes: Integer, the number of boxes per image that train the heads. At most a
            quarter of them contain an object. Defaults to `512`.
        detections: Integer, the number of returned objects per image. Defaults to `100`.
        score_threshold: Float; returned objects have a higher score. Defaults to `0.05`.
        anchor_sizes: Dict from `"P2"` to `"P6"` to the sizes of anchors in pixels. Defaults to 32,
            64, 128, 256 and 512.
        anchor_style: `"torchvision"` or `"maskrcnn_benchmark"`, whose anchors lie half a stride
            further to the lower right and are up to 6% wider, as its checkpoints expect. Defaults
            to `"torchvision"`.
        aligned: Boolean, whether box coordinates and map positions agree. `False` samples half a
            stride to the upper left, as checkpoints of maskrcnn-benchmark and torchvision expect.
            Defaults to `True`.
        name: Name of the model. Defaults to `"mask_rcnn"`.

    Returns:
        A `keras_segattn.applications.InstanceSegmentationModel` from images
        `(batch, height, width, channels)`, to which `model.preprocessing` has been applied, to a
        dict of boxes, scores, classes and masks.

    Raises:
        ValueError: If an argument has an unsupported value, or `attention` is given with a backbone
            model.

    Example:

    >>> model = MaskRCNN(backbone="resnet18", classes=3, filters=16, units=32, proposals=50)
    >>> found = model(np.ones((1, 64, 96, 3), "float32"))
    >>> {key: tuple(value.shape) for key, value in found.items()}["masks"]
    (1, 100, 28, 28)

    Reference:
        "Mask R-CNN" (He et al., 2017); "CCNet: Criss-Cross Attention for Semantic Segmentation"
        (Huang et al., 2019), section 4.5 and Table 7.

    **Differences from the paper**: CCNet's paper builds on maskrcnn-benchmark; sizes, matching,
    sampling and losses follow it. The stride of a bottleneck is on its 3x3 convolution, as in
    torchvision, not on the first 1x1, unless the backbone is `ResNet50(stride_in_1x1=True)`. Widths
    are `x2 - x1`, without the pixel that maskrcnn-benchmark adds; by default, `ROIAlign` is aligned
    and anchors are torchvision's (see `aligned` and `anchor_style`). At most 1,000 candidates of
    all classes enter the final suppression. Boxes are clipped to the padded
    images of a batch unless you give the unpadded sizes: as `"sizes"` in the targets for training,
    or through the model's `padded_model` for inference.
    """
    check_attention(attention, ATTENTIONS)
    check_image(input_shape, 32)
    check_at_least("classes", classes, 1)
    check_at_least("detections", detections, 1)
    check_choice("freeze_until", freeze_until, ("auto", None, *LEVELS))
    check_choice("freeze_batch_norm", freeze_batch_norm, ("auto", True, False))
    if weights is not None and not Path(weights).is_file():
        raise ValueError(
            "`weights` must be None or the path of a file written by `save_weights`. There is no "
            f"file {str(weights)!r}. For ImageNet weights, pass backbone_weights='imagenet'."
        )
    image, inputs = image_input(input_shape, input_tensor)
    pyramid = build_backbone(
        backbone,
        channels=image.shape[-1],
        weights=backbone_weights,
        preprocessing=preprocessing,
        size=image.shape[1:3],
        **_backbone_options(backbone, attention),
    )
    pretrained = backbone_weights is not None
    _freeze(
        pyramid,
        ("P2" if pretrained else None) if freeze_until == "auto" else freeze_until,
        pretrained if freeze_batch_norm == "auto" else freeze_batch_norm,
    )
    layers = [
        keras.Model(pyramid.input, pyramid.output, name="backbone"),
        FeaturePyramid(filters, name="pyramid"),
        RegionHead(name="region_head"),
        RegionProposal(
            proposals,
            training_proposals,
            anchor_sizes=anchor_sizes,
            anchor_style=anchor_style,
            name="proposals",
        ),
        ROIAlign(BOX_SIZE, aligned=aligned, name="box_align"),
        BoxHead(classes, units, name="box_head"),
        BoxSelection(detections, score_threshold, name="selection"),
        ROIAlign(MASK_SIZE, aligned=aligned, name="mask_align"),
        MaskHead(classes, filters, name="mask_head"),
        keras.layers.Activation("sigmoid", dtype="float32", name="masks"),
    ]
    model = InstanceSegmentationModel(
        inputs,
        find_objects({layer.name: layer for layer in layers}.__getitem__, image, image),
        name=name,
        preprocessing=pyramid.preprocessing,
        sampled_boxes=sampled_boxes,
    )
    if weights is not None:
        load_keras_weights(model, weights)
    return model


def _backbone_options(backbone, attention):
    if attention is None:
        return {}
    if not isinstance(backbone, str):
        raise ValueError(
            "`attention` requires a backbone given by name. For a backbone model, build the model "
            "with it: "
            "ResNet50(attention_before_last_block={'P4': CrissCrossAttention()}). Received: "
            f"attention={attention!r} and a model"
        )
    if attention == "criss_cross":
        attention = CrissCrossAttention()
    elif attention == "non_local":
        attention = NonLocal()
    return {"attention_before_last_block": {"P4": attention}}


def _freeze(pyramid, level, batch_norm):
    if level is not None:
        for layer in keras.Model(pyramid.input, pyramid.output[level]).layers:
            layer.trainable = False
    if batch_norm:
        for layer in pyramid._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
