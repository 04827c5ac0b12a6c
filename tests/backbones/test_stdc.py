import numpy as np
import pytest

from keras_segattn.backbones import STDC1, STDC2, build_backbone
from keras_segattn.backbones.stdc import _stdc
from keras_segattn.layers import STDCBlock
from keras_segattn.weights.backbone_weights import load_backbone_weights
from tests import golden
from tests.training import randomize, to_numpy


@pytest.mark.once
@pytest.mark.parametrize(("backbone", "parameters"), [(STDC1, 5_318_304), (STDC2, 9_348_768)])
def test_parameters(backbone, parameters):
    model = backbone()
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize(
    ("name", "counts"), [("stdc1_base16", (2, 2, 2)), ("stdc2_base16", (4, 5, 3))]
)
def test_reference(name, counts, shared):
    arrays = golden.load_golden(shared("golden", f"{name}.npz"))
    model = _stdc(counts, (None, None, 3), None, None, name, width=16)
    layers = [layer for layer in model.layers if layer.weights]
    for i, layer in enumerate(layers):
        if isinstance(layer, STDCBlock):
            golden.assign_stdc_block(layer, arrays, f"features.{i}.")
        else:
            golden.assign_block(layer, arrays, f"features.{i}.conv", f"features.{i}.bn")
    assert model.count_params() == golden.count_weights(arrays)
    outputs = model(golden.feature_map(arrays, "x"))
    for level, stride in (("P2", 4), ("P3", 8), ("P4", 16), ("P5", 32)):
        want = golden.feature_map(arrays, f"feat{stride}")
        golden.assert_close(outputs[level], want, tolerance=1e-3)


@pytest.mark.once
@pytest.mark.parametrize("name", ["stdc1", "stdc2"])
def test_contract_of_the_pyramid(name):
    outputs = build_backbone(name).output
    assert {level: tensor.shape for level, tensor in outputs.items()} == {
        "P2": (None, None, None, 64),
        "P3": (None, None, None, 256),
        "P4": (None, None, None, 512),
        "P5": (None, None, None, 1024),
    }


def test_odd_sizes(rng):
    outputs = _narrow()(rng.normal(size=(1, 33, 65, 3)).astype("float32"))
    shapes = {level: tuple(output.shape[1:3]) for level, output in outputs.items()}
    assert shapes == {"P2": (9, 17), "P3": (5, 9), "P4": (3, 5), "P5": (2, 3)}


def test_an_archive_fills_the_blocks_inside_of_layers_too(rng, tmp_path):
    source, target = _narrow(), _narrow()
    randomize(source, rng)
    arrays = {}
    for layer in source.layers:
        for block in getattr(layer, "blocks", [layer] if layer.weights else []):
            arrays.update(_arrays(block, layer))
        if isinstance(layer, STDCBlock) and layer.strides == 2:
            arrays.update(_arrays(layer.downsample, layer))
    path = tmp_path / "stdc.npz"
    np.savez(path, **arrays)
    load_backbone_weights(target, path)
    for ours, theirs in zip(target.weights, source.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))

    del arrays["stage3.1.conv2.weight"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"stage3\.1\.conv2\.weight is missing"):
        load_backbone_weights(_narrow(), path)


def _narrow():
    return _stdc((2, 1, 1), (None, None, 3), None, None, "stdc_narrow", width=4)


def _arrays(block, layer):
    name = layer.name if block is layer else f"{layer.name}_{block.name}"
    key = name.replace("_", ".")
    axes = (2, 3, 0, 1) if block.filters is None else (3, 2, 0, 1)
    yield f"{key}.weight", np.transpose(to_numpy(block.conv.kernel), axes)
    for vector in ("gamma", "beta", "moving_mean", "moving_variance"):
        yield f"{key}.bn.{vector}", to_numpy(getattr(block.norm, vector))
