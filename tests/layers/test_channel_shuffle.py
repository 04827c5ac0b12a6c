import numpy as np
import pytest

from keras_segattn.layers import ChannelShuffle
from tests.training import to_numpy


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_equals_the_equation(groups, rng):
    x = rng.normal(size=(2, 3, 5, 6)).astype("float32")
    y = to_numpy(ChannelShuffle(groups)(x))
    for i in range(6 // groups):
        for group in range(groups):
            np.testing.assert_array_equal(
                y[..., i * groups + group], x[..., group * 6 // groups + i]
            )


@pytest.mark.parametrize("groups", [0, 4])
def test_refuses_groups_that_do_not_divide(groups):
    with pytest.raises(ValueError, match=f"groups={groups}"):
        ChannelShuffle(groups).build((None, 3, 5, 6))
