"""Objects in COCO format, and images resized with them."""

import json

import numpy as np
import pytest

from keras_segattn.data import COCOInstances

MASK = np.zeros((12, 16), bool)
MASK[2:6, 3:9] = True
# Down the columns: 3 columns of 12 and 2 rows are background.
COUNTS = [38, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 90]


def annotation(number, segmentation, **changes):
    return {
        "id": number,
        "image_id": 7,
        "category_id": 90,
        "bbox": [3, 2, 6, 4],
        "iscrowd": 0,
        "segmentation": segmentation,
        **changes,
    }


@pytest.fixture
def write(tmp_path):
    """Returns a function that makes a data set of two images and some annotations."""
    from PIL import Image

    for name in ("a", "b"):
        Image.fromarray(np.full((12, 16, 3), ord(name), "uint8")).save(tmp_path / f"{name}.png")

    def make(*annotations, **changes):
        content = {
            "images": [
                {"id": 9, "file_name": "b.png", "height": 12, "width": 16},
                {"id": 7, "file_name": "a.png", "height": 12, "width": 16},
            ],
            "categories": [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}],
            "annotations": list(annotations),
            **changes,
        }
        (tmp_path / "coco.json").write_text(json.dumps(content))
        return COCOInstances(tmp_path / "coco.json", tmp_path)

    return make


RUNS = {"size": [12, 16], "counts": COUNTS}
COMPRESSED = {"size": [12, 16], "counts": "V148000000000b2"}


def test_run_lengths_in_both_forms_and_crowds(write):
    data = write(
        annotation(1, RUNS),
        annotation(2, COMPRESSED, category_id=3, image_id=9),
        annotation(3, RUNS, iscrowd=1),
        annotation(4, RUNS, bbox=[3, 2, 0.5, 4]),
    )
    assert data.class_names == ("car", "brush") and data.category_ids == (3, 90)
    assert data.image_ids == (7, 9) and (data.name(0), data.name(1)) == ("a", "b")
    assert data.verify() == []
    for index, label in ((0, 1), (1, 0)):
        image, objects = data.read(index)
        assert (image == ord("ab"[index])).all()
        np.testing.assert_array_equal(objects["boxes"], [[3, 2, 9, 6]])
        np.testing.assert_array_equal(objects["classes"], [label])
        np.testing.assert_array_equal(objects["masks"], [MASK])


def test_polygons(write):
    pytest.importorskip("pycocotools")
    data = write(annotation(1, [[3, 2, 9, 2, 9, 6, 3, 6]]))
    np.testing.assert_array_equal(data.read(0)[1]["masks"], [MASK])
    _, objects = data.read(1)
    assert objects["boxes"].shape == (0, 4) and objects["masks"].shape == (0, 12, 16)


def test_faults_name_the_annotation(write):
    data = write(
        annotation(1, RUNS),
        annotation(2, {"size": [12, 16], "counts": [5, 3]}),
        annotation(3, RUNS, bbox=[3, 2, -6, 4]),
        annotation(4, RUNS, bbox=None),
    )
    faults = data.verify()
    assert [fault.split("annotation ")[1].split()[0] for fault in faults] == ["2", "3", "4"]
    assert "of a.png has no valid segmentation: its counts do not make up 12x16" in faults[0]
    assert "`bbox` must be x, y, width, height. Received: [3, 2, -6, 4]" in faults[1]
    with pytest.raises(ValueError, match=r"annotation 2 of a\.png"):
        data.read(0)
    with pytest.raises(ValueError, match=r"annotation 5: there is no category_id 1\."):
        write(annotation(5, RUNS, category_id=1))
    with pytest.raises(ValueError, match=r"coco\.json is not a COCO JSON file"):
        write(annotations=[{"id": 1}])
    images = [{"id": 7, "file_name": "a.png", "height": 10, "width": 16}]
    assert "a.png has the size (12, 16), but (10, 16)" in write(images=images).verify()[0]
    images[0]["file_name"] = "missing.png"
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        write(images=images)


def test_images_and_objects_are_resized_together(write):
    batches = write(annotation(1, RUNS)).to_py_dataset(
        2, short_side=48, long_side=1000, most_objects=2, mask_stride=1
    )
    images, targets = batches[0]
    assert images.shape == (2, 64, 64, 3)
    assert (images[0, :48] == ord("a")).all() and (images[0, 48:] == 0).all()
    np.testing.assert_array_equal(targets["boxes"][0], [[12, 8, 36, 24], [0] * 4])
    want = np.zeros((64, 64))
    want[8:24, 12:36] = 1
    np.testing.assert_array_equal(targets["masks"][0, 0], want)
    # The second image has no object.
    np.testing.assert_array_equal(targets["classes"], [[1, -1], [-1, -1]])
