"""Cityscapes, ADE20K and a user's folders, in files written by the tests."""

import ast
import csv
import inspect
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn import data as subpackage
from keras_segattn.data import (
    ADE20K,
    AnnotatedImages,
    Cityscapes,
    InstanceDataset,
    RoadScenes,
    SegmentationDataset,
    SegmentationFolder,
)
from keras_segattn.data.cityscapes import LABEL_IDS
from tests.data.files import cityscapes, write


@pytest.mark.once
def test_every_data_set_has_tests():
    imported = {
        alias.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "keras_segattn.data"
        for alias in node.names
    }
    bases = (AnnotatedImages, InstanceDataset, SegmentationDataset)
    exported = {name: getattr(subpackage, name) for name in subpackage.__all__}
    data_sets = {
        name
        for name, item in exported.items()
        if inspect.isclass(item) and issubclass(item, bases) and item not in bases
    }
    assert len(data_sets) > 10
    assert data_sets <= imported


def test_cityscapes_maps_label_ids_to_the_19_classes(tmp_path):
    ids = [[*range(34), 255]]
    cityscapes(tmp_path, "train", "aachen_000000_000019", ids)
    data = Cityscapes(tmp_path, "train")
    assert len(data) == 1
    image, mask = data.read(0)
    assert image.shape == (1, 35, 3)
    for label_id, label in zip(ids[0], mask[0], strict=True):
        assert label == (LABEL_IDS.index(label_id) if label_id in LABEL_IDS else 255)


