"""Networks of keras.applications by name."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.backbones import ResNet18, build_backbone
from keras_segattn.backbones.keras_applications import (
    application_names,
    keras_application,
    preprocessing_of_function,
)
from keras_segattn.backbones.stages import level_sizes, level_strides, rounds_up
from keras_segattn.weights.preprocessing import PIXELS
from tests.training import call, to_numpy

STRIDES = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        # The ends of the stages, known from the papers; no 1x1 convolution that widens them.
        ("ResNet50V2", ["conv2_block2_out", "conv3_block3_out", "conv4_block5_out", "post_relu"]),
        ("MobileNet", [f"conv_pw_{i}_relu" for i in (3, 5, 11, 13)]),
        ("MobileNetV2", ["block_2_add", "block_5_add", "block_12_add", "block_16_project_BN"]),
        ("VGG16", ["block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]),
    ],
)
def test_levels_are_the_ends_of_stages(name, ends):
    pyramid = keras_application(name)
    assert [tensor._keras_history.operation.name for tensor in pyramid.output.values()] == ends
    assert level_strides(pyramid) == STRIDES


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("MobileNetV3Small", CANet),  # rounds some sizes down
        ("MobileNet", CrossCBAM),
        ("MobileNetV2", AttaNet),
        ("VGG16", CCNet),
    ],
)
def test_networks_at_odd_sizes(name, network, rng):
    options = {"output_stride": 32} if network is CCNet else {}
    model = network(
        backbone=f"keras.applications/{name}",
        classes=3,
        filters=16,
        input_shape=(45, 70, 3),
        **options,
    )
    logits = call(model, rng.normal(size=(1, 45, 70, 3)).astype("float32"))
    assert logits.shape == (1, 45, 70, 3)
    assert np.isfinite(logits).all()


@pytest.mark.once
def test_canet_takes_any_size_from_a_backbone_that_rounds_down():
    pyramid = keras_application("MobileNetV3Small")
    assert not rounds_up(pyramid)
    assert rounds_up(ResNet18())
    assert not rounds_up(ResNet18(stem="deep"))  # its pooling adds a row
    assert level_sizes(pyramid, 45, 70) == {
        "P2": (11, 17),
        "P3": (5, 8),
        "P4": (2, 4),
        "P5": (1, 2),
    }
    model = CANet(backbone=pyramid, classes=2, filters=8, up_channels=8)
    for size in range(32, 72):
        image = keras.KerasTensor((1, size, 103 - size, 3))
        assert model.compute_output_spec(image).shape == (1, size, 103 - size, 2)
    for size in ((45, 70), (47, 33), (32, 63)):
        assert model.predict(np.zeros((1, *size, 3)), verbose=0).shape == (1, *size, 2)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "densenet", "efficientnet_v2"])
def test_preprocessing_is_that_of_the_network(name, rng):
    preprocess_input = getattr(keras.applications, name).preprocess_input
    preprocessing = preprocessing_of_function(preprocess_input)
    images = rng.uniform(0, 255, (1, 4, 5, 3)).astype("float32")
    want = np.array(preprocess_input(images.copy()))
    np.testing.assert_allclose(to_numpy(preprocessing(images)), want, atol=1e-4)
    assert (preprocessing == PIXELS) == (name == "efficientnet_v2")


@pytest.mark.once
@pytest.mark.parametrize("as_model", [True, False])
def test_a_network_that_normalizes_its_images_does_it_once(as_model):
    """Its first convolution sees the mean and deviation of ImageNet, for black and white too."""
    backbone = "keras.applications/EfficientNetV2B0"
    if as_model:
        backbone = keras_application("EfficientNetV2B0")
        # As a model of a user's, without our attribute.
        backbone = keras.Model(backbone.input, backbone.output)
    pyramid = build_backbone(backbone, levels=("P5",))
    stem = keras.Model(pyramid.input, pyramid.get_layer("stem_conv").input)
    colors = np.array([0, 255], "uint8")[None, None, :, None] * np.ones((1, 1, 1, 3), "uint8")
    black, white = to_numpy(stem(pyramid.preprocessing(colors)))[0, 0]
    np.testing.assert_allclose(black, [-2.118, -2.036, -1.804], atol=1e-3)
    np.testing.assert_allclose(white, [2.249, 2.429, 2.640], atol=1e-3)


@pytest.mark.once
def test_normalization_is_found_in_nested_models_and_a_given_preprocessing_is_kept():
    image = keras.Input((None, None, 3))
    inner_image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 255)(inner_image)
    maps = keras.layers.Conv2D(4, 3, strides=32, padding="same")(scaled)
    inner = keras.Model(inner_image, maps)
    backbone = keras.Model(image, {"P5": inner(image)})
    assert build_backbone(backbone, levels=("P5",)).preprocessing == PIXELS
    own = preprocessing_of_function(keras.applications.mobilenet.preprocess_input)
    assert build_backbone(backbone, levels=("P5",), preprocessing=own).preprocessing == own
    plain = keras.Model(image, {"P5": keras.layers.Conv2D(4, 3, strides=32)(image)})
    assert build_backbone(plain, levels=("P5",)).preprocessing != PIXELS


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ResNet17", {}, r"no network 'ResNet17'. It has: .*'ResNet50'"),
        ("InceptionV3", {}, r"InceptionV3 cannot be a backbone: .* from 32x32"),
        ("NASNetMobile", {}, r"NASNetMobile cannot be a backbone: .* for one size only"),
        ("MobileNet", {"weights": "imagenet", "channels": 1}, r"Received: 1 channel$"),
    ],
)
def test_refusals_say_what_would_work(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_application(name, **arguments)


@pytest.mark.once
def test_a_failing_fetch_is_a_connection_error(monkeypatch):
    def fail(**arguments):
        raise Exception("URL fetch failure on https://example.com/x.h5: None -- no route")

    monkeypatch.setattr(keras.applications, "MobileNet", fail)
    monkeypatch.setattr(
        "keras_segattn.backbones.keras_applications.application_names", lambda: ["MobileNet"]
    )
    with pytest.raises(ConnectionError, match=r"no route.*pass its path instead of 'imagenet'"):
        keras_application("MobileNet", weights="imagenet")


def test_all_networks_are_listed():
    names = application_names()
    assert len(names) >= 38
    assert {"EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Large", "ResNet50V2"} <= set(names)


@pytest.mark.once
def test_files_of_other_weights_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.h5\. Pass the path of a file of keras\.app"
    ):
        keras_application("MobileNetV3Small", weights=tmp_path / "none.h5")
    other = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).save_weights(other)
    (tmp_path / "weights.pth").touch()
    for path in (other, tmp_path / "weights.pth"):
        message = (
            rf"{path.name} was not loaded into keras\.applications\.MobileNetV3Small: .* Pass a"
        )
        with pytest.raises(ValueError, match=message):
            keras_application("MobileNetV3Small", weights=path)


@pytest.mark.once
def test_a_file_of_the_same_network_is_loaded(tmp_path):
    application = keras.applications.MobileNetV3Small(
        input_shape=(None, None, 3), include_top=False, weights=None
    )
    application.save_weights(tmp_path / "own.weights.h5")
    pyramid = keras_application("MobileNetV3Small", weights=tmp_path / "own.weights.h5")
    want = to_numpy(application.get_layer("conv").kernel)
    np.testing.assert_array_equal(to_numpy(pyramid.get_layer("conv").kernel), want)
