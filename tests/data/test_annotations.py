"""Masks from annotations, in files that the annotation tools' own libraries wrote.

The folder `annotations` holds files that were written by `LabelFile.save` of labelme 6.3.1 and by
`DetectionDataset.as_coco` and `as_yolo` of supervision 0.31.2, and by datumaro 1.13.12 for CVAT.
"""

import base64
import csv
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import COCOJSON, RLECSV, CVATImages, LabelMe, PascalVOC, YOLOPolygons
from keras_segattn.data.coco_json import decode_counts
from keras_segattn.images import default_palette

pytestmark = pytest.mark.once

WRITTEN = Path(__file__).parent / "annotations"
SIZE = (20, 30)
# What LabelMe's own `shape_to_mask` makes of its file: bud 1, leaf 2, stem 3.
LABELME = """
000000000000000000000000000000
002000000000000000000000000000
000222222222000000000000000000
000222222222222222222000000000
000022222222222222333333330000
000002222222222222333333330000
000000222222222222333333330000
000000222222222222333333330000
000002222222222222333333330000
000022222222222220333333330000
000222222222222200000000000000
000222222222222200000000000000
000222222222222000000000000000
000222222222220000000000000000
000222222222220000000000111100
000022222222200000000000111100
000002222222000000000000111100
000000222220000000000000000000
000000000000000000000000000000
000000000000000000000000000000
"""
LABELME = np.array([list(line) for line in LABELME.split()], dtype="uint8")
# The objects that supervision wrote.
MASKS = np.zeros((2, *SIZE), bool)
MASKS[0, 2:12, 3:20] = MASKS[1, 8:18, 15:28] = True


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", SIZE[::-1], "gray").save(tmp_path / "a.png")
    return tmp_path


def edited(path, edit):
    """Changes a JSON file by a function of its content."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def only_fault(data):
    (fault,) = data.verify()
    return fault


# LabelMe


@pytest.fixture
def labelme(folder):
    return Path(shutil.copy(WRITTEN / "labelme_6.3.1.json", folder / "a.json"))


def test_labelme(labelme):
    data = LabelMe(labelme.parent)
    assert data.class_names == ("background", "bud", "leaf", "stem")
    assert data.palette == tuple(default_palette(4))
    assert (len(data), data.name(0), data.files(0)[1]) == (1, "a", labelme)
    np.testing.assert_array_equal(data.read(0)[1], LABELME)
    assert data.verify() == []
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).read(0)[1], LABELME)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"class_names": ["stem", "leaf", "bud"]}, np.array([0, 3, 2, 1])[LABELME]),
        ({"background": None}, np.array([255, 0, 1, 2])[LABELME]),
        ({"label_map": {"bud": "leaf", "stem": 255}}, np.array([0, 1, 1, 255])[LABELME]),
        ({"task": "binary", "class_names": ["plant"]}, LABELME > 0),
        (
            {"task": "binary", "class_names": ["leaf"], "label_map": {"bud": None, "stem": "leaf"}},
            LABELME > 1,
        ),
    ],
)
def test_classes_of_annotations(labelme, arguments, expected):
    data = LabelMe(labelme.parent, **arguments)
    np.testing.assert_array_equal(data.read(0)[1], expected)
    assert len(data.palette) == len(data.class_names)


def test_labels_that_overlap_both_stay(labelme):
    data = LabelMe(labelme.parent, task="multilabel")
    assert data.class_names == ("bud", "leaf", "stem")
    mask = data.read(0)[1]
    assert mask.shape == (*SIZE, 3)
    # The rectangle covers a part of the polygon.
    assert (mask[..., 1] & mask[..., 2]).any()
    np.testing.assert_array_equal(mask[..., 2] == 1, LABELME == 3)
    assert data.verify() == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"shape_type": "linestrip"}, r"a\.json, shape 0 \(leaf\) is a linestrip, which covers no"),
        ({"points": [[1, 1], [2, 2]]}, r"shape 0 \(leaf\): it needs at least 3 points"),
        ({"points": [[1, 1], [40, 2], [3, 9]]}, r"the point x=40, y=2 is outside .* 20x30"),
        ({"points": [[1, 1], [float("nan"), 2], [3, 9]]}, "must be finite numbers"),
        ({"label": "twig"}, r"shape 0 \(twig\) has the label 'twig', which is none of"),
        ({"shape_type": "mask", "mask": "AAAA", "points": [[1, 1], [2, 2]]}, r"shape 0 \(leaf\): "),
        ({"shape_type": "circle", "points": [[5, 5], [5, 5]]}, "the radii must be positive"),
    ],
)
def test_a_faulty_shape_is_named(labelme, shape, message):
    edited(labelme, lambda content: content["shapes"][0].update(shape))
    data = LabelMe(labelme.parent, class_names=["bud", "leaf", "stem"])
    with pytest.raises(ValueError, match=message):
        data.read(0)
    assert len(data.verify()) == 1


def test_labels_can_be_left_out(labelme):
    edited(labelme, lambda content: content["shapes"][1].update(shape_type="line"))
    data = LabelMe(labelme.parent, label_map={"stem": None})
    assert data.class_names == ("background", "bud", "leaf")
    assert data.verify() == []


def test_files_that_are_not_labelme_s(labelme):
    (labelme.parent / "b.json").write_text("{}")
    with pytest.raises(ValueError, match=r"b\.json is not a LabelMe file: KeyError 'imagePath'"):
        LabelMe(labelme.parent)
    (labelme.parent / "b.json").unlink()
    edited(labelme, lambda content: content.update(imageHeight=21))
    assert "has 20x30 pixels (height x width), but its annotations are for 21x30" in only_fault(
        LabelMe(labelme.parent)
    )
    (labelme.parent / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 1 annotated images are missing.*a\.png"):
        LabelMe(labelme.parent)
    with pytest.raises(FileNotFoundError, match="contains no JSON files of LabelMe"):
        LabelMe(WRITTEN.parent / "nowhere")


# COCO


@pytest.fixture
def coco(folder):
    pytest.importorskip("pycocotools")
    return Path(shutil.copy(WRITTEN / "supervision_coco.json", folder / "coco.json"))


def coco_masks(path):
    """The masks as COCO's own library reads them, by annotation."""
    from pycocotools.coco import COCO

    own = COCO(str(path))
    return {a["category_id"]: own.annToMask(a).astype(bool) for a in own.anns.values()}


