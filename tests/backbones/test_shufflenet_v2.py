import keras
import numpy as np
import pytest

from keras_segattn.backbones import ShuffleNetV2
from keras_segattn.backbones.shufflenet_v2 import _unit
from keras_segattn.flops import count_flops
from tests.oracles import conv_norm_act
from tests.training import randomize, to_numpy


@pytest.mark.once
def test_size():
    # As counted for Table 4 of AttaNet: 0.776 M and 2.520 G. torchvision's network has 2,278,604
    # with the last convolution, 464 x 1024 + 2 x 1024, and the classifier, 1024 x 1000 + 1000.
    model = ShuffleNetV2()
    parameters = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert parameters == 776_420
    assert parameters + 464 * 1024 + 2 * 1024 + 1024 * 1000 + 1000 == 2_278_604
    assert count_flops(model, (1024, 1024, 3)) == 2_520_342_528


@pytest.mark.once
def test_levels():
    pyramid = ShuffleNetV2(input_shape=(33, 65, 3)).output
    assert {level: map_.shape[1:] for level, map_ in pyramid.items()} == {
        "P2": (9, 17, 24),
        "P3": (5, 9, 116),
        "P4": (3, 5, 232),
        "P5": (2, 3, 464),
    }


def test_unit_passes_half_of_the_channels_and_shuffles(rng):
    inputs = keras.Input((4, 5, 6))
    model = keras.Model(inputs, _unit(inputs, 6, True, 1, 1, "unit"))
    randomize(model, rng)
    x = rng.normal(size=(2, 4, 5, 6)).astype("float32")
    y = to_numpy(model(x))
    np.testing.assert_array_equal(y[..., ::2], x[..., :3])
    branch = conv_norm_act(model.get_layer("unit_branch2_pw1"), x[..., 3:].astype("float64"))
    branch = to_numpy(model.get_layer("unit_branch2_dw")(branch.astype("float32")))
    branch = conv_norm_act(model.get_layer("unit_branch2_pw2"), branch.astype("float64"))
    np.testing.assert_allclose(y[..., 1::2], branch, rtol=1e-4, atol=1e-4)


def test_published_weights_fit(shared):
    path = shared("weights", "shufflenetv2_1.0_nanodet_coco_convbn.npz")
    model = ShuffleNetV2(weights=path)
    with np.load(path) as arrays:
        kernel = arrays["stage4.3.branch2.dw.weight"].astype("float32")
    block = model.get_layer("stage4_3_branch2_dw")
    np.testing.assert_array_equal(to_numpy(block.conv.kernel), kernel.transpose(2, 3, 0, 1))


def test_file_round_trip(tmp_path, rng):
    model = ShuffleNetV2(input_shape=(None, None, 3))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    x = rng.normal(size=(1, 33, 40, 3)).astype("float32")
    np.testing.assert_array_equal(to_numpy(model(x)["P5"]), to_numpy(copy(x)["P5"]))
