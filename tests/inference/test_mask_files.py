from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_segattn.inference import Segmentation
from keras_segattn.inference.mask_files import (
    ATTEMPTS,
    COCO_FILE,
    FAILED,
    MADE_BY,
    claim_results,
    deaths,
    pair_files,
    remove_unfinished,
    report_failures,
    write_mask,
)

pytestmark = pytest.mark.once


def find(path):
    """Stands for a network: the class of a pixel is its red."""
    with Image.open(path) as file:
        image = np.asarray(file)
    return Segmentation(image, image[..., 0] % 3, None, 3)


@pytest.fixture
def image(tmp_path, rng):
    path = tmp_path / "street.png"
    Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype="uint8")).save(path)
    return path


def test_folder_of_images(tmp_path, image):
    (tmp_path / "a").mkdir()
    for name in ("a/street.png", "a/street.JPG", "notes.txt", "masks/street.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    results = tmp_path / "masks"
    found = {
        path.relative_to(tmp_path).as_posix(): mask for path, mask in pair_files(tmp_path, results)
    }
    assert found == {
        "street.png": results / "street.png.png",
        "a/street.png": results / "a" / "street.png.png",
        "a/street.JPG": results / "a" / "street.JPG.png",
    }
    with pytest.raises(FileNotFoundError, match="no folder or list of images"):
        pair_files(tmp_path / "nowhere", results)


def test_results_among_the_images_however_written(tmp_path, image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "street.png.png").touch()
    for images, results in (
        (Path("."), masks),
        (tmp_path, Path("masks")),
        (tmp_path, masks / ".." / "masks"),
        (masks / "..", Path("masks")),
    ):
        assert pair_files(images, results) == [
            (images / "street.png", results / "street.png.png"),
        ]


def test_results_that_are_or_contain_the_images(tmp_path, image):
    for results in (tmp_path, tmp_path.parent, tmp_path / "a" / ".."):
        with pytest.raises(ValueError, match="is or contains the image folder"):
            pair_files(tmp_path, results)


def test_no_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=rf"{tmp_path} contains no images .*'.jpg', "):
        pair_files(tmp_path, tmp_path / "masks")


def test_list_of_images(tmp_path):
    file, results = tmp_path / "list.txt", tmp_path / "masks"
    file.write_text("a/street.png\n\n/data/street.png\na/street.png\n")
    assert [
        (str(path), mask.relative_to(results).as_posix())
        for path, mask in pair_files(file, results)
    ] == [
        (str(tmp_path / "a" / "street.png"), "a/street.png.png"),
        ("/data/street.png", "data/street.png.png"),
    ]
    file.write_text("data/street.png\n/data/street.png")
    with pytest.raises(ValueError, match="would have the same mask"):
        pair_files(file, results)
    file.write_text("../street.png")
    with pytest.raises(ValueError, match="is outside its folder"):
        pair_files(file, results)


def test_mask_and_overlay(tmp_path, image):
    mask = tmp_path / "masks" / "a" / "street.png.png"
    write_mask(find, image, mask, overlay=True)
    result = find(image)
    with Image.open(mask) as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), result.class_map)
        assert drawn.getpalette()[:9] == np.ravel(result.palette).tolist()
    with Image.open(mask.with_name("street.png.overlay.jpg")) as overlay:
        assert overlay.size == (50, 40)
    assert len(list(mask.parent.iterdir())) == 2


def test_raw_masks_and_many_classes(tmp_path, image):
    """Labels that every program reads: no palette, and 16 bits where 8 are too few."""
    mask = tmp_path / "masks" / "street.png.png"
    write_mask(find, image, mask, raw=True)
    with Image.open(mask) as drawn:
        assert drawn.mode == "L"
        np.testing.assert_array_equal(np.asarray(drawn), find(image).class_map)
    classes = np.arange(1200, dtype="int32").reshape(30, 40) % 300
    picture = np.zeros((30, 40, 3), "uint8")
    write_mask(lambda _: Segmentation(picture, classes, None, 300), image, mask, overlay=True)
    with Image.open(mask) as drawn:
        assert drawn.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(drawn), classes)


def test_mask_gets_its_name_when_it_is_whole(tmp_path, image, monkeypatch):
    renamed = []

    def replace(source, target):
        with Image.open(source) as file:
            file.load()
        renamed.append((target, target.exists()))
        source.rename(target)

    monkeypatch.setattr("os.replace", replace)
    mask = tmp_path / "masks" / "street.png.png"
    write_mask(find, image, mask)
    assert renamed == [(mask, False)]


