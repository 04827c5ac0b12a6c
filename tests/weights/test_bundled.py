"""Bundled weights."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn import applications
from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.data import CamVid, RoadScenes
from keras_segattn.training import evaluate
from keras_segattn.weights import bundled
from tests.training import to_numpy


def of_camvid():
    return [path for path in bundled.bundled_files() if path.stem.endswith("_camvid")]


@pytest.mark.once
@pytest.mark.parametrize("path", of_camvid(), ids=lambda path: path.stem)
def test_camvid_weights_segment_real_images(path, shared):
    """On every twentieth validation image, nearly as well as the card says of all of them."""
    card = bundled.read_card(path)
    network = getattr(applications, card["network"])
    model = network(weights="camvid", backbone=card["arguments"]["backbone"])
    assert model.class_names == CamVid.class_names
    assert model.palette == CamVid.palette
    data = CamVid(shared("camvid"), "val")
    data._pairs = data._pairs[::20]
    assert 100 * evaluate(model, data)["mean_iou"] > card["scores"]["val"]["mean_iou"] - 2


@pytest.mark.once
def test_all_networks_of_camvid_are_installed_for_the_tests():
    assert len(of_camvid()) == 6


@pytest.mark.once
def test_road_scenes_weights_segment_drawn_images():
    """On a few test scenes; docs/weights.md has the score on 120."""
    model = AttaNet(backbone="light", weights="road_scenes", classes=11)
    assert model.class_names == RoadScenes.class_names
    assert evaluate(model, RoadScenes("test", 8, (192, 256)))["mean_iou"] > 0.6
    supervised = AttaNet(backbone="light", weights="road_scenes", classes=11, auxiliary_heads=True)
    image = RoadScenes("test", 1).read(0)[0][None]
    one, other = (to_numpy(m(model.preprocessing(image))) for m in (model, supervised))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.once
def test_camvid_weights_come_with_the_features_alone():
    whole = CANet(weights="camvid", classes=11)
    features = CANet(weights="camvid", classes=11, include_top=False)
    image = np.zeros((1, 32, 48, 3), "float32")
    inner = keras.Model(whole.input, whole.get_layer("classifier").input)
    np.testing.assert_allclose(to_numpy(features(image)), to_numpy(inner(image)), atol=1e-5)
    assert features.class_names is None


TINY = {"backbone": "mobilenet_v2", "filters": 16, "up_channels": 8}


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """Folder of the only trained networks."""
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    monkeypatch.setattr(bundled, "EXTRA_PACKAGE", "keras_segattn_no_such_weights")
    return tmp_path


def write_tiny(folder, backbone="mobilenet_v2", mean_iou=50.0, **changed):
    """Packs a small CANet with its card; returns the network."""
    arguments = {**TINY, "backbone": backbone, **changed}
    model = CANet(classes=2, **arguments)
    model.class_names, model.palette = ("road", "other"), ((1, 2, 3), (4, 5, 6))
    card = {"arguments": arguments, "scores": {"test": {"mean_iou": mean_iou}}}
    bundled.pack(model, folder / f"canet_{backbone}_camvid.npz", card)
    return model


def test_arguments_left_out_are_those_of_the_best_trained_network(own_files):
    write_tiny(own_files, mean_iou=60)
    best = write_tiny(own_files, "shufflenet_v2", mean_iou=61, filters=8)
    model = CANet(weights="camvid")
    assert [w.shape for w in model.weights] == [w.shape for w in best.weights]
    np.testing.assert_allclose(model.get_weights()[0], best.get_weights()[0], rtol=1e-3, atol=1e-6)
    assert model.class_names == ("road", "other")
    other = CANet(weights="camvid", backbone="mobilenet_v2", name="mine")
    assert (other.name, other.get_layer("classifier").input.shape[-1]) == ("mine", 16)
    with pytest.raises(ValueError, match=r"backbone='mobilenet_v2', filters=16, up_channels=8 and"):
        CANet(weights="camvid", backbone="mobilenet_v2", filters=8)


@pytest.mark.once
@pytest.mark.parametrize("path", bundled.bundled_files(), ids=lambda path: path.stem)
def test_each_trained_network_has_a_card_and_is_built_from_it(path, shapes_only):
    card = bundled.read_card(path)
    network = getattr(applications, card["network"])
    weights = next(name for name in bundled.BUNDLED if path.stem.endswith(name))
    assert path.stat().st_size < 10e6
    assert {"title", "data", "starts_from", "terms", "recipe", "seed", "limits"} <= card.keys()
    assert network(**card["arguments"], weights=weights).class_names


@pytest.mark.once
def test_the_page_of_trained_networks_is_written_from_their_cards():
    script = Path(__file__).parents[2] / "docs" / "write_weights_page.py"
    spec = importlib.util.spec_from_file_location("write_weights_page", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()


def test_pack_and_load(own_files):
    arguments = {"classes": 2, "filters": 16, "up_channels": 8}
    model = CANet(**arguments)
    model.class_names, model.palette = ("road", "other"), ((1, 2, 3), (4, 5, 6))
    card = {"arguments": {"filters": 16, "up_channels": 8}}
    bundled.pack(model, own_files / "canet_tiny_here.npz", card)
    names = sorted(path.name for path in own_files.iterdir())
    assert names == ["canet_tiny_here.json", "canet_tiny_here.npz"]
    other = CANet(**arguments)
    bundled.load_bundled(other, "canet", "tiny", "here")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-6)
    assert other.class_names == ("road", "other")
    assert other.palette == ((1, 2, 3), (4, 5, 6))

    wrong = CANet(**{**arguments, "filters": 8})
    before = wrong.get_weights()
    message = r"filters=16, up_channels=8 and classes=2: .* and \d+ more"
    with pytest.raises(ValueError, match=message):
        bundled.load_bundled(wrong, "canet", "tiny", "here")
    for one, two in zip(before, wrong.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_there_is_no_weights_for():
    with pytest.raises(ValueError, match=r"'resnet18'\. Available.*canet_mobilenet_v2_camvid"):
        CANet(weights="camvid", backbone="resnet18", classes=11)
    with pytest.raises(ValueError, match=r"have 11 classes.*classes=19.*`new_classifier=True`"):
        CANet(weights="camvid", classes=19)
    with pytest.raises(ValueError, match=r"no bundled weights 'road_scenes' for 'ccnet'"):
        CCNet(weights="road_scenes")
    with pytest.raises(ValueError, match=r"`weights` must be None.*no file 'cityscapes'"):
        CrossCBAM(weights="cityscapes")
    with pytest.raises(ValueError, match=r"must be None, 'camvid', or.*weights='imagenet'"):
        CrossCBAM(weights="imagenet")
    with pytest.raises(ValueError, match=r"must be None, 'camvid', 'road_scenes', or the path"):
        AttaNet(weights="cityscapes")
    with pytest.raises(ValueError, match=r"`new_classifier=True` requires bundled `weights`"):
        CANet(new_classifier=True)


def test_without_the_package_of_further_networks_the_error_names_it(own_files):
    message = r"no bundled weights 'camvid' for 'ccnet'.*package keras-segattn-weights, in the"
    with pytest.raises(ValueError, match=message):
        CCNet(weights="camvid")
    with pytest.raises(ValueError, match="must be None, or the path"):
        CCNet(weights="cityscapes")


def test_networks_of_the_other_package_are_found(own_files, tmp_path, monkeypatch):
    package = tmp_path / "further_networks"
    (package / "files").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bundled, "EXTRA_PACKAGE", package.name)
    there = write_tiny(package / "files")
    model = CANet(weights="camvid")
    np.testing.assert_allclose(model.get_weights()[0], there.get_weights()[0], rtol=1e-3, atol=1e-6)


def test_attanet_of_adjusted_logits_has_their_bias():
    light = AttaNet(backbone="light", weights="camvid")
    assert np.ptp(to_numpy(light.get_layer("head").classifier.bias)) > 0.5


@pytest.mark.once
def test_the_number_of_classes_is_that_of_the_weights():
    model = CANet(weights="camvid")
    assert model.output_shape[-1] == 11
    assert model.class_names == CamVid.class_names
    assert CANet().output_shape[-1] == 19


@pytest.mark.once
def test_all_but_the_classifier_is_taken_for_other_classes():
    trained, fine = CANet(weights="camvid"), CANet(weights="camvid", classes=5, new_classifier=True)
    assert (fine.output_shape[-1], fine.class_names) == (5, None)
    for one, other in zip(trained.weights, fine.weights, strict=True):
        if "classifier" not in one.path:
            np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.once
def test_auxiliary_heads_are_new_with_the_classifier():
    """The weights have none."""
    trained = CANet(weights="camvid")
    fine = CANet(weights="camvid", classes=5, new_classifier=True, auxiliary_heads=True)
    weights = {weight.path: to_numpy(weight) for weight in fine.weights}
    path = trained.weights[0].path
    np.testing.assert_array_equal(weights[path], to_numpy(trained.weights[0]))
