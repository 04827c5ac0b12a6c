"""A functional model that finds objects and computes the losses of Mask R-CNN itself."""

import keras
from keras import ops

from keras_segattn.applications import mask_rcnn_losses as losses
from keras_segattn.applications.optimizer_variables import make_optimizer_variables
from keras_segattn.backbones.pyramid import LEVELS
from keras_segattn.detection.image_padding import ImagePadding
from keras_segattn.weights.preprocessing import IMAGENET

LOSSES = ("region", "region_box", "classification", "box", "mask")
TARGETS = ("boxes", "classes", "masks")


@keras.saving.register_keras_serializable(package="keras_segattn")
class InstanceSegmentationModel(keras.Model):
    """A functional model from images to objects, with its preprocessing and class names.

    `keras_segattn.applications.MaskRCNN` returns this class. The model computes its losses itself:
    `model.compile(optimizer)` and `model.fit(dataset)` train it on pairs of images and a dict of

    - `"boxes"`: `(batch, objects, 4)`, boxes `(x1, y1, x2, y2)` in image pixels;
    - `"classes"`: integers `(batch, objects)`, the class of each object, from 0; -1 is padding;
    - `"masks"`: `(batch, objects, rows, columns)` from 0 to 1, over the whole image, at full size
      or smaller. At a quarter of the size, each number is the fraction of 16 pixels that the object
      covers.

    and, for images that are padded below and on the right, `"sizes"`: `(batch, 2)`, the height and
    width of each image without padding, so that no region is proposed in the padding.
    `keras_segattn.data.InstanceDataset.to_py_dataset` produces them.

    `objects` is the same for all images of a batch, and at least 1. The log contains the five
    losses and their sum: `region` and `region_box` of the proposals, `classification` and `box` of
    the boxes, and `mask`.

    Args:
        inputs: Keras tensor of images `(batch, height, width, channels)`.
        outputs: Dict of Keras tensors, as described in `Returns`.
        name: Name of the model. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing`, the normalization that the weights
            expect. The model stores it but does not apply it. Defaults to ImageNet's mean and
            standard deviation.
        class_names: Sequence of one name per class. Defaults to `None`.
        sampled_boxes: Integer, the number of boxes per image that train the heads. Defaults to
            `512`.
        **kwargs: `trainable`, as in every Keras model.

    Returns:
        With `training=False`, as in `predict`, a dict of `"boxes"` `(batch, count, 4)`, each
        `(x1, y1, x2, y2)` in pixels, `"scores"` `(batch, count)`, the highest first, `"classes"`
        `(batch, count)`, and `"masks"` `(batch, count, 28, 28)`, the probability at each position
        in the box. If fewer objects are found, the remaining entries have score 0 and class -1.

    Raises:
        ValueError: If the number of class names does not match the classes, or `compile` gets a
            loss.

    Example:

    >>> from keras_segattn.backbones import ResNet18
    >>> model = keras_segattn.applications.MaskRCNN(
    ...     backbone=ResNet18(), classes=3, filters=16, units=32, proposals=50
    ... )
    >>> found = model.predict(np.zeros((1, 64, 96, 3), "float32"), verbose=0)
    >>> found["boxes"].shape, found["masks"].shape
    ((1, 100, 4), (1, 100, 28, 28))

    **Differences from others**: `compute_loss` computes the losses and calls the heads on boxes
    sampled around the objects. The saved and exported graph therefore has no input for objects, and
    Keras's own `fit` trains the model on every backend.
    """

    # Keras before 3.15 saves the layers of a subclass only if its constructor takes `*args` and
    # `**kwargs`, with these names.
    def __init__(self, *args, preprocessing=None, class_names=None, sampled_boxes=512, **kwargs):
        super().__init__(*args, **kwargs)
        self.preprocessing = (preprocessing or IMAGENET).for_channels(self.inputs[0].shape[-1])
        self.class_names = class_names
        self.sampled_boxes = sampled_boxes
        self._seed = keras.random.SeedGenerator()
        self._trackers = [keras.metrics.Mean(name=name) for name in LOSSES]

    @property
    def class_names(self):
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        if names is not None and (isinstance(names, str) or len(names) != self.classes):
            raise ValueError(
                f"`class_names` must have one name for each of the {self.classes} classes. "
                f"Received: {names!r}"
            )
        self._class_names = None if names is None else tuple(names)

    @property
    def classes(self):
        """The number of classes, without the background."""
        return self.get_layer("box_head").classes

    def compile(self, optimizer="sgd", **kwargs):
        if kwargs.get("loss") is not None:
            raise ValueError(
                "An InstanceSegmentationModel computes its own losses: call `compile(optimizer)`. "
                f"Received: loss={kwargs['loss']!r}"
            )
        super().compile(optimizer, **kwargs)

    def fit(self, *args, **kwargs):
        make_optimizer_variables(self)
        return super().fit(*args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if training:
            return self._features(inputs, training=True)
        return super().call(inputs, training=training, mask=mask)

    def _features(self, images, training):
        """Returns the maps of the pyramid and the outputs of the region proposal network."""
        levels = self.get_layer("backbone")(images, training=training)
        maps = self.get_layer("pyramid")(levels)
        objectness, deltas = self.get_layer("region_head")(maps)
        return {"maps": maps, "objectness": objectness, "deltas": deltas}

    def padded_model(self):
        """Returns a model with the same layers for images padded below and on the right.

        Its inputs are a list of the images and their unpadded sizes, `(batch, 2)` heights and
        widths. If this model has a fixed size, the padded images have the next multiples of 32. No
        object extends into the padding.
        """
        padded, _ = ImagePadding().compute_output_spec(self.inputs[0])
        images = keras.Input(batch_shape=padded.shape, dtype=self.inputs[0].dtype, name="images")
        sizes = keras.Input((2,), images.shape[0], dtype="int32", name="sizes")
        return keras.Model(
            [images, sizes],
            find_objects(self.get_layer, images, sizes),
            name=f"{self.name}_padded",
        )

    def restart_sampling(self, *numbers):
        """Restarts the random sampling of boxes for training from two integers, as a seed.

        Model files do not contain the state of this sampling.
        """
        self._seed.state.assign(numbers)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        _check_targets(y)
        if "maps" not in y_pred:
            # In `evaluate`, the outputs are the detected objects.
            y_pred = self._features(x, training=False)
        maps, objectness, deltas = (y_pred[key] for key in ("maps", "objectness", "deltas"))
        classes = ops.cast(y["classes"], "int32")
        objects = ops.cast(y["boxes"], "float32")
        present = losses.present_objects(objects, classes)

        propose = self.get_layer("proposals")
        anchors = ops.concatenate(list(propose.anchors(maps).values()), axis=0)
        flat = [
            ops.concatenate([_flat(part[level], numbers) for level in propose.anchor_sizes], axis=1)
            for part, numbers in ((objectness, ()), (deltas, (4,)))
        ]
        parts = losses.region_losses(*flat, anchors, objects, present, self._seed)

        sizes = y.get("sizes", x)
        proposals = propose(objectness, deltas, sizes, training=True)
        boxes, index, positive, drawn = losses.sample_proposals(
            *proposals, objects, present, self.sampled_boxes, self._seed
        )
        boxes = ops.stop_gradient(boxes)
        labels = losses.gather_rows(classes + 1, index) * ops.cast(positive, "int32")
        own = losses.gather_rows(objects, index)
        finest = {level: maps[level] for level in LEVELS}
        logits, moves = self.get_layer("box_head")(self.get_layer("box_align")(boxes, finest))
        parts |= losses.box_losses(logits, moves, boxes, own, labels, positive, drawn)

        # Only boxes with an object have a mask, and they come first.
        most = max(self.sampled_boxes // 4, 1)
        boxes, index, positive, labels = (
            part[:, :most] for part in (boxes, index, positive, labels)
        )
        logits = self.get_layer("mask_head")(self.get_layer("mask_align")(boxes, finest), labels)
        parts |= losses.mask_loss(logits, y["masks"], index, boxes, positive, x)
        for tracker in self._trackers:
            tracker.update_state(parts[tracker.name])
        return sum(parts.values()) + sum(self.losses)

    def compile_from_config(self, config):
        # Keras compiles a loaded model only if `compile` is not overridden.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {
            **super().get_config(),
            "preprocessing": keras.saving.serialize_keras_object(self.preprocessing),
            "class_names": self.class_names and list(self.class_names),
            "sampled_boxes": self.sampled_boxes,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        own = {key: config.pop(key) for key in ("preprocessing", "class_names", "sampled_boxes")}
        model = super().from_config(config, custom_objects=custom_objects)
        own["preprocessing"] = keras.saving.deserialize_keras_object(own["preprocessing"])
        for key, value in own.items():
            setattr(model, key, value)
        return model


def find_objects(layer, images, sizes):
    """Returns the outputs of Mask R-CNN.

    Args:
        layer: Function that returns a layer by its name.
        images: Tensor of preprocessed images.
        sizes: The images again; or their heights and widths `(batch, 2)` without padding.
    """
    maps = layer("pyramid")(layer("backbone")(images))
    finest = {level: maps[level] for level in LEVELS}
    objectness, deltas = layer("region_head")(maps)
    regions, scores = layer("proposals")(objectness, deltas, sizes)
    logits, moves = layer("box_head")(layer("box_align")(regions, finest))
    boxes, scores, classes = layer("selection")(regions, scores, logits, moves, sizes)
    masks = layer("mask_head")(layer("mask_align")(boxes, finest), classes + 1)
    masks = layer("masks")(masks)
    return {"boxes": boxes, "scores": scores, "classes": classes, "masks": masks}


def _flat(x, numbers):
    """Reshapes `(batch, height, width, anchors * numbers)` to `(batch, all anchors, numbers)`."""
    return ops.reshape(x, (ops.shape(x)[0], -1, *numbers))


def _check_targets(y):
    if not isinstance(y, dict) or not set(TARGETS) <= set(y):
        got = sorted(y) if isinstance(y, dict) else type(y).__name__
        raise ValueError(
            f"An InstanceSegmentationModel is trained on pairs of images and a dict of {TARGETS}. "
            f"Received: {got}"
        )
    if y["boxes"].shape[1] == 0:
        raise ValueError(
            "A batch without objects must be padded to one object: a box of zeros with class -1. "
            f"Received boxes of shape {tuple(y['boxes'].shape)}"
        )
