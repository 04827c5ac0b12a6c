import numpy as np
import pytest

from keras_segattn.applications import CANet
from keras_segattn.backbones import LightBackbone, build_backbone
from keras_segattn.flops import count_flops


@pytest.mark.once
def test_size():
    model = LightBackbone()
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == 503_712
    assert count_flops(model, (512, 1024, 3)) == 2_881_486_848


@pytest.mark.once
def test_levels():
    pyramid = LightBackbone(input_shape=(33, 65, 3)).output
    assert {level: map_.shape[1:] for level, map_ in pyramid.items()} == {
        "P2": (9, 17, 64),
        "P3": (5, 9, 64),
        "P4_inner": (3, 5, 128),
        "P4": (3, 5, 128),
    }


def test_networks_that_need_p5_refuse_it_by_name():
    with pytest.raises(ValueError, match=r"'light' lacks the pyramid levels \['P5'\]"):
        build_backbone("light")
    with pytest.raises(ValueError, match=r"'light' lacks the pyramid levels \['P5'\]"):
        CANet(backbone="light")