def test_cityscapes_tables_are_those_of_the_authors(shared):
    with open(shared("facts", "cityscapes_labels.csv"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train_id"] not in ("255", "-1")]
    rows.sort(key=lambda row: int(row["train_id"]))
    assert tuple(row["name"] for row in rows) == Cityscapes.class_names
    assert tuple(int(row["id"]) for row in rows) == LABEL_IDS
    colors = tuple(tuple(int(row[channel]) for channel in "rgb") for row in rows)
    assert colors == Cityscapes.palette


def test_cityscapes_with_train_ids(tmp_path):
    cityscapes(tmp_path, "val", "bonn_000000_000019", [[0, 18, 255]], kind="labelTrainIds")
    _, mask = Cityscapes(tmp_path, "val").read(0)
    assert mask.tolist() == [[0, 18, 255]]


def test_cityscapes_has_coarse_annotations(tmp_path):
    name = "augsburg_000000_000000"
    cityscapes(tmp_path, "train_extra", name, [[7, 0, 33]], annotations="gtCoarse")
    data = Cityscapes(tmp_path, "train_extra", annotations="coarse")
    assert data.read(0)[1].tolist() == [[0, 255, 18]]
    with pytest.raises(ValueError, match=r"`split` must be one of \('train', 'val', 'test'\)"):
        Cityscapes(tmp_path, "train_extra")
    with pytest.raises(ValueError, match=r"`annotations` must be one of .* Received: 'rough'"):
        Cityscapes(tmp_path, "train", annotations="rough")
    # As CCNet is trained for the test set.
    for split in ("train", "val"):
        cityscapes(tmp_path, split, f"{split}_000000_000019", [[7]])
    both = Cityscapes(tmp_path, "train") + Cityscapes(tmp_path, "val")
    assert len(both) == 2


def test_cityscapes_prefers_label_ids(tmp_path):
    cityscapes(tmp_path, "val", "bonn_000000_000019", [[7, 33]])
    cityscapes(tmp_path, "val", "bonn_000000_000019", [[0, 18]], kind="labelTrainIds")
    data = Cityscapes(tmp_path, "val")
    assert data.files(0)[1].name == "bonn_000000_000019_gtFine_labelIds.png"
    assert data.read(0)[1].tolist() == [[0, 18]]


def test_cityscapes_test_split_without_masks_is_void(tmp_path):
    write(
        tmp_path / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png",
        np.zeros((4, 6, 3)),
    )
    data = Cityscapes(tmp_path, "test")
    assert data.files(0)[1] is None
    assert np.all(data.read(0)[1] == 255)
    with pytest.raises(FileNotFoundError, match=r"leftImg8bit.*registration"):
        Cityscapes(tmp_path, "train")
    with pytest.raises(ValueError, match="Received: 'validation'"):
        Cityscapes(tmp_path, "validation")


def test_cityscapes_pairs_by_city_and_names_the_lonely(tmp_path):
    cityscapes(tmp_path, "train", "aachen_000000_000019", [[7]])
    cityscapes(tmp_path, "train", "bochum_000000_000313", [[8]])
    data = Cityscapes(tmp_path, "train")
    assert [data.read(i)[1].item() for i in range(2)] == [0, 1]
    (tmp_path / "gtFine/train/bochum/bochum_000000_000313_gtFine_labelIds.png").unlink()
    with pytest.raises(ValueError, match=r"1 images .* have no mask, .*bochum_000000_000313"):
        Cityscapes(tmp_path, "train")


def ade20k(root, names):
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName"]
    lines += [f"{i}\t0.1\t1\t1\t0\t{name}" for i, name in enumerate(names, start=1)]
    (root / "objectInfo150.txt").write_text("\n".join(lines) + "\n")
    write(root / "images" / "training" / "ADE_train_00000001.jpg", np.zeros((1, 151, 3)))
    write(root / "annotations" / "training" / "ADE_train_00000001.png", [range(151)])


def test_ade20k_turns_0_into_void(tmp_path):
    names = ["wall", "building, edifice", *[f"thing {i}" for i in range(146)]]
    ade20k(tmp_path, [*names, "screen, silver screen", "screen, CRT screen"])
    data = ADE20K(tmp_path, "train")
    assert data.read(0)[1][0].tolist() == [255, *range(150)]
    assert data.class_names[:2] == ("wall", "building")
    assert data.class_names[-2:] == ("screen, silver screen", "screen, CRT screen")
    assert len(data.class_names) == len(set(data.palette)) == 150
    with pytest.raises(FileNotFoundError, match=r"validation.*ADEChallengeData2016"):
        ADE20K(tmp_path, "val")
    with pytest.raises(ValueError, match="Received: 'test'"):
        ADE20K(tmp_path, "test")


def test_ade20k_needs_its_class_names(tmp_path):
    ade20k(tmp_path, ["wall"])
    with pytest.raises(ValueError, match="names 1 class, not 150"):
        ADE20K(tmp_path, "train")
    (tmp_path / "objectInfo150.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"objectInfo150\.txt, which names the classes"):
        ADE20K(tmp_path, "train")


CLASSES = ["background", "leaf"]


@pytest.fixture
def folder(tmp_path):
    for name, mask in (("b/two", [[1, 255, 0]]), ("one", [[0, 1, 1]])):
        write(tmp_path / "images" / f"{name}.jpg", np.zeros((1, 3, 3)))
        write(tmp_path / "masks" / f"{name}.png", mask)
    return tmp_path


def test_folder_pairs_by_name(folder):
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=CLASSES)
    assert [data.name(i) for i in range(2)] == ["b/two", "one"]
    assert data.read(0)[1].tolist() == [[1, 255, 0]]
    assert len(set(data.palette)) == 2
    assert data.verify() == []
    alone = SegmentationFolder(folder / "images", class_names=CLASSES)
    assert np.all(alone.read(1)[1] == 255)


def test_folder_takes_webp(folder):
    (folder / "images" / "one.jpg").unlink()
    Image.new("RGB", (3, 1), "red").save(folder / "images" / "one.webp", lossless=True)
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=CLASSES)
    assert data.read(1)[0].tolist() == [[[255, 0, 0]] * 3]


def test_folder_with_palette_masks_and_a_label_map(folder):
    mask = Image.fromarray(np.array([[0, 7, 9]], "uint8"), mode="P")
    mask.putpalette([value for color in range(256) for value in (color, 0, 0)])
    mask.save(folder / "masks" / "one.png")
    data = SegmentationFolder(
        folder / "images",
        folder / "masks",
        class_names=CLASSES,
        label_map={0: 0, 7: 1, 9: 255, 1: 1, 255: 255},
    )
    assert data.read(1)[1].tolist() == [[0, 1, 255]]


def test_folder_with_color_masks(folder):
    for name in ("one", "b/two"):
        colors = [[[255, 0, 0], [0, 0, 0], [0, 255, 0]]]
        write(folder / "masks" / f"{name}.png", colors)
    arguments = {"class_names": CLASSES, "color_masks": True}
    images, masks = folder / "images", folder / "masks"
    data = SegmentationFolder(images, masks, palette=[(0, 255, 0), (255, 0, 0)], **arguments)
    assert data.read(0)[1].tolist() == [[1, 255, 0]]
    data = SegmentationFolder(images, masks, palette=[(0, 0, 0), (255, 0, 0)], **arguments)
    with pytest.raises(ValueError, match=r"two\.png contains the color \(0, 255, 0\)"):
        data.read(0)


def test_folder_by_a_list(folder):
    list_file = folder / "val.txt"
    list_file.write_text("one.jpg b/two.png\n\n")
    arguments = {"class_names": CLASSES, "list_file": list_file}
    data = SegmentationFolder(folder / "images", folder / "masks", **arguments)
    assert len(data) == 1
    assert data.read(0)[1].tolist() == [[1, 255, 0]]
    with pytest.raises(
        ValueError, match=r"val\.txt, line 1: a line must be IMAGE, separated .* Received"
    ):
        SegmentationFolder(folder / "images", **arguments)
    list_file.write_text("one.jpg three.png")
    with pytest.raises(FileNotFoundError, match=r"line 1: there is no file .*three\.png"):
        SegmentationFolder(folder / "images", folder / "masks", **arguments)
    list_file.write_text("\n")
    with pytest.raises(ValueError, match=r"val\.txt lists no files"):
        SegmentationFolder(folder / "images", folder / "masks", **arguments)


@pytest.mark.parametrize("mark", [" ", "\t", ", ", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lists_are_separated_by_spaces_tabs_or_commas(folder, mark, encoding):
    write(folder / "masks" / "größe.png", [[1, 1, 1]])
    list_file = folder / "val.txt"
    list_file.write_text(f"one.jpg{mark}größe.png\n# done\n", encoding=encoding)
    arguments = {"class_names": CLASSES, "list_file": list_file}
    data = SegmentationFolder(folder / "images", folder / "masks", **arguments)
    assert [mask.tolist() for _, mask in data] == [[[1, 1, 1]]]
    list_file.write_text(f"one.jpg{mark}größe.png\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"val\.txt is not text in UTF-8"):
        SegmentationFolder(folder / "images", folder / "masks", **arguments)


def test_two_files_of_one_name_are_refused(folder):
    write(folder / "images" / "one.png", np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match=r"one\.jpg and .*one\.png differ only in their suffix"):
        SegmentationFolder(folder / "images", class_names=CLASSES)


def test_linked_folders_and_hidden_files(folder):
    (folder / "images" / "b").rename(folder / "elsewhere")
    (folder / "images" / "b").symlink_to(folder / "elsewhere")
    write(folder / "images" / ".ipynb_checkpoints" / "one.jpg", np.zeros((1, 3, 3)))
    (folder / "images" / "._one.jpg").write_bytes(b"Mac OS X")
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=CLASSES)
    assert [data.name(i) for i in range(len(data))] == ["b/two", "one"]


def test_label_map_as_from_json(folder):
    label_map = json.loads('{"0": 1, "1": 0}')
    arguments = {"class_names": CLASSES, "label_map": label_map}
    data = SegmentationFolder(folder / "images", folder / "masks", **arguments)
    # 255 need not be listed.
    assert data.read(0)[1].tolist() == [[0, 255, 1]]


def test_masks_of_0_and_255_are_told(folder):
    for name in ("one", "b/two"):
        write(folder / "masks" / f"{name}.png", [[0, 255, 0]])
    folders = folder / "images", folder / "masks"
    for names, task in ((CLASSES, "multiclass"), (["leaf"], "binary")):
        arguments = {"class_names": names, "task": task}
        with pytest.raises(ValueError, match=r"pass label_map=\{255: 1\}; if it is void"):
            SegmentationFolder(*folders, **arguments)
        data = SegmentationFolder(*folders, **arguments, label_map={255: 1})
        assert data.class_names[-1] == "leaf"
        assert len(data.class_names) == len(data.palette) == 2
        assert data.read(0)[1].tolist() == [[0, 1, 0]]
        data = SegmentationFolder(*folders, **arguments, label_map={255: 255})
        assert data.read(0)[1].tolist() == [[0, 255, 0]]
    with pytest.raises(ValueError, match=r"class_names=\['background', 'leaf'\] and label_map"):
        SegmentationFolder(*folders, class_names=["leaf"])


def test_what_label_0_becomes_is_not_guessed(folder):
    """A map that makes label 1 the first class must also map label 0."""
    folders = folder / "images", folder / "masks"
    data = SegmentationFolder(*folders, class_names=["leaf", "stem"], label_map={1: 0, 2: 1})
    with pytest.raises(ValueError, match=r"two\.png contains the label 0, which is none of"):
        data.read(0)


def test_folder_of_four_bands(folder):
    (folder / "images" / "one.jpg").unlink()
    (folder / "images" / "b" / "two.jpg").unlink()
    bands = np.array([[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]], "uint8")
    for name in ("one", "b/two"):
        Image.fromarray(bands).save(folder / "images" / f"{name}.tif")
    folders = folder / "images", folder / "masks"
    data = SegmentationFolder(*folders, class_names=CLASSES, channels=4)
    assert data.verify() == []
    np.testing.assert_array_equal(data.read(0)[0], bands)
    data = SegmentationFolder(*folders, class_names=CLASSES)
    with pytest.warns(UserWarning, match="The last of 4 bands .* treated as alpha") as told:
        assert data.verify() == []
    assert [str(warning.message).split(":")[0] for warning in told] == ["b/two", "one"]


def test_images_of_other_bands_are_named(folder):
    data = SegmentationFolder(folder / "images", class_names=CLASSES, channels=4)
    with pytest.raises(ValueError, match=r"two\.jpg: The network takes images .* 3 channels"):
        data.read(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": map(str, range(256))}, "up to 255 classes. Received: 256"),
        ({"class_names": CLASSES, "channels": 0}, "`channels` must be at least 1. Received: 0"),
        ({"class_names": CLASSES, "palette": ["#ff0000", "red"]}, "without alpha. .*: 'red'"),
        ({"class_names": CLASSES, "palette": [(1, 2, 3, 255)] * 2}, r"\(1, 2, 3, 255\)"),
        ({"class_names": CLASSES, "palette": [(0.1, 0, 1)] * 2}, r"\(0\.1, 0, 1\)"),
        (
            {"class_names": CLASSES, "palette": ["#0a0000", (10, 0, 0)], "color_masks": True},
            r"Two classes have the color \(10, 0, 0\)",
        ),
        ({"class_names": CLASSES, "label_map": {"zero": 0}}, "labels from 0 to 255 .*zero"),
        ({"class_names": CLASSES, "label_map": {0: 0.5}}, "labels from 0 to 255"),
        ({"class_names": "leaf"}, "a sequence of names. Received: 'leaf'"),
        (
            {"class_names": CLASSES, "palette": [(1, 2, 3)]},
            "as many colors .*: 1 color$",
        ),
        ({"class_names": CLASSES, "color_masks": True}, "requires the class colors"),
        ({"class_names": CLASSES, "label_map": {0: 0, 1: 2}}, "2 classes or to 255. Received"),
    ],
)
def test_folder_refuses(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentationFolder(folder / "images", folder / "masks", **arguments)


def test_verify_reports_every_fault(folder):
    write(folder / "masks" / "one.png", [[0, 1, 2]])
    path = folder / "images" / "b" / "two.jpg"
    path.write_bytes(path.read_bytes()[:50])
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=CLASSES)
    faults = data.verify()
    assert len(faults) == 2
    assert "two.jpg cannot be read" in faults[0]
    assert "one.png contains the label 2" in faults[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_verify_does_not_wait_for_a_pipe(folder):
    (folder / "masks" / "one.png").unlink()
    os.mkfifo(folder / "masks" / "one.png")
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=CLASSES)
    assert "one.png cannot be read as an image: it is not a regular file" in data.verify()[0]


def test_verify_tells_of_what_never_occurs(folder):
    names = [*CLASSES, "stem", "root"]
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=names)
    with pytest.warns(UserWarning, match=r"No mask of .* contains: stem, root\."):
        assert data.verify() == []
    for name in ("one", "b/two"):
        write(folder / "masks" / f"{name}.png", [[255, 255, 255]])
    assert "All pixels of" in data.verify()[0]
    # Without masks there is nothing to tell.
    assert SegmentationFolder(folder / "images", class_names=names).verify() == []


def test_verify_finds_labels_beyond_the_classes():
    data = RoadScenes("train", 2)
    assert data.verify() == []
    data.class_names = data.class_names[:2]
    assert "train_00000 contains the label" in data.verify()[0]


def test_median_frequency_is_that_of_the_equation(folder):
    data = SegmentationFolder(folder / "images", folder / "masks", class_names=["a", "b", "none"])
    # a: 2 of the 5 pixels of the two images that hold it; b: 3 of 5.
    want = [0.5 / (2 / 5), 0.5 / (3 / 5), 0.0]
    none = pytest.warns(UserWarning, match=r"No mask of .* contains: none\.")
    with none:
        np.testing.assert_allclose(data.class_weights("median_frequency"), want)
    enet = 1 / np.log(1.02 + np.array([2 / 5, 3 / 5, 0]))
    with none:
        np.testing.assert_allclose(data.class_weights(), enet)
    with pytest.raises(ValueError, match="Received: 'inverse'"):
        data.class_weights("inverse")


def test_no_class_is_frequent_where_all_is_void(folder):
    data = SegmentationFolder(folder / "images", class_names=CLASSES)
    with pytest.raises(ValueError, match=r"All pixels of .*2 samples.* are void"):
        data.class_weights()
