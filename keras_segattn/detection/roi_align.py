"""ROIAlign: samples a small map for each box, from the pyramid level that fits its size."""

import math

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.detection.anchors import level_stride

# A box of 224x224 pixels, the size of ImageNet images, is read from P4.
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4


@keras.saving.register_keras_serializable(package="keras_segattn")
class ROIAlign(keras.layers.Layer):
    """Samples a map of fixed size from a feature pyramid for each box.

    ```
    level = clip(floor(4 + log2(sqrt(width * height) / 224)))   # P4 for 224x224 pixels
    y     = mean of samples x samples bilinear samples in each of the size x size bins of the box
    ```

    Args:
        size: Integer, height and width of the result.
        samples: Integer, the number of samples along each side of a bin. Defaults to `2`.
        aligned: Boolean, whether position `i` of a map is at `i + 0.5` strides, the center of its
            pixels. `False` shifts it half a stride to the upper left and treats a box narrower than
            a position as one position wide, as in maskrcnn-benchmark and torchvision's Mask R-CNN.
            Defaults to `True`.
        **kwargs: `name` and `dtype`, as in every Keras layer. Positions are float32 in any
            precision.

    Call arguments:
        boxes: Tensor of shape `(batch, count, 4)`, boxes `(x1, y1, x2, y2)` in image pixels.
        features: Dict from levels to maps `(batch, height, width, channels)`. Level `"Pn"` has
            stride `2**n`.

    Returns:
        Tensor of shape `(batch, count, size, size, channels)`. A sample more than one position
        outside its map is zero; closer to the map, it is the border value. Gradients flow only to
        the features.

    Raises:
        ValueError: If `size` or `samples` is below 1.

    Example:

    >>> boxes = np.array([[[0, 0, 20, 10], [4, 4, 30, 30]]], "float32")
    >>> features = {"P2": np.ones((1, 8, 8, 5), "float32"), "P3": np.ones((1, 4, 4, 5), "float32")}
    >>> tuple(ROIAlign(7)(boxes, features).shape)
    (1, 2, 7, 7, 5)

    Reference:
        "Mask R-CNN" (He et al., 2017), section 3, and "Feature Pyramid Networks for Object
        Detection" (Lin et al., 2017), equation 1.

    **Differences from the paper**: none known. The number of samples follows maskrcnn-benchmark.
    """

    def __init__(self, size, samples=2, aligned=True, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        check_at_least("size", size, 1)
        check_at_least("samples", samples, 1)
        self.size = size
        self.samples = samples
        self.aligned = aligned

    def build(self, boxes_shape, features_shape):
        pass

    def call(self, boxes, features):
        boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
        levels = sorted(features)
        maps = [ops.cast(features[level], self.compute_dtype) for level in levels]
        channels = maps[0].shape[-1]
        batch = ops.shape(maps[0])[0]
        # All positions of all levels, concatenated.
        flat = ops.concatenate([ops.reshape(x, (batch, -1, channels)) for x in maps], axis=1)
        sizes = [ops.shape(x)[1:3] for x in maps]
        starts, total = [], 0
        for height, width in sizes:
            starts.append(total)
            total = total + height * width
        level = self._levels(boxes, levels)  # (batch, count)

        def of_level(values, dtype="int32"):
            values = ops.stack([ops.convert_to_tensor(value, dtype) for value in values])
            return ops.take(values, level, axis=0)

        image = ops.expand_dims(ops.arange(0, batch, 1, dtype="int32") * total, 1)
        strides = of_level([level_stride(name) for name in levels], "float32")
        return sample_boxes(
            ops.reshape(flat, (-1, channels)),
            of_level(starts) + image,
            (of_level([height for height, _ in sizes]), of_level([width for _, width in sizes])),
            boxes / ops.expand_dims(strides, -1),
            self.size,
            self.samples,
            self.aligned,
        )

    def _levels(self, boxes, levels):
        """Equation 1: returns the level index of each box."""
        area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        # A box without area uses the finest level.
        scale = ops.sqrt(ops.maximum(area, 1e-6)) / CANONICAL_SIZE
        number = ops.floor(CANONICAL_LEVEL + ops.log(scale) / math.log(2) + 1e-6)
        index = ops.zeros_like(number, dtype="int32")
        for name in levels[1:]:
            index = index + ops.cast(number >= int(name[1:]), "int32")
        return index

    def compute_output_shape(self, boxes_shape, features_shape):
        channels = next(iter(features_shape.values()))[-1]
        return (*boxes_shape[:2], self.size, self.size, channels)

    def compute_output_spec(self, boxes, features):
        shapes = {level: feature.shape for level, feature in features.items()}
        shape = self.compute_output_shape(boxes.shape, shapes)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "samples": self.samples,
            "aligned": self.aligned,
        }


def sample_boxes(flat, starts, sizes, boxes, size, samples, aligned):
    """Samples maps inside boxes; the positions of the maps are the rows of one matrix.

    Args:
        flat: Tensor of shape `(positions, channels)`, maps row by row.
        starts: Integer tensor of shape `(batch, count)`, the first row of the map of each box.
        sizes: Pair of integer tensors `(batch, count)`, the height and width of these maps.
        boxes: float32 tensor `(batch, count, 4)`, in map positions.
        size: Integer, height and width of the result.
        samples: Integer, the number of samples along each side of a bin.
        aligned: Boolean. See `ROIAlign`.

    Returns:
        Tensor of shape `(batch, count, size, size, channels)`.
    """
    count, channels = boxes.shape[1], flat.shape[-1]
    shift, least = (0.5, 0.0) if aligned else (0.0, 1.0)
    x1, y1, x2, y2 = (boxes[..., i] - shift for i in range(4))
    bins = ops.cast(ops.arange(0, size, 1, dtype="int32"), "float32")

    def positions(start, end, sample):
        step = ops.expand_dims(ops.maximum(end - start, least) / size, -1)
        return ops.expand_dims(start, -1) + (bins + (sample + 0.5) / samples) * step

    result = 0.0
    # One sample of all bins at a time: all samples together would multiply the memory by their
    # number.
    for sample in range(samples**2):
        y = positions(y1, y2, sample // samples)  # (batch, count, size)
        x = positions(x1, x2, sample % samples)
        rows, columns = _neighbors(y, sizes[0]), _neighbors(x, sizes[1])
        for row, row_weight in rows:
            for column, column_weight in columns:
                index = ops.expand_dims(row * ops.expand_dims(sizes[1], -1), 3)
                index = index + ops.expand_dims(column, 2)
                index = index + ops.reshape(starts, (-1, count, 1, 1))
                weight = ops.expand_dims(row_weight, 3) * ops.expand_dims(column_weight, 2)
                taken = ops.take(flat, ops.reshape(index, (-1,)), axis=0)
                taken = ops.reshape(taken, (-1, count, size, size, channels))
                weight = ops.cast(weight / samples**2, flat.dtype)
                result = result + ops.expand_dims(weight, -1) * taken
    return result


def _neighbors(position, length):
    """Returns the two neighbors of each position, with their linear interpolation weights."""
    length = ops.expand_dims(length, -1)
    last = ops.cast(length - 1, "float32")
    inside = ops.logical_and(position >= -1.0, position <= last + 1.0)
    position = ops.clip(position, 0.0, last)
    low = ops.floor(position)
    weight = position - low
    inside = ops.cast(inside, "float32")
    low = ops.cast(low, "int32")
    return (low, (1 - weight) * inside), (ops.minimum(low + 1, length - 1), weight * inside)
