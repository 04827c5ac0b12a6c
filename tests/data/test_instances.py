"""Data sets of objects, and their batches."""

import numpy as np
import pytest

from keras_segattn.data import DrawnShapes, InstanceDataset
from tests.training import to_numpy


class TwoSizes(InstanceDataset):
    """Five wide images and four high ones, each with one object on the left."""

    class_names = ("left",)

    def __len__(self):
        return 9

    def name(self, index):
        return str(index)

    def read(self, index):
        size = (40, 70) if index % 2 == 0 else (70, 40)
        masks = np.zeros((1, *size), bool)
        masks[0, 8:16, 4:14] = True
        image = np.full((*size, 3), 10 * (index + 1), "uint8")
        boxes = np.array([[4, 8, 14, 16]], "float32")
        return image, {"boxes": boxes, "classes": np.array([0]), "masks": masks}


def test_shapes_are_the_same_for_the_same_seed_and_differ_between_splits():
    image, objects = DrawnShapes("train", 3).read(1)
    again, _ = DrawnShapes("train", 3).read(1)
    np.testing.assert_array_equal(image, again)
    assert np.abs(image.astype(int) - DrawnShapes("val", 3).read(1)[0]).max() > 0
    assert np.abs(image.astype(int) - DrawnShapes("train", 3, seed=1).read(1)[0]).max() > 0
    assert image.dtype == "uint8" and objects["boxes"].dtype == "float32"
    with pytest.raises(IndexError, match=r"There are 3 images. Received: index=3"):
        DrawnShapes("train", 3).read(3)
    with pytest.raises(ValueError, match=r"count=3, size=\(16, 64\)"):
        DrawnShapes("train", 3, (16, 64))


def test_masks_are_the_visible_parts_and_boxes_are_tight():
    seen = set()
    for index in range(40):
        image, objects = DrawnShapes("train", 40, (64, 96)).read(index)
        assert objects["masks"].sum(axis=0).max() <= 1
        for box, label, mask in zip(*objects.values(), strict=True):
            seen.add(int(label))
            x1, y1, x2, y2 = box.astype(int)
            assert mask.sum() == mask[y1:y2, x1:x2].sum() > 0
            inside = mask[y1:y2, x1:x2]
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(edge.any() for edge in edges)
            # One color, but for noise of 8.
            assert image[mask].astype(float).std(axis=0).max() < 12
    assert seen == {0, 1, 2}


def test_batches_are_padded_and_mirrored_with_their_objects():
    data = TwoSizes()
    batches = data.to_py_dataset(2, training=True, most_objects=3, mask_stride=2)
    assert batches.num_batches == 4
    mirrored = set()
    for _ in range(3):
        seen = []
        for i in range(4):
            images, targets = batches[i]
            assert images.shape[1:] in ((64, 96, 3), (96, 64, 3), (96, 96, 3))
            height, width = images.shape[1:3]
            assert targets["boxes"].shape == (2, 3, 4)
            assert targets["masks"].shape == (2, 3, height // 2, width // 2)
            np.testing.assert_array_equal(targets["classes"], [[0, -1, -1]] * 2)
            for image, box, mask in zip(
                images, targets["boxes"][:, 0], targets["masks"][:, 0], strict=True
            ):
                seen.append(image[0, 0, 0])
                x1, y1, x2, y2 = (box / 2).astype(int)
                assert mask.sum() == mask[y1:y2, x1:x2].sum() == 20
                size = 70 if (image[:, 0] > 0).all(axis=-1).sum() == 40 else 40
                left, right = box[0], size - box[2]
                assert {left, right} == {4, size - 14}
                mirrored.add(bool(left > right))
        assert len(set(seen)) == 8
        batches.on_epoch_end()
    assert mirrored == {True, False}


def test_wide_and_high_images_are_kept_apart():
    data = TwoSizes()
    shapes = [data.to_py_dataset(4, training=True)[i][0].shape for i in range(2)]
    assert sorted(shapes) == [(4, 64, 96, 3), (4, 96, 64, 3)]


def test_evaluation_takes_every_image_in_order():
    batches = TwoSizes().to_py_dataset(2)
    first = [int(image[0, 0, 0]) for i in range(batches.num_batches) for image in batches[i][0]]
    assert first == [10 * (i + 1) for i in range(9)]
    assert batches[0][1]["sizes"].tolist() == [list(TwoSizes().size(i)) for i in range(2)]
    np.testing.assert_array_equal(batches[0][1]["boxes"][0, 0], [4, 8, 14, 16])


def test_the_largest_objects_are_kept_and_pixels_are_preprocessed():
    data = DrawnShapes("train", 8)
    images, targets = data.to_py_dataset(8, preprocessing=lambda x: x / 255.0, most_objects=1)[0]
    assert images.max() <= 1
    for i in range(8):
        boxes = data.read(i)[1]["boxes"]
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        np.testing.assert_array_equal(targets["boxes"][i, 0], boxes[areas.argmax()])
    assert to_numpy(targets["masks"]).shape == (8, 1, 32, 32)


def test_endless_batches_are_those_of_all_epochs():
    data = DrawnShapes("train", 5, size=(32, 32))
    options = {"training": True, "most_objects": 2, "seed": 3}
    endless = data.to_py_dataset(2, endless=True, **options)
    assert endless.num_batches is None
    for epoch in range(3):
        batches = data.to_py_dataset(2, first_epoch=epoch, **options)
        for i in range(2):
            images, targets = endless[2 * epoch + i]
            np.testing.assert_array_equal(images, batches[i][0])
            np.testing.assert_array_equal(targets["boxes"], batches[i][1]["boxes"])
    later = data.to_py_dataset(2, endless=True, first_epoch=2, **options)
    np.testing.assert_array_equal(later[0][0], endless[4][0])
    assert not np.array_equal(endless[0][0], endless[2][0])


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"`mask_stride` must divide 32. Received: 3"):
        TwoSizes().to_py_dataset(2, mask_stride=3)
    with pytest.raises(ValueError, match="A batch of 10 needs at least 10 images"):
        TwoSizes().to_py_dataset(10, training=True)


class Faulty(TwoSizes):
    """The first image has an object that something is wrong with."""

    def __init__(self, **changes):
        self.changes = changes

    def read(self, index):
        image, objects = super().read(index)
        return image, {**objects, **self.changes} if index == 0 else objects


def test_impossible_objects_are_named_before_they_are_trained_on():
    _, objects = TwoSizes().read(0)
    count = len(objects["classes"])
    boxes = objects["boxes"].copy()
    for changes, message in (
        ({"boxes": boxes[:, [2, 3, 0, 1]]}, r"\(x1, y1, x2, y2\) with x1 <= x2"),
        ({"boxes": boxes * np.nan}, "boxes must be finite"),
        ({"boxes": boxes[:, :3]}, rf"`boxes` of {count} objects .*\({count}, 4\)"),
        ({"classes": np.full(count, 7)}, r"classes must be from 0 to \d+\. Received: 7"),
        ({"masks": objects["masks"][:, :-1]}, r"`masks` .*must have the shape"),
    ):
        data = Faulty(**changes)
        assert len(data.verify()) == 1 and "image 0" in data.verify()[0]
        with pytest.raises(ValueError, match=message):
            data.to_py_dataset(1)[0]
    assert Faulty().verify() == []
    # A box without area and one beyond the image are no faults: training copes with both.
    assert Faulty(boxes=np.tile(boxes[:, :2], 2)).verify() == []
    assert Faulty(boxes=boxes + 1000).verify() == []
