import numpy as np
import pytest

from keras_segattn.layers import ASPP
from tests.layers.cases import as_array
from tests.oracles import conv_norm_act
from tests.training import randomize


def test_equations(rng):
    layer = ASPP(filters=4, dilations=(1, 2, 4))
    x = rng.normal(size=(2, 5, 7, 6)).astype("float32")
    layer.build(x.shape)
    randomize(layer, rng)
    got = as_array(layer(x))
    for i in range(2):
        parts = [conv_norm_act(conv, x[i]) for conv in layer.atrous]
        image = conv_norm_act(layer.image, x[i].mean(axis=(0, 1), keepdims=True))
        parts.append(np.broadcast_to(image, parts[0].shape))
        want = conv_norm_act(layer.project, np.concatenate(parts, axis=-1))
        np.testing.assert_allclose(got[i], want, atol=1e-4 * max(1, np.abs(want).max()))


def test_refuses_dilations():
    with pytest.raises(ValueError, match="different integers from 1 up"):
        ASPP(dilations=(6, 6))
