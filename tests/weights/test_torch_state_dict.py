import hashlib

import keras
import numpy as np
import pytest

from keras_segattn import layers
from keras_segattn.applications import AttaNet, CANet, CCNet
from keras_segattn.backbones import (
    LightBackbone,
    MobileNetV2,
    ResNet18,
    ResNet50,
    ResNet101,
    ShuffleNetV2,
)
from keras_segattn.backbones.resnet import _basic_block, _bottleneck, _resnet
from keras_segattn.backbones.stdc import _stdc
from keras_segattn.weights import load_torch_state_dict
from keras_segattn.weights.naming import torchvision
from keras_segattn.weights.slot import layers_with_weights, slots_of
from tests.golden import assert_close, feature_map
from tests.training import build, call, randomize, to_numpy
from tests.weights.cases import state_dict_of

ANY_SIZE = (None, None, 3)


@pytest.fixture
def golden(shared):
    """Returns a function that reads a fixture: its maps, and its weights by the authors' names."""

    def read(name):
        with np.load(shared("golden", f"{name}.npz")) as arrays:
            arrays = dict(arrays)
        return arrays, {key[2:]: arrays[key] for key in arrays if key.startswith("w/")}

    return read


def values(target):
    return [to_numpy(weight) for weight in target.weights]


def refuses(target, state_dict, message):
    before = values(target)
    with pytest.raises(ValueError, match=message):
        load_torch_state_dict(target, state_dict)
    for one, other in zip(before, values(target), strict=True):
        np.testing.assert_array_equal(one, other)


def tiny_ccnet(counts, classes, **arguments):
    backbone = _resnet(_bottleneck, counts, ANY_SIZE, 8, "deep", None, None, "tiny", width=8)
    return CCNet(backbone=backbone, classes=classes, filters=64, **arguments)


def narrow_attanet(**arguments):
    backbone = _resnet(_basic_block, (2,) * 4, ANY_SIZE, 32, "standard", None, None, "r", width=16)
    return AttaNet(backbone=backbone, filters=32, **{"classes": 5, **arguments})