def test_coco_polygons(coco):
    data = COCOJSON(coco, coco.parent)
    assert data.class_names == ("background", "leaf", "stem")
    masks = coco_masks(coco)
    # The smaller one, the stem, is on top.
    expected = np.where(masks[2], 2, masks[1])
    assert masks[1].sum() == 144
    np.testing.assert_array_equal(data.read(0)[1], expected)
    assert data.verify() == []
    edited(coco, lambda content: content["annotations"][1].update(area=999))
    expected = np.where(masks[1], 1, 2 * masks[2])
    np.testing.assert_array_equal(COCOJSON(coco, coco.parent).read(0)[1], expected)


@pytest.mark.parametrize("compressed", [True, False])
def test_coco_run_lengths(coco, rng, compressed):
    from pycocotools import mask as library

    masks = rng.random((2, *SIZE)) > 0.5
    masks[0, 0, 0], masks[1, 0, 0] = True, False
    encoded = [library.encode(np.asfortranarray(mask, dtype="uint8")) for mask in masks]
    for entry in encoded:
        entry["counts"] = entry["counts"].decode()
        if not compressed:
            entry["counts"] = decode_counts(entry["counts"]).tolist()

    def edit(content):
        for annotation, entry in zip(content["annotations"], encoded, strict=True):
            annotation["segmentation"] = entry

    edited(coco, edit)
    data = COCOJSON(coco, coco.parent, task="multilabel")
    np.testing.assert_array_equal(data.read(0)[1] == 1, np.moveaxis(masks, 0, -1))


