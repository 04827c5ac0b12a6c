"""Images and masks that are found by patterns of their names."""

import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import SegmentationFolder
from keras_segattn.data.patterns import NamePattern

pytestmark = pytest.mark.once

CLASSES = ["background", "leaf"]


def write(root, **files):
    """Writes images of one pixel from paths, with two underscores for a slash, and values."""
    for name, value in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.full((2, 2, 3) if value is None else (2, 2), value or 0, "uint8")
        Image.fromarray(array).save(path)
    return root


def found(data):
    return {data.name(index): int(data.read(index)[1][0, 0]) for index in range(len(data))}


@pytest.mark.parametrize(
    ("files", "arguments", "expected"),
    [
        (
            {"a_dot_jpg": None, "a_mask_dot_png": 1, "x__a_dot_jpg": None, "x__a_mask_dot_png": 0},
            {"mask_pattern": "{name}_mask.png"},
            {"a": 1, "x/a": 0},
        ),
        (
            {
                "p1__images__a_dot_jpg": None,
                "p1__masks__a_dot_png": 1,
                "p2__images__a_dot_jpg": None,
                "p2__masks__a_dot_png": 0,
            },
            {
                "image_pattern": "{folder}/images/{name}.*",
                "mask_pattern": "{folder}/masks/{name}.*",
            },
            {"p1/images/a": 1, "p2/images/a": 0},
        ),
        (
            {"images__a_dot_jpg": None, "masks__a_dot_png": 1},
            {
                "image_pattern": "{folder}/images/{name}.*",
                "mask_pattern": "{folder}/masks/{name}.*",
            },
            {"a": 1},
        ),
        (
            {"IMG_01_dot_JPG": None, "img_01_Seg_dot_PNG": 1},
            {"mask_pattern": "{name}_seg.png"},
            {"IMG_01": 1},
        ),
        (
            {"a_rgb_dot_png": None, "a_v1_label_dot_tif": 1},
            {"image_pattern": "{name}_rgb.*", "mask_pattern": "{name}_*_label.*"},
            {"a_rgb": 1},
        ),
    ],
)
def test_pairs_of_one_folder(tmp_path, files, arguments, expected):
    data = SegmentationFolder(write(tmp_path, **files), class_names=CLASSES, **arguments)
    assert found(data) == expected
    assert data.verify() == [] if len(expected) > 1 else True


def test_masks_below_the_images_are_no_images(tmp_path):
    write(tmp_path, a_dot_jpg=None, masks__a_dot_png=1)
    assert found(SegmentationFolder(tmp_path, tmp_path / "masks", class_names=CLASSES)) == {"a": 1}


def test_letter_case_matters_only_where_it_must(tmp_path):
    write(tmp_path, images__A_dot_jpg=None, images__a_dot_jpg=None, images__B_dot_jpg=None)
    write(tmp_path, masks__A_dot_png=1, masks__a_dot_png=0, masks__b_dot_png=1)
    data = SegmentationFolder(tmp_path / "images", tmp_path / "masks", class_names=CLASSES)
    assert found(data) == {"A": 1, "B": 1, "a": 0}
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"1 images .* have no mask, .*images/a\.jpg"):
        SegmentationFolder(tmp_path / "images", tmp_path / "masks", class_names=CLASSES)


@pytest.mark.parametrize(
    ("image", "mask", "advice"),
    [
        ("a", "a_mask", r"try mask_pattern='\{name\}_mask\.\*'"),
        ("a", "seg_a", r"try mask_pattern='seg_\{name\}\.\*'"),
        ("a_rgb", "a", r"try image_pattern='\{name\}_rgb\.\*'"),
        ("a", "b", r"images/a\.jpg$"),
    ],
)
def test_a_pattern_is_proposed(tmp_path, image, mask, advice):
    write(tmp_path, **{f"images__{image}_dot_jpg": None, f"masks__{mask}_dot_png": 1})
    with pytest.raises(ValueError, match=advice):
        SegmentationFolder(tmp_path / "images", tmp_path / "masks", class_names=CLASSES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_pattern": "mask.png"}, r"`mask_pattern` must contain \{name\} once"),
        ({"mask_pattern": "{name}_{name}.png"}, "Received: '{name}_{name}.png'"),
        ({"mask_pattern": "{name}_{label}.png"}, "Received: '{name}_{label}.png'"),
        ({"mask_pattern": "{folder}{name}.png"}, "Received"),
        ({"image_pattern": "{name}_{class}.png", "mask_pattern": "{name}.*"}, "`image_pattern`"),
        (
            {"mask_pattern": "{name}_label.png"},
            r"contains no image files named \{name\}_label\.png",
        ),
        ({"mask_pattern": "{name}_{class}.png"}, "pass task='multilabel'"),
        ({"mask_pattern": "{name}.*", "list_file": "list.txt"}, "omit the patterns"),
    ],
)
def test_patterns_that_do_not_fit(tmp_path, arguments, message):
    write(tmp_path, a_dot_jpg=None, a_leaf_dot_png=1)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SegmentationFolder(tmp_path, class_names=CLASSES, **arguments)


def test_one_folder_needs_a_pattern(tmp_path):
    write(tmp_path, a_dot_png=None)
    with pytest.raises(ValueError, match=r"in one folder, .* mask_pattern='\{name\}_mask\.png'"):
        SegmentationFolder(tmp_path, tmp_path, class_names=CLASSES)


def test_text_of_a_pattern_is_taken_as_it_is():
    assert NamePattern("{name}.(x).png", "mask_pattern").match("a+b.(x).png") == ("a+b", None)
    assert NamePattern("{name}.png", "mask_pattern").match("axpng") is None