@pytest.mark.parametrize(
    ("name", "counts", "classes"),
    [("ccnet_tiny", (1, 2, 2, 2), 5), ("ccnet_tiny_even", (1, 1, 2, 2), 4)],
)
def test_ccnet(name, counts, classes, golden):
    arrays, state_dict = golden(name)
    model = tiny_ccnet(counts, classes, auxiliary_heads=True)
    # In-place ABN does not mind the sign, and the counters and the prefix are torch's.
    state_dict["layer1.0.bn1.weight"] = -state_dict["layer1.0.bn1.weight"]
    state_dict["bn1.num_batches_tracked"] = np.array(9)
    load_torch_state_dict(model, {f"module.{key}": value for key, value in state_dict.items()})
    heads = [model.network.get_layer(name) for name in ("classifier", "auxiliary_head")]
    at_stride_8 = keras.Model(model.network.input, [head.output for head in heads])
    for got, want in zip(call(at_stride_8, feature_map(arrays, "x")), ("y", "dsn"), strict=True):
        assert_close(got, feature_map(arrays, want), tolerance=1e-3)

    backbone = tiny_ccnet(counts, classes).get_layer("tiny")
    load_torch_state_dict(backbone, state_dict)
    trained = model.network.get_layer("tiny")
    for one, other in zip(values(backbone), values(trained)[: len(backbone.weights)], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("attention", ["criss_cross", None])
def test_head_of_ccnet_alone(attention, golden):
    arrays, state_dict = golden("ccnet_rcca_head")
    features = keras.Input((None, None, 32))
    backbone = keras.Model(features, {"P5": keras.layers.Identity()(features)}, name="features")
    model = CCNet(
        backbone=backbone,
        input_shape=(None, None, 32),
        classes=5,
        filters=16,
        attention=attention,
    )
    load_torch_state_dict(model, state_dict, strict=attention is not None)
    want = feature_map(arrays, "y_r2" if attention else "y_r0")
    assert_close(call(model, feature_map(arrays, "x")), want)


@pytest.mark.parametrize("name", ["attanet_r18_w16", "attanet_light"])
def test_attanet(name, golden):
    arrays, state_dict = golden(name)
    if name == "attanet_light":
        model = AttaNet(backbone="light", classes=5, auxiliary_heads=True)
    else:
        model = narrow_attanet(auxiliary_heads=True)
        state_dict["head.resnet.fc.bias"] = np.zeros(1000)
    load_torch_state_dict(model, state_dict)
    outputs = call(model.network, feature_map(arrays, "x"))
    for ours, theirs in zip(outputs, ("out", "aux1", "aux2"), strict=True):
        assert_close(ours, feature_map(arrays, theirs), tolerance=1e-3)


@pytest.mark.parametrize(
    ("name", "counts"), [("stdc1_base16", (2, 2, 2)), ("stdc2_base16", (4, 5, 3))]
)
def test_stdc_from_its_own_file_and_from_a_network(name, counts, golden):
    arrays, state_dict = golden(name)
    # As in the authors' files: every layer a second time, and the classifier.
    whole = {**state_dict, "x4.0.conv.weight": np.zeros(1), "conv_last.conv.weight": np.zeros(1)}
    of_network = {f"cp.backbone.{key}": value for key, value in whole.items()}
    of_network["ffm.convblk.conv.weight"] = np.zeros(1)
    for weights in (whole, of_network):
        model = _stdc(counts, ANY_SIZE, None, None, name, width=16)
        load_torch_state_dict(model, weights)
        outputs = call(model, feature_map(arrays, "x"))
        for level, stride in (("P2", 4), ("P3", 8), ("P4", 16), ("P5", 32)):
            assert_close(outputs[level], feature_map(arrays, f"feat{stride}"), tolerance=1e-3)


SINGLE_LAYERS = [
    ("cca_C16_5x7", lambda: layers.CrissCrossAttention(), "x", "y_r2"),
    ("sam_C16_q8_6x10", lambda: layers.StripAttention(8), "x", "y"),
    ("sampaper_C16_q8_6x10", lambda: layers.StripAttention(8, normalize=False), "x", "y"),
    ("afm_12_20_8_7x9", lambda: layers.AttentionFusion(8), "low high", "y"),
    ("afmlight_10_14_8_8x12", lambda: layers.AttentionFusion(8, light=True), "low high", "y"),
    ("stdc_cat_s2_n4_16to32_9x12", lambda: layers.STDCBlock(32, 2), "x", "y"),
    ("stdc_add_s2_n4_16to32_8x11", lambda: layers.STDCBlock(32, 2, mode="add"), "x", "y"),
    ("ccbam_C32_r16_6x9_sig", lambda: layers.CCBAM(), "high low", "y"),
    (
        "ccbam_C32_r16_7x4_sig_nobias_k7",
        lambda: layers.CCBAM(spatial_kernel_size=7),
        "high low",
        "y",
    ),
]


@pytest.mark.parametrize("case", SINGLE_LAYERS, ids=[case[0] for case in SINGLE_LAYERS])
def test_single_layers(case, golden):
    name, make, inputs, output = case
    arrays, state_dict = golden(name)
    inputs = [feature_map(arrays, key) for key in inputs.split()]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    layer = make()
    build(layer, inputs)
    load_torch_state_dict(layer, state_dict)
    assert_close(call(layer, inputs), feature_map(arrays, output))


@pytest.mark.once
def test_layer_out_of_a_network(golden):
    _, state_dict = golden("ccnet_tiny")
    layer = layers.CrissCrossAttention()
    layer.build((None, None, None, 64))
    load_torch_state_dict(layer, state_dict)
    np.testing.assert_array_equal(layer.gamma, state_dict["head.cca.gamma"])
    twice = {**state_dict, **{f"ema.{key}": value for key, value in state_dict.items()}}
    refuses(layer, twice, r"match the weights of .*: \['ema\.head\.cca\.', 'head\.cca\.'\]")


# Number and hash of the names and shapes of torchvision 0.28's state dicts. They do not know the
# classifiers of the models here, whose lines are added.
CLASSIFIER = ["fc.bias (1000,)", "fc.weight (1000, {})"]
LAST_CONVOLUTION = [
    "{0}.0.weight {1}",
    *(f"{{0}}.1.{name} ({{2}},)" for name in ("bias", "running_mean", "running_var", "weight")),
    "{0}.1.num_batches_tracked ()",
]


def last_convolution(name, filters, channels):
    shape = (filters, channels, 1, 1)
    return [line.format(name, shape, filters) for line in LAST_CONVOLUTION]


TORCHVISION = [
    (ResNet18, torchvision.resnet, [*CLASSIFIER], 512, 122, "5191d63ec3989592"),
    (ResNet50, torchvision.resnet, [*CLASSIFIER], 2048, 320, "a87e91cd6bd1f939"),
    (ResNet101, torchvision.resnet, [*CLASSIFIER], 2048, 626, "dbc3ca74fffafc72"),
    (
        MobileNetV2,
        torchvision.mobilenet_v2,
        [
            *last_convolution("features.18", 1280, 320),
            "classifier.1.bias (1000,)",
            "classifier.1.weight (1000, 1280)",
        ],
        None,
        314,
        "e3eb10f890f74c6e",
    ),
    (
        ShuffleNetV2,
        torchvision.shufflenet_v2,
        [*last_convolution("conv5", 1024, 464), *CLASSIFIER],
        1024,
        338,
        "c54ed350c00fa178",
    ),
]


with_torchvision = pytest.mark.parametrize(
    ("make", "naming", "classifier", "width", "count", "digest"),
    TORCHVISION,
    ids=[case[0].__name__ for case in TORCHVISION],
)


@pytest.mark.once
@with_torchvision
def test_names_and_shapes_are_torchvisions(make, naming, classifier, width, count, digest):
    found = layers_with_weights(make())
    slots = slots_of(found, naming(list(found)))
    names = [f"{slot.key} {slot.torch_shape}" for slot in slots]
    names += [
        slot.key.replace("running_var", "num_batches_tracked") + " ()"
        for slot in slots
        if slot.key.endswith("running_var")
    ]
    names += [line.format(width) for line in classifier]
    assert len(names) == count
    assert hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16] == digest


