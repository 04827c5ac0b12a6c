"""Everything around the decoder of a network: checks, input, backbone, logits and weights."""

from pathlib import Path

import keras

from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.applications.logits import ACTIVATIONS, full_size_logits
from keras_segattn.applications.segmentation_model import SegmentationModel
from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.backbones.image_input import check_input_shape, image_input
from keras_segattn.backbones.registry import build_backbone
from keras_segattn.task import TASKS, check_task
from keras_segattn.weights.bundled import (
    BUNDLED,
    bundled_class_names,
    bundled_names,
    load_bundled,
)
from keras_segattn.weights.keras_file import load_keras_weights
from keras_segattn.wording import counted

# The number of Cityscapes classes.
DEFAULT_CLASSES = 19
POOLINGS = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}


def check_attention(attention, choices):
    """Raises a ValueError unless `attention` is a known name, `None` or a Keras layer."""
    if not isinstance(attention, keras.layers.Layer) and attention not in choices:
        raise ValueError(
            f"`attention` must be one of {choices} or a Keras layer. Received: {attention!r}"
        )


def attend(attention, x):
    """Returns the map of an attention layer, which must have the size of its input.

    Raises:
        ValueError: If it has another size; the network would otherwise fail only when it is used.
    """
    y = attention(x)
    probe = keras.KerasTensor((1, 64, 96, x.shape[-1]))
    found = tuple(attention.compute_output_spec(probe).shape)
    if found[:-1] != (1, 64, 96):
        raise ValueError(
            "`attention` must be a layer from a map to a map of the same size. Received: "
            f"{type(attention).__name__}, which turns {tuple(probe.shape)} into {found}"
        )
    return y