@pytest.mark.parametrize("pixels", [70_000, 600])
def test_compressed_counts_are_those_of_the_library(pixels, rng):
    library = pytest.importorskip("pycocotools.mask")
    mask = np.repeat(rng.random(max(2, pixels // 300)) > 0.5, 300)[:pixels].reshape(-1, 20)
    mask = np.asfortranarray(mask, dtype="uint8")
    encoded = library.encode(mask)
    counts = decode_counts(encoded["counts"].decode())
    plain = {"size": list(mask.shape), "counts": counts.tolist()}
    assert library.frPyObjects(plain, 0, 0) == encoded


@pytest.mark.filterwarnings("ignore:No mask of")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "annotation 1 of a.png: it needs at least 3 points"),
        ({"segmentation": [[1, 1, 5, 5, 9]]}, "a polygon has pairs of x and y. Received 5"),
        ({"segmentation": [[1, 1, 5, 5, 99, 9]]}, "the point x=99, y=9 is outside"),
        ({"segmentation": []}, "annotation 1 of a.png: it has no polygon"),
        ({"segmentation": None}, "annotation 1 of a.png has no valid segmentation"),
        ({"segmentation": {"size": [30, 20], "counts": "0"}}, "the size [30, 20] is not [20, 30]"),
        ({"segmentation": {"size": [20, 30], "counts": [5, 5]}}, "do not make up 20x30 pixels"),
        ({"segmentation": {"size": [20, 30], "counts": "o"}}, "ends within a number"),
        ({"segmentation": {"size": [20, 30], "counts": "\x7f"}}, "is not of a compressed encoding"),
        ({"category_id": 7}, "annotation 1: there is no category_id 7."),
        ({"image_id": 7}, "annotation 1: there is no image_id 7."),
    ],
)
def test_a_faulty_coco_annotation_is_named(coco, change, message):
    edited(coco, lambda content: content["annotations"][0].update(change))
    data = COCOJSON(coco, coco.parent)
    data.class_names  # noqa: B018
    assert message in data.verify()[0]


def test_what_is_no_coco_file(coco):
    edited(coco, lambda content: content.pop("categories"))
    with pytest.raises(
        ValueError, match=r"coco\.json is not a COCO JSON file .* KeyError 'categor"
    ):
        COCOJSON(coco, coco.parent)


# YOLO


@pytest.fixture
def yolo(folder):
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for name in ("a", "b"):
        shutil.copy(folder / "a.png", folder / "images" / f"{name}.png")
    return Path(shutil.copy(WRITTEN / "supervision_yolo.txt", folder / "labels" / "a.txt"))


def open_yolo(path, **arguments):
    images = path.parent.parent / "images"
    return YOLOPolygons(images, path.parent, class_names=["leaf", "stem"], **arguments)


def test_yolo(yolo):
    data = open_yolo(yolo)
    assert data.class_names == ("background", "leaf", "stem")
    np.testing.assert_array_equal(data.read(0)[1], np.where(MASKS[1], 2, MASKS[0]))
    # An image without a file has no object.
    assert not data.read(1)[1].any()
    assert data.verify() == []
    assert open_yolo(yolo, task="multilabel").class_names == ("leaf", "stem")
    np.testing.assert_array_equal(open_yolo(yolo, task="binary").read(0)[1], MASKS.any(axis=0))
    merged = open_yolo(yolo, label_map={"stem": "leaf"})
    assert merged.class_names == ("background", "leaf")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "line 3 is a detection box"),
        ("2 0.1 0.1 0.2 0.2 0.3 0.1", "line 3: a line is CLASS X1 Y1 X2 Y2 ..., with a class from"),
        ("0 0.1 0.1 0.2 0.2 1.5 0.1", "line 3: coordinates are pairs of x and y from 0 to 1"),
        ("0 0.1 0.1 0.2 0.2 nan 0.1", "line 3: coordinates are pairs"),
        ("0 0.1 0.1", "line 3: it needs at least 3 points"),
        ("leaf 0.1 0.1", "line 3: a line is CLASS"),
    ],
)
def test_a_faulty_line_of_yolo_is_named(yolo, line, message):
    yolo.write_text(yolo.read_text().rstrip() + f"\n{line}\n")
    assert f"a.txt, {message}" in only_fault(open_yolo(yolo))


def test_yolo_files_without_images(yolo):
    yolo.with_name("c.txt").write_text("")
    with pytest.raises(ValueError, match=r"1 text files have no image in .*c\.txt"):
        open_yolo(yolo)


# CVAT

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <meta><task><labels><label><name>leaf</name></label><label><name>stem</name></label></labels>
  </task></meta>
  <image id="0" name="a.png" width="30" height="20">
    <polygon label="leaf" source="manual" occluded="0" points="3.00,2.00;19.00,2.00;19.00,11.00;3.00,11.00" z_order="1"></polygon>
    <box label="stem" source="manual" occluded="0" xtl="15.00" ytl="8.00" xbr="27.00" ybr="17.00" z_order="0"></box>
    <ellipse label="stem" source="manual" occluded="0" cx="5.0" cy="16.0" rx="3.0" ry="2.0" z_order="0"></ellipse>
    <mask label="leaf" source="manual" occluded="0" rle="1, 2, 3" left="24" top="0" width="3" height="2" z_order="2"></mask>
    <tag label="leaf" source="manual"></tag>
  </image>