@pytest.mark.once
@pytest.mark.parametrize(
    ("make", "rest"),
    [
        (ResNet18, "fc.weight"),
        (MobileNetV2, "features.18.0.weight"),
        (MobileNetV2, "classifier.1.bias"),
        (ShuffleNetV2, "conv5.0.weight"),
    ],
)
def test_torchvisions_classifiers_are_left_out(make, rest, rng):
    source, target = make(), make()
    randomize(source, rng)
    load_torch_state_dict(target, {**state_dict_of(source), rest: np.zeros(3)})
    for one, other in zip(values(target), values(source), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.once
def test_other_classes(golden):
    _, state_dict = golden("attanet_r18_w16")
    model, same = narrow_attanet(classes=3), narrow_attanet()
    load_torch_state_dict(same, state_dict)
    classifier = to_numpy(model.get_layer("head").classifier.kernel)
    with pytest.warns(UserWarning, match="everything but head/classifier was loaded"):
        load_torch_state_dict(model, state_dict)
    np.testing.assert_array_equal(model.get_layer("head").classifier.kernel, classifier)
    for layer in ("decoder1", "fusion", "attention", "r"):
        for one, other in zip(
            values(model.get_layer(layer)), values(same.get_layer(layer)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    supervised = narrow_attanet(classes=3, auxiliary_heads=True)
    with pytest.warns(UserWarning, match="but auxiliary1_head/classifier, auxiliary2_head"):
        load_torch_state_dict(supervised, state_dict)


@pytest.mark.once
def test_what_does_not_fit_changes_nothing(golden):
    _, state_dict = golden("ccnet_tiny")
    model = tiny_ccnet((1, 2, 2, 2), 5)

    def changed(**entries):
        return {**state_dict, **{key.replace("__", "."): value for key, value in entries.items()}}

    lacking = {key: value for key, value in state_dict.items() if key != "layer2.0.bn1.bias"}
    refuses(model, lacking, r"from CCNet\) do not fit 'ccnet': layer2\.0\.bn1\.bias is missing$")
    extra = changed(layer5__weight=np.zeros(1))
    refuses(model, extra, r"layer5\.weight is unexpected$")
    shape = changed(conv1__weight=np.zeros((8, 4, 3, 3)))
    refuses(model, shape, r"conv1\.weight has shape \(8, 4, 3, 3\), not \(8, 3, 3, 3\)$")
    # Not the number of classes, but the input of the classifier.
    refuses(model, changed(head__bottleneck__3__weight=np.zeros((5, 9, 1, 1))), "3.weight has")
    refuses(tiny_ccnet((2, 2, 2, 2), 5), state_dict, "and 10 more")
    refuses(ResNet18(), {"encoder.weight": np.zeros(3)}, r"of its names: \['encoder\.weight'\]")
    refuses(CANet(classes=2), state_dict, "load the backbone")
    with pytest.raises(ValueError, match="has no weights yet"):
        load_torch_state_dict(layers.STDCBlock(32), state_dict)

    load_torch_state_dict(model, {**lacking, "layer5.weight": np.zeros(1)}, strict=False)
    np.testing.assert_array_equal(
        model.get_layer("classifier").bias, state_dict["head.bottleneck.3.bias"]
    )
    with pytest.raises(ValueError, match="has shape"):
        load_torch_state_dict(model, shape, strict=False)


@pytest.mark.once
def test_light_backbone_out_of_its_network(golden):
    _, state_dict = golden("attanet_light")
    model = LightBackbone()
    load_torch_state_dict(model, state_dict)
    kernel = np.transpose(state_dict["head.backbone.branch.S3_3.conv.weight"], (2, 3, 1, 0))
    np.testing.assert_array_equal(model.get_layer("S3_3").conv.kernel, kernel)


@pytest.mark.once
def test_in_place_abn_is_not_taken_for_torchvisions_normalization(rng):
    model = ResNet18()
    randomize(model, rng)
    state_dict = state_dict_of(model)
    state_dict["bn1.weight"] = -np.abs(state_dict["bn1.weight"])
    load_torch_state_dict(model, state_dict)
    np.testing.assert_array_equal(model.get_layer("conv1").norm.gamma, state_dict["bn1.weight"])