def test_nothing_is_left_of_an_image_that_fails(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(OSError):
        write_mask(find, tmp_path / "broken.jpg", tmp_path / "masks" / "broken.jpg.png")
    assert list((tmp_path / "masks").iterdir()) == []


def test_image_at_which_processes_die(tmp_path, image):
    mask = tmp_path / "street.png.png"
    for attempt in range(ATTEMPTS):
        # Each is where the one before it was killed, and leaves its own file untouched.
        write_mask(find, image, mask)
        mask.unlink()
        (tmp_path / f".{mask.name}.{attempt}.part").write_text("half")
    with pytest.raises(RuntimeError, match=f"{ATTEMPTS} processes died"):
        write_mask(find, image, mask)
    assert not mask.exists()
    (tmp_path / ".other.part").touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.part", "street.png"]
    write_mask(find, image, mask)
    assert mask.exists()


def test_report(tmp_path):
    results = tmp_path / "masks"
    text = report_failures({"b.jpg": "b.jpg is no\nimage", "a.jpg": ValueError("empty")}, results)
    lines = "a.jpg: empty\nb.jpg is no image"
    assert text == f"2 images failed, listed in {results / 'failed.txt'}:\n{lines}"
    assert (results / "failed.txt").read_text() == lines + "\n"
    assert report_failures({}, results) == ""
    assert list(results.iterdir()) == []


def test_a_folder_is_of_one_model(tmp_path, image):
    results, model = tmp_path / "masks", tmp_path / "model.keras"
    model.write_bytes(b"one")
    pairs = pair_files(tmp_path, results)
    claim_results(results, model, {"flip": False}, pairs)
    claim_results(results, model, {"flip": True}, pairs)
    pairs[0][1].touch()
    claim_results(results, model, {"flip": True}, pairs)
    for content, options in ((b"one", {"flip": False}), (b"other", {"flip": True})):
        model.write_bytes(content)
        with pytest.raises(ValueError, match=r"contains 1 mask of model\.keras .* with flip=True,"):
            claim_results(results, model, options, pairs)
    (results / MADE_BY).write_text("half")
    with pytest.raises(ValueError, match="contains 1 mask of an unknown model"):
        claim_results(results, model, {"flip": True}, pairs)
    pairs[0][1].unlink()
    (results / MADE_BY).unlink()
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"a")
    claim_results(results, folder, {}, pairs)
    pairs[0][1].touch()
    (folder / "model.bin").write_bytes(b"b")
    with pytest.raises(ValueError, match="contains 1 mask of artifact"):
        claim_results(results, folder, {}, pairs)


def test_a_folder_of_masks_of_other_images_is_of_one_model(tmp_path, image):
    results, model, other = (tmp_path / name for name in ("masks", "a.keras", "b.keras"))
    model.write_bytes(b"one")
    other.write_bytes(b"other")
    claim_results(results, model, {}, [])
    record = (results / MADE_BY).read_bytes()
    (results / "inner").mkdir()
    (results / "inner" / "Street.JPG.png").touch()
    (results / "street.jpg.overlay.jpg").touch()
    pairs = pair_files(image, results)
    with pytest.raises(ValueError, match=r"contains 1 mask of a\.keras .*new masks are of b\."):
        claim_results(results, other, {}, pairs)
    assert (results / MADE_BY).read_bytes() == record
    claim_results(results, model, {}, pairs)


def test_deaths_are_remembered(tmp_path):
    mask, other = tmp_path / "a.png.png", tmp_path / "b.png.png"
    for path in (mask, other):
        (tmp_path / f".{path.name}.0.part").touch()
    remove_unfinished(tmp_path, but=[mask])
    assert (deaths(mask), deaths(other)) == (1, 0)


@pytest.mark.parametrize("name", [MADE_BY, FAILED, COCO_FILE, "a.jpg.overlay.jpg", "a.jpg.geojson"])
def test_a_folder_of_masks_replaces_nothing_of_other_origin(name, tmp_path):
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    path = tmp_path / name
    path.write_text('{"mine": 1}')
    with pytest.raises(ValueError, match=f"{name} does not belong to earlier masks"):
        claim_results(tmp_path, model, {}, [(Path("a.jpg"), tmp_path / "a.jpg.png")])
    assert path.read_text() == '{"mine": 1}'
