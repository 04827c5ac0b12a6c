import keras
import numpy as np
import pytest

from keras_segattn.backbones import ResNet18, ResNet50, build_backbone
from keras_segattn.backbones.resnet import _bottleneck, _resnet
from tests.golden import assert_close, assign_resnet, feature_map, load_golden
from tests.training import to_numpy


@pytest.mark.once
@pytest.mark.parametrize("stem", ["standard", "deep"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride_holds_the_last_stages(output_stride, stem):
    levels = ResNet18(input_shape=(65, 97, 3), output_stride=output_stride, stem=stem).output
    for level in range(2, 6):
        stride = min(2**level, output_stride)
        assert levels[f"P{level}"].shape[1:3] == (-(-65 // stride), -(-97 // stride))


@pytest.mark.once
@pytest.mark.parametrize(
    ("output_stride", "dilations"), [(8, [1, 1, 2, 4]), (16, [1, 1, 1, 2]), (32, [1, 1, 1, 1])]
)
@pytest.mark.parametrize("network", [ResNet18, ResNet50])
def test_every_block_of_a_stage_is_dilated(network, output_stride, dilations):
    model = network(output_stride=output_stride)
    convs = [layer for layer in model.layers if getattr(layer, "kernel_size", 1) == 3]
    for stage, dilation in enumerate(dilations, start=1):
        rates = {c.dilations for c in convs if c.name.startswith(f"layer{stage}_")}
        assert rates == {dilation}


@pytest.mark.once
def test_the_stride_on_the_first_1x1(rng):
    """As in maskrcnn-benchmark: the odd rows and columns of a map are never read."""
    models = [ResNet50(stride_in_1x1=where) for where in (True, False)]
    assert [w.shape for w in models[0].weights] == [w.shape for w in models[1].weights]
    for model, strides in zip(models, ((2, 1), (1, 2)), strict=True):
        for stage in range(2, 5):
            found = tuple(model.get_layer(f"layer{stage}_0_conv{i}").strides for i in (1, 2))
            assert found == strides
            assert model.get_layer(f"layer{stage}_1_conv1").strides == 1
    block = keras.Model(models[0].output["P2"], models[0].get_layer("layer2_0_relu").output)
    x = rng.normal(size=(1, 8, 8, 256)).astype("float32")
    other = x.copy()
    other[:, 1::2], other[:, :, 1::2] = 7.0, 7.0
    np.testing.assert_array_equal(to_numpy(block(x)), to_numpy(block(other)))


@pytest.mark.parametrize(
    ("name", "counts", "size"),
    [("ccnet_tiny", (1, 2, 2, 2), (65, 97)), ("ccnet_tiny_even", (1, 1, 2, 2), (64, 80))],
)
def test_dilated_deep_resnet_is_that_of_ccnet(name, counts, size, shared):
    golden = load_golden(shared("golden", f"{name}.npz"), in_place_abn=True)
    model = _resnet(_bottleneck, counts, (*size, 3), 8, "deep", None, None, "tiny", width=8)
    assign_resnet(model, golden)
    levels = model(feature_map(golden, "x"))
    for level in (3, 4, 5):
        assert_close(
            levels[f"P{level}"], feature_map(golden, f"f_layer{level - 1}"), tolerance=1e-3
        )


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match=r"`output_stride` must be one of .*Received: 4"):
        ResNet18(output_stride=4)
    with pytest.raises(ValueError, match=r"`stem` must be one of .*Received: 'wide'"):
        ResNet18(stem="wide")
    with pytest.raises(ValueError, match=r"'df1' has no \['output_stride'\]"):
        build_backbone("df1", output_stride=8)
