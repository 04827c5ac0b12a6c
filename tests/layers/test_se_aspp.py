import numpy as np
import pytest

from keras_segattn.layers import SEASPP
from tests.layers.cases import as_array
from tests.oracles import conv_norm_act, dense, sigmoid
from tests.training import randomize


def squeeze_and_excite(layer, x):
    hidden = np.maximum(dense(layer.squeeze, x.mean(axis=(0, 1))), 0)
    return x * sigmoid(dense(layer.excite, hidden))


@pytest.mark.parametrize("dilations", [(1, 3), (2, 4), (1, 2, 3)])
def test_equations(dilations, rng):
    layer = SEASPP(filters=4, dilations=dilations)
    x = rng.normal(size=(2, 5, 7, 6)).astype("float32")
    layer.build(x.shape)
    randomize(layer, rng)
    got = as_array(layer(x))
    for i in range(2):
        context = sum(conv_norm_act(conv, x[i]) for conv in layer.atrous)
        features = np.concatenate([squeeze_and_excite(layer, x[i]), context], axis=-1)
        want = conv_norm_act(layer.project, features)
        np.testing.assert_allclose(got[i], want, atol=1e-4 * max(1, np.abs(want).max()))


def test_dilation_one_is_a_1x1_convolution():
    layer = SEASPP(dilations=(1, 3, 5))
    assert [conv.kernel_size for conv in layer.atrous] == [1, 3, 3]
    assert [conv.dilations for conv in layer.atrous] == [1, 3, 5]


@pytest.mark.parametrize(
    ("filters", "dilations", "parameters"),
    [
        (256, (1, 3), 6_097_664),
        (256, (2, 4), 8_194_816),
        (256, (3, 5), 8_194_816),
        (256, (1, 3, 5), 8_457_472),
        (256, (2, 4, 6), 10_554_624),
        (128, (1, 3), 2_901_888),
        (512, (1, 3), 13_373_952),
    ],
)
def test_parameters_of_the_paper(filters, dilations, parameters):
    layer = SEASPP(filters, dilations)
    layer.build((None, None, None, 1024))
    assert sum(np.prod(weight.shape) for weight in layer.trainable_weights) == parameters


@pytest.mark.parametrize("dilations", [(), (0, 3), (3, 3)])
def test_refuses_dilations(dilations):
    with pytest.raises(ValueError, match="different integers from 1 up"):
        SEASPP(dilations=dilations)
