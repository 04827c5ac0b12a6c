"""Folders as users have them, and the guesses about them."""

import json

import numpy as np
import pytest

from keras_segattn.command.guess_data import guess_data
from tests.command.files import SCENES, road, save, write

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:No mask of")]


def guessed(root, **kwargs):
    guess = guess_data(root, **kwargs)
    data = guess.source().open()
    assert not [fault for part in data.values() for fault in part.verify()]
    return guess.arguments, data


def test_images_and_masks_of_labels(tmp_path):
    arguments, data = guessed(write(tmp_path))
    assert (arguments["kind"], arguments["task"]) == ("folder", "multiclass")
    assert data["train"].class_names[:2] == ("class 0", "class 1")
    assert {part: len(dataset) for part, dataset in data.items()} == {
        "train": 8,
        "val": 2,
        "test": 2,
    }
    (tmp_path / "classes.txt").write_text("\n".join(SCENES.class_names))
    assert guessed(tmp_path)[1]["val"].class_names == SCENES.class_names


@pytest.mark.parametrize(
    ("image", "mask", "change", "wanted"),
    [
        ("{}.jpg", "{}_mask.png", road, {"mask_pattern": "{name}_mask.*", "label_map": {255: 1}}),
        ("img/{}.png", "gt/mask_{}.png", road, {"mask_pattern": "mask_{name}.*"}),
        ("x/{}.png", "x_labels/{}.png", lambda m: m == 3, {"label_map": None}),
        ("a/{}.png", "masks/{}.png", lambda m: 50 * (m == 3), {"label_map": {0: 0, 50: 1}}),
        (
            "i/{}.png",
            "m_seg/{}.png",
            lambda m: np.where((m == 3)[..., None], [9, 8, 7], 0),
            {"color_masks": True, "palette": [[0, 0, 0], [9, 8, 7]]},
        ),
    ],
)
def test_one_foreground(image, mask, change, wanted, tmp_path):
    arguments, data = guessed(write(tmp_path, image, mask, change))
    assert arguments["task"] == "binary"
    assert {key: arguments.get(key) for key in wanted} == wanted
    want = SCENES.class_frequencies()[3]
    parts = np.mean([data[part].class_frequencies()[1] for part in data])
    assert parts == pytest.approx(want, abs=0.08)


@pytest.mark.parametrize("pattern", ["{1}/{0}/{2}", "{0}/{1}/{2}"])
def test_divided_files(pattern, tmp_path):
    for part in ("train", "valid"):
        write(tmp_path, *(pattern.format(k, part, "{}.png") for k in ("images", "masks")), count=3)
    arguments, data = guessed(tmp_path)
    assert arguments["splits"] == {"train": "train", "val": "valid"}
    assert {part: len(dataset) for part, dataset in data.items()} == {"train": 3, "val": 3}


def test_255_beside_other_labels_is_void(tmp_path):
    def change(mask):
        return np.where(mask == 3, 1, np.where(mask == 2, 255, 0))

    guess = guess_data(write(tmp_path, change=change))
    assert "the labels 0, 1, 255: 1 is the foreground; 255 is void" in guess.reasons[1]
    data = guess.source().open_whole()
    assert data.task == "binary"
    labels = [SCENES.read(data.name(i) and int(data.name(i)[1:]))[1] for i in range(len(data))]
    for index, mask in enumerate(labels):
        assert (data.read(index)[1] == change(mask)).all()
    # Void is not counted in the shares.
    shares = data.class_frequencies()
    known = np.concatenate([mask[mask != 2].ravel() for mask in labels])
    assert shares == pytest.approx([np.mean(known != 3), np.mean(known == 3)])


def test_a_label_map_makes_one_of_three_gray_values_void(tmp_path):
    write(tmp_path, change=lambda m: np.where(m == 3, 255, np.where(m == 2, 128, 0)))
    guess = guess_data(tmp_path)
    assert guess.arguments["task"] == "multiclass"
    assert "--set 'data.label_map={0: 0, 128: 255, 255: 1}'" in guess.reasons[1]
    label_map = {0: 0, 128: 255, 255: 1}
    arguments, data = guessed(tmp_path, given={"label_map": label_map})
    assert (arguments["task"], arguments["label_map"]) == ("binary", label_map)
    assert set(np.unique(data["train"].read(0)[1])) == {0, 1, 255}
    with pytest.raises(ValueError, match=r"mapped to 3, 4, 5.*classes from 0 up"):
        guess_data(tmp_path, given={"label_map": {0: 3, 128: 4, 255: 5}})


def test_folders_that_are_given_are_not_guessed(tmp_path):
    write(tmp_path, "a/{}.png", "masks/{}.png", road)
    write(tmp_path, "b/{}.png", "c_masks/{}.png")
    with pytest.raises(ValueError, match="Cannot tell the images from the masks"):
        guess_data(tmp_path)
    arguments, _ = guessed(tmp_path, given={"images": "a", "masks": "masks"})
    assert (arguments["images"], arguments["masks"], arguments["task"]) == ("a", "masks", "binary")