</annotations>
"""  # noqa: E501


@pytest.fixture
def cvat(folder):
    path = folder / "annotations.xml"
    path.write_text(CVAT.replace('    <tag label="leaf" source="manual"></tag>\n', ""))
    return path


def test_cvat(cvat):
    data = CVATImages(cvat, cvat.parent)
    assert data.class_names == ("background", "leaf", "stem")
    mask = data.read(0)[1]
    # The leaf has the higher z_order.
    assert (mask[MASKS[0]] == 1).all()
    assert (mask[MASKS[1] & ~MASKS[0]] == 2).all()
    assert mask[0, 24:27].tolist() == [0, 1, 1]
    assert not mask[1, 24:27].any()
    ellipse = mask[13:, :12] == 2
    assert ellipse.any(axis=1).sum() == 5
    assert ellipse.any(axis=0).sum() == 7
    assert data.verify() == []


def test_cvat_as_datumaro_writes_it(folder):
    Image.open(folder / "a.png").save(folder / "a.jpg")
    data = CVATImages(WRITTEN / "datumaro_cvat.xml", folder)
    mask = data.read(0)[1]
    # The mask is on top of the box, the box on the triangle, and the triangle on the rectangle.
    expected = np.zeros((6, 10), "uint8")
    expected[:, 1:9] = 1
    np.testing.assert_array_equal(mask[12:18, 19:29], expected)
    assert (mask[4:11, 15:24] == 2).all()
    assert mask[14, 5:11].tolist() == [2, 2, 2, 2, 2, 2]
    assert mask[10, 5:11].tolist() == [2, 2, 2, 1, 1, 1]
    assert data.verify() == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('rle="1, 2, 3"', 'rle="1, 2, 4"', "(mask leaf): its runs do not make up 2x3 pixels"),
        ('left="24"', 'left="29"', "column 29 is not inside the image of 20x30"),
        ("<polygon ", "<polyline ", "a.png, shape 2 (polyline leaf) is a polyline, which covers"),
        (";19.00,2.00", "", "(polygon leaf)"),
        (";19.00,2.00", ";nineteen", "(polygon leaf): "),
        ('xtl="15.00"', 'xtl="15.00" rotation="30"', "(box stem): it is rotated"),
        ('label="stem" source', 'label="twig" source', "has the label 'twig'"),
        ('ry="2.0"', "", "(ellipse stem): 'ry'"),
    ],
)
def test_a_faulty_shape_of_cvat_is_named(cvat, old, new, message):
    text = cvat.read_text().replace(old, new).replace("</polygon>", "</polygon>")
    if new == "<polyline ":
        text = text.replace("</polygon>", "</polyline>")
    if not new:
        text = text.replace(";19.00,11.00", "")
    cvat.write_text(text)
    assert message in only_fault(CVATImages(cvat, cvat.parent))


def test_what_is_no_cvat_file(cvat):
    cvat.write_text("<annotations><image></annotations>")
    with pytest.raises(ValueError, match=r"annotations\.xml is not a file of CVAT for images"):
        CVATImages(cvat, cvat.parent)


# Kaggle's run lengths


def kaggle_runs(mask):
    """As in Kaggle's competitions: pixels from 1 down the columns."""
    pixels = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    changes = np.flatnonzero(np.diff(pixels)) + 1
    return " ".join(f"{a} {b - a}" for a, b in changes.reshape(-1, 2))


def write_csv(folder, rows, **names):
    path = folder / "train.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names.get("header", ["ImageId", "EncodedPixels"]))
        writer.writerows(rows)
    return path


def test_run_lengths_of_one_class(folder):
    shutil.copy(folder / "a.png", folder / "b.png")
    rows = [["a.png", kaggle_runs(mask)] for mask in MASKS] + [["b.png", ""], ["b", "-1"]]
    data = RLECSV(write_csv(folder, rows), folder)
    assert (data.task, data.class_names) == ("binary", ("background", "object"))
    np.testing.assert_array_equal(data.read(0)[1], MASKS.any(axis=0))
    assert not data.read(1)[1].any()
    assert data.verify() == []