class NetworkFrame:
    """Common frame of the networks; each network function adds a decoder.

    Args:
        network: Name of the network in the bundled weights' file names, such as `"canet"`.
        backbone: Name or model of the backbone.
        levels: The pyramid levels that the decoder reads.
        smallest_side: Integer, the minimum height and width of an image. Defaults to `32`.
        new_classifier: Boolean, for networks with bundled weights. Defaults to `False`.
        align_corners: Boolean, for resizing the logits. Defaults to `False`.
        backbone_options: Dict of further arguments of a backbone by name. Defaults to `None`.
        **arguments: The arguments common to all networks, described in their docstrings:
            `input_shape`, `classes`, `task`, `weights`, `backbone_weights`, `preprocessing`,
            `freeze_backbone`, `classifier_activation`, `input_tensor`, `include_top`, `pooling` and
            `auxiliary_heads`.

    Attributes:
        image: Keras tensor of the images.
        pyramid: The backbone, a model from images to pyramid levels.
        levels: Dict from level names to feature maps.
        classes: Integer, the number of classes.

    Raises:
        ValueError: If an argument has an invalid value.
    """

    def __init__(
        self,
        network,
        backbone,
        levels,
        *,
        input_shape,
        classes,
        task,
        weights,
        backbone_weights,
        preprocessing,
        freeze_backbone,
        classifier_activation,
        input_tensor,
        include_top,
        pooling,
        auxiliary_heads,
        new_classifier=False,
        smallest_side=32,
        align_corners=False,
        backbone_options=None,
    ):
        check_image(input_shape, smallest_side)
        check_choice("pooling", pooling, (None, *POOLINGS))
        if pooling is not None and include_top:
            raise ValueError(
                f"`pooling` requires `include_top=False`. Received: pooling={pooling!r}"
            )
        if auxiliary_heads and not include_top:
            raise ValueError("`auxiliary_heads=True` requires `include_top=True`.")
        if new_classifier and weights not in BUNDLED:
            raise ValueError(
                "`new_classifier=True` requires bundled `weights`, one of "
                f"{bundled_names(network)}. Received: weights={weights!r}. Load a file "
                "into a network with other classes with `model.load_weights(path, "
                "skip_mismatch=True)`."
            )
        self._network, self._backbone = network, backbone
        self._weights, self._new_classifier = weights, new_classifier
        self._activation, self._align_corners = classifier_activation, align_corners
        self._auxiliary_heads = auxiliary_heads
        self._pooling = pooling
        check_choice("task", task, TASKS)
        self._task = task
        self.classes = self._number_of_classes(classes, include_top)
        if include_top:
            check_task(task, self.classes)
            _check_activation(classifier_activation, task)
        self.image, self._input = image_input(input_shape, input_tensor)
        check_image(tuple(self.image.shape[1:]), smallest_side)
        self.pyramid = build_backbone(
            backbone,
            channels=self.image.shape[-1],
            weights=backbone_weights,
            preprocessing=preprocessing,
            freeze=freeze_backbone,
            size=self.image.shape[1:3],
            levels=levels,
            **(backbone_options or {}),
        )
        self.levels = self.pyramid(self.image)

    def _number_of_classes(self, classes, include_top):
        """Returns the number of classes, after checking the weights."""
        if classes is not None:
            check_at_least("classes", classes, 1)
        weights = self._weights
        if weights in BUNDLED:
            names = bundled_class_names(self._network, self._backbone, weights)
            if self._new_classifier and self._task == "binary" and classes is None:
                return 1
            if self._task != "multiclass" and include_top and not self._new_classifier:
                raise ValueError(
                    f"The weights {weights!r} are for task='multiclass'. Received: "
                    f"task={self._task!r}. Pass `new_classifier=True` to fine-tune them for it."
                )
            if classes not in (None, len(names)) and include_top and not self._new_classifier:
                raise ValueError(
                    f"The weights {weights!r} have {counted(len(names), 'class')}. Received: "
                    f"classes={classes}. Omit `classes` to use them unchanged; pass "
                    f"`new_classifier=True` to fine-tune them for {counted(classes, 'class')}."
                )
            return len(names) if classes is None else classes
        if weights is not None and not Path(weights).is_file():
            names = bundled_names(self._network)
            choices = ["None", *map(repr, names), "or the path of a file written by `save_weights`"]
            hint = " For ImageNet weights pass backbone_weights='imagenet'."
            raise ValueError(
                f"`weights` must be {', '.join(choices)}. There is no file {str(weights)!r}."
                f"{hint if weights == 'imagenet' else ''}"
            )
        if classes is not None:
            return classes
        return 1 if self._task == "binary" else DEFAULT_CLASSES

    def logits(self, x, prefix=""):
        """Resizes coarse logits to the image size and activates them if requested."""
        return full_size_logits(x, self.image, self._activation, self._align_corners, prefix)

    def model(self, name, outputs, auxiliary_weights=()):
        """Returns the network with its weights.

        Args:
            name: Name of the model.
            outputs: List of the main output and, with auxiliary heads, their outputs.
            auxiliary_weights: Sequence of one loss weight per auxiliary head.
        """
        if self._pooling is not None:
            outputs = [POOLINGS[self._pooling](name="pooling")(outputs[0])]
        model = SegmentationModel(
            self._input,
            outputs if self._auxiliary_heads else outputs[0],
            name=name,
            preprocessing=self.pyramid.preprocessing,
            task=self._task,
        )
        if self._auxiliary_heads:
            model = DeepSupervision(model, auxiliary_weights)
        weights = self._weights
        if weights in BUNDLED:
            load_bundled(model, self._network, self._backbone, weights, self._new_classifier)
        elif weights is not None:
            load_keras_weights(model, weights)
        return model


def _check_activation(activation, task):
    """Raises a ValueError if an activation does not fit the task.

    Args:
        activation: `classifier_activation` of a network.
        task: The network's task.
    """
    name = getattr(keras.activations.get(activation), "__name__", None)
    if name in ACTIVATIONS.values() and name != ACTIVATIONS[task]:
        others = [other for other in TASKS if ACTIVATIONS[other] == name]
        raise ValueError(
            f"`classifier_activation` of a {task} network must be {ACTIVATIONS[task]!r}, or None "
            f"for logits. Received: {activation!r}, which is for task={' or '.join(others)}."
        )


def check_image(input_shape, smallest_side):
    """Raises a ValueError unless a network can read images of `input_shape`."""
    check_input_shape(input_shape)
    for size in (input_shape or ())[:2]:
        if size is not None and size < smallest_side:
            raise ValueError(
                f"Height and width must be at least {smallest_side}, the stride of the deepest "
                f"level, or None. Received: input_shape={input_shape}"
            )
