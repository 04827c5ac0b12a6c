"""Objects in images of any size, and their masks."""

import numpy as np
import pytest

from keras_segattn.applications import CANet, MaskRCNN
from keras_segattn.data import DrawnShapes
from keras_segattn.inference import Instances, segment, segment_instances
from keras_segattn.training import evaluate, evaluate_instances
from tests.applications.cases import tiny_backbone

SQUARE = np.ones((1, 28, 28), "float32")


class Echo:
    """A model that finds one object in the middle half of whatever it gets."""

    input_shape = (None, None, None, 3)
    class_names = ("thing",)

    def preprocessing(self, pixels):
        return pixels

    def padded_model(self):
        return self

    def predict_on_batch(self, inputs):
        self.seen, ((height, width),) = inputs
        box = np.array([[[width / 4, height / 4, 3 * width / 4, 3 * height / 4], [0] * 4]])
        scores, classes = np.array([[0.8, 0.0]]), np.array([[0, -1]])
        masks = np.ones((1, 2, 28, 28))
        return {"boxes": box, "scores": scores, "classes": classes, "masks": masks}


def test_a_mask_is_pasted_where_the_centers_of_pixels_are_in_the_box():
    image = np.zeros((20, 30, 3), "uint8")
    half = SQUARE.copy()
    half[:, :, :14] = 0
    found = Instances(
        image, [[4, 2, 14, 12], [4.6, 2.4, 9.4, 8.5]], [0.9, 0.8], [0, 1], [half[0], SQUARE[0]]
    )
    want = np.zeros((2, 20, 30), bool)
    want[0, 2:12, 9:14] = True
    # Centers from 5.5 to 8.5 and from 2.5 to 7.5; 8.5 is the border itself.
    want[1, 2:8, 5:9] = True
    np.testing.assert_array_equal(found.masks, want)


def test_boxes_that_leave_the_image_or_have_no_area_paste_what_is_inside():
    image = np.zeros((20, 30, 3), "uint8")
    boxes = [[-10, -10, 10, 10], [25, 15, 60, 40], [5, 5, 5, 9]]
    found = Instances(image, boxes, [1, 1, 1], [0, 0, 0], np.repeat(SQUARE, 3, 0))
    assert found.masks.sum(axis=(1, 2)).tolist() == [100, 25, 0]


def test_the_image_is_resized_for_the_network_and_boxes_back():
    model, image = Echo(), np.zeros((60, 100, 3), "uint8")
    found = segment_instances(model, image, short_side=120, long_side=160)
    # 160 is the nearer bound: 96 x 160, which 32 divides.
    assert model.seen.shape == (1, 96, 160, 3)
    np.testing.assert_allclose(found.boxes, [[25, 15, 75, 45]])
    assert found.masks.shape == (1, 60, 100) and found.masks.sum() == 50 * 30
    segment_instances(model, np.full((33, 50, 3), 9, "uint8"))
    assert model.seen.shape == (1, 64, 64, 3)
    assert (model.seen[0, :33, :50] == 9).all() and model.seen.sum() == 33 * 50 * 27
    assert len(segment_instances(model, image, score_threshold=0.9)) == 0
    with pytest.raises(ValueError, match=r"`short_side` must be at least 1. Received: 0"):
        segment_instances(model, image, short_side=0)


def test_a_network_gives_objects_that_can_be_drawn():
    model = MaskRCNN(backbone=tiny_backbone(), classes=3, filters=8, units=8, proposals=20)
    model.class_names = DrawnShapes.class_names
    image = DrawnShapes("val", 1, (50, 70)).read(0)[0]
    found = segment_instances(model, image, score_threshold=0)
    assert len(found) == len(found.scores) == len(found.classes) > 0
    assert found.masks.shape == (len(found), 50, 70) and found.class_names == model.class_names
    picture = found.overlay()
    assert picture.shape == image.shape and picture.dtype == "uint8"
    covered = found.masks.any(axis=0)
    np.testing.assert_array_equal(picture[~covered], image[~covered])
    assert repr(found) == f"Instances({len(found)} objects, 50x70)"


def test_a_model_of_fixed_size_gets_images_of_its_size():
    fixed, free = (
        MaskRCNN(
            backbone=tiny_backbone(),
            input_shape=(*size, 3),
            classes=3,
            filters=8,
            units=8,
            proposals=20,
            detections=9,
        )
        for size in ((40, 70), (None, None))
    )
    fixed.set_weights(free.get_weights())
    image = DrawnShapes("val", 1, (80, 140)).read(0)[0]
    want = segment_instances(free, image, short_side=40, long_side=70, score_threshold=0)
    got = segment_instances(fixed, image, score_threshold=0)
    assert len(got) == len(want) > 0
    np.testing.assert_allclose(got.boxes, want.boxes, atol=1e-2)
    np.testing.assert_array_equal(got.classes, want.classes)
    # In other proportions, too.
    assert segment_instances(fixed, image[:30], score_threshold=0).masks.shape[1:] == (30, 140)


@pytest.mark.once
def test_networks_of_the_other_kind_are_refused():
    finds = MaskRCNN(backbone=tiny_backbone(), classes=3, filters=8, units=8, proposals=20)
    maps = CANet(backbone=tiny_backbone(), classes=3, filters=16, up_channels=8)
    image, shapes = np.zeros((32, 32, 3), "uint8"), DrawnShapes("val", 1, (32, 32))
    for function, model, data, message in (
        (segment, finds, image, r"'mask_rcnn' returns \['boxes', .* use `segment_instances`"),
        (evaluate, finds, shapes, "'mask_rcnn' returns .* use `evaluate_instances`"),
        (segment_instances, maps, image, "'canet' does not find objects"),
        (evaluate_instances, maps, shapes, "'canet' does not find objects"),
    ):
        with pytest.raises(ValueError, match=message):
            function(model, data)


def test_the_better_object_is_in_front():
    image = np.zeros((8, 8, 3), "uint8")
    one = Instances(image, [[0, 0, 8, 8]], [0.9], [0], SQUARE)
    both = Instances(image, [[0, 0, 8, 8]] * 2, [0.9, 0.5], [0, 1], np.repeat(SQUARE, 2, 0))
    np.testing.assert_array_equal(both.overlay(alpha=1), one.overlay(alpha=1))


def test_results_are_cocos():
    coco_mask = pytest.importorskip("pycocotools.mask")
    found = Instances(np.zeros((20, 30, 3), "uint8"), [[4, 2, 14, 12]], [0.75], [1], SQUARE)
    (result,) = found.to_coco(7, category_ids=[1, 90])
    assert result["image_id"] == 7 and result["category_id"] == 90
    assert result["bbox"] == [4, 2, 10, 10] and result["score"] == 0.75
    np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), found.masks[0])