@pytest.mark.parametrize("folders", [("", ""), ("photos/", "labels/")])
def test_images_and_masks_with_an_ending_each(folders, tmp_path):
    write(tmp_path, folders[0] + "{}_photo.png", folders[1] + "{}_mask.png", road)
    arguments, data = guessed(tmp_path)
    assert arguments["image_pattern"] == "{name}_photo.*"
    assert arguments["mask_pattern"] == "{name}_mask.*"
    assert sum(map(len, data.values())) == 12


def test_the_folder_in_an_unpacked_archive(tmp_path):
    write(tmp_path / "archive" / "data", change=road)
    assert guessed(tmp_path)[0]["path"] == str(tmp_path / "archive" / "data")


@pytest.mark.parametrize(
    "names",
    [
        ("train", "trainannot", "val", "valannot"),
        ("701_StillsRaw_full", "LabeledApproved_full"),
    ],
)
def test_camvid_in_either_layout(names, tmp_path):
    for name in names:
        (tmp_path / name).mkdir()
    assert guess_data(tmp_path).arguments["kind"] == "camvid"


def test_yolo_without_names(tmp_path):
    for index in range(4):
        save(SCENES.read(index)[0], tmp_path / "images" / f"{index}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{index}.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    with pytest.raises(ValueError, match=r"YOLO label files.*--class-names"):
        guess_data(tmp_path)
    arguments, data = guessed(tmp_path, class_names=["cat"])
    assert (arguments["kind"], arguments["task"]) == ("yolo", "binary")
    assert data["train"].read(0)[1].max() == 1
    (tmp_path / "data.yaml").write_text("names: [dog]")
    assert guessed(tmp_path)[0]["class_names"] == ["dog"]


def test_names_of_classes_beside_masks_are_not_yolo(tmp_path):
    write(tmp_path, mask="labels/{}.png", change=road)
    (tmp_path / "labels" / "classes.txt").write_text("grass\nroad\n")
    arguments, _ = guessed(tmp_path)
    assert (arguments["kind"], arguments["class_names"]) == ("folder", ["grass", "road"])


def test_gray_values_that_are_far_apart_are_numbered(tmp_path):
    values = np.arange(256) * 20 % 256
    arguments, data = guessed(write(tmp_path, change=lambda m: values[np.minimum(m, 10)]))
    assert arguments["label_map"][200] == 10
    assert data["train"].read(0)[1].max() <= 10


def test_sixteen_bits_in_four_bands(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for index in range(4):
        labels = SCENES.read(index)[1]
        save(labels == 3, tmp_path / f"masks/{index}.png")
        bands = np.stack([labels.astype("uint16") * 100] * 5, axis=-1)
        (tmp_path / "images").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"images/{index}.tif", bands, planarconfig="contig")
    arguments, data = guessed(tmp_path)
    assert arguments["channels"] == 5
    assert data["train"].value_range is not None
    assert data["train"].read(0)[0].max() > 200


def test_coco_json(tmp_path):
    pytest.importorskip("pycocotools")
    image = SCENES.read(0)[0]
    for name in "abc":
        save(image, tmp_path / "photos" / f"{name}.png")
    content = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": 32, "width": 48}
            for i, name in enumerate("abc")
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 7, "segmentation": [[1, 1, 20, 1, 20, 20]]}
            for i in range(3)
        ],
        "categories": [{"id": 7, "name": "car"}, {"id": 9, "name": "unused"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "annotations.json"):
        arguments, data = guessed(path)
        assert (arguments["kind"], arguments["images"]) == ("coco", "photos")
        assert data["train"].class_names == ("background", "car")
        assert data["train"].read(0)[1].max() == 1


def test_samples_of_a_group_stay_together(tmp_path):
    guess = guess_data(write(tmp_path))
    guess.arguments["group_by"] = "x"
    with pytest.raises(ValueError, match="does not match the sample 's"):
        guess.source().open()
    guess.arguments["group_by"] = r"s(\d)"
    parts = guess.source().open()
    train, test = ({d.name(i)[:2] for i in range(len(d))} for d in (parts["train"], parts["test"]))
    assert not train & test


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "none", "is not a folder"),
        (
            lambda root: write(root, "a/{}.png", "b/{}.png"),
            "Cannot tell the .* are a, b",
        ),
        (lambda root: write(root, mask="masks/{}.jpg"), "is a JPEG file"),
        (lambda root: write(root, change=lambda m: 0 * m), "at least two labels"),
        (
            lambda root: write(root, "images/x{}.png", "masks/y{}.png"),
            "No mask in .* is named after",
        ),
        (lambda root: write(root, "a/{}.png", "b/{}.png"), "supported formats: COCO JSON, LabelMe"),
        (lambda root: root, "There are no images in"),
    ],
)
def test_what_cannot_be_guessed_is_told(make, message, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        guess_data(make(tmp_path))
