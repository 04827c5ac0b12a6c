"""Backbones whose strides are replaced by dilation."""

import functools

import numpy as np
import pytest

from keras_segattn.backbones.output_stride import dilate
from keras_segattn.backbones.registry import BACKBONES
from tests.training import call

# ResNets dilate the first block of a stage too, as CCNet's code does.
EXACT = ("efficientnet_lite0", "mobilenet_v2", "shufflenet_v2", "stdc1")
# Every axis is by itself. Sizes before the strides that are left out: 64 is even twice and 33 odd
# twice; 42 and 52 are even once, before the first or the last. One stride has but two cases.
CASES = [(8, (64, 33)), (8, (42, 52)), (16, (64, 33))]


def first_pixel(strides, symmetric):
    """Returns where the dilated map holds the first pixel of the strided one, along an axis.

    Without a pixel of padding before them, kernels with a stride of 2 lie one pixel later.
    """
    return 0 if symmetric else 2**strides - 1


@functools.cache
def strided_backbone(name):
    """The networks take longer to build than to run: they are built once for all sizes."""
    model, rng = BACKBONES[name](), np.random.default_rng(0)
    # Shifts make the zeros at the borders differ from the map. All other weights stay as they were
    # initialized: random statistics amplify the rounding of torch a thousandfold.
    for weight in model.weights:
        if weight.name == "beta":
            weight.assign(rng.uniform(-0.3, 0.3, weight.shape))
    return model


@functools.cache
def dilated_backbone(name, output_stride):
    model = BACKBONES[name](output_stride=output_stride)
    model.set_weights(strided_backbone(name).get_weights())
    return model


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("output_stride", "size"), CASES)
def test_the_dilated_map_holds_the_pixels_of_the_strided_one(name, output_stride, size, rng):
    strided, dilated = strided_backbone(name), dilated_backbone(name, output_stride)
    symmetric = name != "efficientnet_lite0"
    if not symmetric:
        # Beyond the end of an odd size, the strided network computes a pixel, where the dilated
        # network has zeros.
        size = [n - n % 32 for n in size]
    image = rng.normal(size=(1, *size, 3)).astype("float32")
    wants, gots = call(strided, image), call(dilated, image)
    for level in wants:
        stride = 2 ** int(level[1])
        got, want = gots[level], wants[level]
        kept = min(stride, output_stride)
        assert got.shape[1:3] == tuple(-(-n // kept) for n in size)
        removed = int(np.log2(stride // kept))
        first = first_pixel(removed, symmetric)
        got = got[:, first :: stride // kept, first :: stride // kept]
        scale = np.abs(want).max()
        np.testing.assert_allclose(got, want, atol=1e-4 * scale, rtol=0)


@pytest.mark.once
def test_dilations_double_after_each_stride_that_is_left_out():
    strides = (1, 2, 1, 2, 1, 2, 1)
    assert dilate(strides, 32) == [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (2, 1), (1, 1)]
    assert dilate(strides, 8) == [(1, 1), (2, 1), (1, 1), (1, 1), (1, 2), (1, 2), (1, 4)]


@pytest.mark.once
@pytest.mark.parametrize("name", EXACT)
def test_refusals_name_the_value(name):
    with pytest.raises(ValueError, match=r"`output_stride` must be one of .*Received: 4"):
        BACKBONES[name](output_stride=4)