def test_run_lengths_of_several_classes(folder):
    rows = [["a", "1", kaggle_runs(MASKS[0])], ["a", "2", kaggle_runs(MASKS[1])]]
    path = write_csv(folder, rows, header=["image", "ClassId", "rle"])
    columns = {"image_column": "image", "runs_column": "rle", "class_column": "ClassId"}
    data = RLECSV(path, folder, **columns, task="multilabel")
    np.testing.assert_array_equal(data.read(0)[1], np.moveaxis(MASKS, 0, -1))
    named = RLECSV(path, folder, **columns, label_map={"1": "leaf", "2": "stem"})
    assert named.class_names == ("background", "leaf", "stem")
    with pytest.raises(ValueError, match=r"the column of .*train\.csv` must be one of .*'rle'"):
        RLECSV(path, folder)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("1 2 3", "line 2: runs are pairs of a start and a length"),
        ("0 2", "line 2: runs start at pixel 1"),
        ("600 2", "line 2: a run ends at pixel 601, and the image has 600"),
        ("one 2", "line 2: invalid literal"),
    ],
)
def test_faulty_run_lengths_are_named(folder, runs, message):
    data = RLECSV(write_csv(folder, [["a.png", runs]]), folder)
    assert message in only_fault(data)
    with pytest.raises(FileNotFoundError, match=r"line 2: .* has no image 'c'"):
        RLECSV(write_csv(folder, [["c", "1 2"]]), folder)


# PASCAL VOC


def voc(folder, colors, split="train"):
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    shutil.copy(folder / "a.png", folder / "JPEGImages" / "a.png")
    (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("a\n")
    mask = np.zeros((*SIZE, 3), "uint8")
    for row, color in enumerate(colors):
        mask[row] = color
    Image.fromarray(mask).quantize(256).save(folder / "SegmentationClass" / "a.png")
    return folder


def test_voc(folder):
    data = PascalVOC(voc(folder, [(128, 0, 0), (0, 64, 128), (224, 224, 192)]), "train")
    assert len(data.class_names) == len(data.palette) == 21
    assert data.read(0)[1][:4, 0].tolist() == [1, 20, 255, 0]
    with pytest.raises(FileNotFoundError, match=r"no file .*val\.txt.*VOCdevkit"):
        PascalVOC(folder, "val")
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("a\nb\n")
    with pytest.raises(FileNotFoundError, match=r"train\.txt, line 2: there is no image of 'b'"):
        PascalVOC(folder, "train")


def test_voc_as_tools_export_it(folder):
    root = voc(folder, [(10, 20, 30), (0, 0, 0), (200, 0, 0)], "default")
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nleaf:10,20,30::\n"
    (root / "labelmap.txt").write_text(text)
    data = PascalVOC(root, "default")
    assert data.class_names == ("background", "leaf")
    assert r"a.png contains the color (200, 0, 0)" in only_fault(data)
    # As datumaro writes it.
    (root / "labelmap.txt").write_text("background:::\nleaf:::\n")
    assert PascalVOC(root, "default").palette == ((0, 0, 0), (128, 0, 0))
    (root / "labelmap.txt").write_text(text + "stem:10,20::\n")
    with pytest.raises(ValueError, match=r"labelmap\.txt, line 4: a line is NAME:R,G,B"):
        PascalVOC(root, "default")


# All of them


def test_a_turned_photo_is_drawn_on_as_it_is_stored(labelme):
    """LabelMe shows photos as they are stored, or upright: the annotated size tells."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = labelme.with_name("a.jpg")
    Image.new("RGB", SIZE[::-1], "gray").save(image, exif=exif)
    edited(labelme, lambda content: content.update(imagePath="a.jpg"))
    pixels, mask = LabelMe(labelme.parent).read(0)
    assert pixels.shape[:2] == mask.shape == SIZE[::-1]
    np.testing.assert_array_equal(mask, np.rot90(LABELME, -1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "binary"}, r"pass its name, such as class_names=\['object'\]"),
        ({"task": "binary", "background": None, "class_names": ["a"]}, "has a background"),
        ({"class_names": "leaf"}, "must be a sequence of names"),
        ({"class_names": []}, "must be a sequence of names"),
        ({"label_map": ["leaf"]}, "`label_map` must be a dict"),
        ({"palette": ["#ff0000"]}, "a color for each of the classes .*: 1 color"),
        ({"task": "panoptic"}, "`task` must be one of"),
        ({"value_range": (5, 1)}, "`value_range` must be"),
    ],
)
def test_arguments_that_do_not_fit(labelme, arguments, message):
    with pytest.raises(ValueError, match=message):
        LabelMe(labelme.parent, **arguments)


def test_base64_of_a_mask_is_a_png(labelme):
    shape = json.loads(labelme.read_text())["shapes"][3]
    assert base64.b64decode(shape["mask"]).startswith(b"\x89PNG")
