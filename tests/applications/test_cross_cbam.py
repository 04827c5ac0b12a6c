import keras
import numpy as np
import pytest

from keras_segattn.applications import CrossCBAM
from keras_segattn.flops import count_flops
from keras_segattn.layers import ASPP, CCBAM, SEASPP
from tests.training import RUN_EAGERLY, call, to_numpy, trained_step


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def narrow_backbone(name="narrow"):
    """Four convolutions instead of an STDC network, for tests of the layers after it."""
    inputs = keras.Input((None, None, 3))
    x, outputs = inputs, {}
    for level, filters, stride in (("P3", 16, 8), ("P4", 32, 2), ("P5", 48, 2)):
        x = keras.layers.ZeroPadding2D(stride // 2)(x)
        x = keras.layers.Conv2D(filters, stride + 1, strides=stride, activation="relu")(x)
        outputs[level] = x
    return keras.Model(inputs, outputs, name=name)


def narrow(**arguments):
    return CrossCBAM(**{"backbone": narrow_backbone(), "classes": 5, "filters": 16, **arguments})


def test_the_literal_equation_3_has_no_activation(rng):
    literal, usual = narrow(reduction=2, channel_activation=None), narrow(reduction=2)
    literal.set_weights(usual.get_weights())
    layer = literal.get_layer("fusion1")
    assert layer.get_config()["channel_activation"] == "linear"
    image = rng.normal(size=(1, 32, 48, 3)).astype("float32")
    assert not np.allclose(to_numpy(literal(image)), to_numpy(usual(image)))


# The counts of the papers' networks are in docs/networks.md, and a test counts them again.
@pytest.mark.once
def test_the_dilations_of_table_5_that_the_page_has_not(shapes_only):
    model = CrossCBAM(auxiliary_heads=True, dilations=(3, 5))
    assert parameters(model) == 14_306_578
    assert round(count_flops(model, (512, 1024, 3), "cross_cbam") / 1e9, 4) == 12.3870


@pytest.mark.once
@pytest.mark.parametrize(
    ("backbone", "classes", "training", "inference"),
    [
        ("stdc1", 19, None, 11_616_895),
        ("stdc2", 19, None, 15_647_359),
        ("stdc1", 11, 12_207_362, 11_615_863),
        ("stdc2", 11, 16_237_826, 15_646_327),
    ],
)
def test_parameters_with_and_without_the_auxiliary_head(
    backbone, classes, training, inference, shapes_only
):
    plain = CrossCBAM(backbone=backbone, classes=classes)
    assert parameters(plain) == inference
    assert not [weight.path for weight in plain.weights if "auxiliary" in weight.path]
    if training:
        model = CrossCBAM(backbone=backbone, classes=classes, auxiliary_heads=True)
        assert parameters(model) == training


@pytest.mark.once
@pytest.mark.parametrize(("backbone", "flops"), [("stdc1", 25.454), ("stdc2", 40.307)])
def test_flops_of_larger_images(backbone, flops, shapes_only):
    counted = count_flops(CrossCBAM(backbone=backbone), (768, 1536, 3), "cross_cbam")
    assert round(counted / 1e9, 3) == flops


@pytest.mark.once
def test_multiply_adds_alone(shapes_only):
    assert round(count_flops(CrossCBAM(), (512, 1024, 3)) / 1e9, 4) == 11.2736


def test_any_size(rng):
    model = CrossCBAM(classes=5, filters=128)
    for size in ((33, 65), (32, 32), (90, 47)):
        logits = call(model, rng.normal(size=(1, *size, 3)).astype("float32"))
        assert logits.shape == (1, *size, 5)
        assert np.isfinite(logits).all()


@pytest.mark.once
@pytest.mark.parametrize("context", ["se_aspp", "aspp", "convolution"])
@pytest.mark.parametrize("fusion", ["ccbam", "addition", "concatenation", None])
def test_ablations(context, fusion, rng):
    # A reduction of 16 would leave one hidden unit, which a ReLU may silence.
    gates = {"reduction": 2} if fusion == "ccbam" else {}
    model = narrow(context=context, fusion=fusion, **gates)
    layers = {type(layer) for layer in model.layers}
    assert (SEASPP in layers, ASPP in layers) == (context == "se_aspp", context == "aspp")
    assert (CCBAM in layers) == (fusion == "ccbam")
    images = rng.normal(size=(2, 33, 65, 3)).astype("float32")
    changes = trained_step(
        model,
        images,
        rng.integers(0, 5, (2, 33, 65)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=RUN_EAGERLY,
    )
    assert all(np.isfinite(change).all() for change in changes.values())
    assert not [path for path, change in changes.items() if not np.abs(change).max() > 0]


@pytest.mark.once
@pytest.mark.parametrize("fusion", ["ccbam", "addition", "concatenation"])
def test_one_width_for_all_fusions(fusion, shapes_only):
    """The levels have 32 and 96 channels; without `fusion_filters` the fusions are as narrow."""
    plain, wide = (
        CrossCBAM(backbone="mobilenet_v2", fusion=fusion, filters=64, **width)
        for width in ({}, {"fusion_filters": 48})
    )
    for model, widths in ((plain, (64, 32)), (wide, (48, 48))):
        assert tuple(model.get_layer(f"fusion{i}").output.shape[-1] for i in (1, 2)) == widths
    with pytest.raises(ValueError, match="`fusion_filters` must be at least 1"):
        CrossCBAM(fusion_filters=0)
    with pytest.raises(ValueError, match="`fusion_filters` has an effect only with"):
        CrossCBAM(fusion_filters=48, fusion=None)


def test_figure_1(rng):
    model = narrow(filters=24)
    image = rng.normal(size=(1, 45, 70, 3)).astype("float32")
    levels = model.get_layer("narrow")(image)
    x = model.get_layer("context")(levels["P5"])
    lateral = model.get_layer("fusion1_lateral")(levels["P4"])
    x = keras.ops.image.resize(x, lateral.shape[1:3], data_format="channels_last")
    x = model.get_layer("fusion1")([x, lateral])
    x = model.get_layer("fusion2_narrow")(x)
    x = keras.ops.image.resize(x, levels["P3"].shape[1:3], data_format="channels_last")
    x = model.get_layer("fusion2")([x, levels["P3"]])
    x = model.get_layer("classifier")(model.get_layer("head")(x))
    want = keras.ops.image.resize(x, (45, 70), data_format="channels_last")
    np.testing.assert_allclose(call(model, image), to_numpy(want), rtol=1e-4, atol=1e-5)


def test_the_wider_map_is_narrowed():
    # P4 has 32 channels and P3 16; a width of 24 meets a wider and a narrower level.
    model = narrow(filters=24)
    names = {layer.name for layer in model.layers}
    assert {"fusion1_lateral", "fusion2_narrow"} <= names
    assert not {"fusion1_narrow", "fusion2_lateral"} & names
    assert model.get_layer("fusion1").output.shape[-1] == 24
    assert model.get_layer("fusion2").output.shape[-1] == 16


def test_features_alone():
    model = narrow(include_top=False)
    assert model.compute_output_shape((1, 64, 96, 3)) == (1, 8, 12, 16)


def test_auxiliary_loss_has_its_weight(rng):
    images = rng.normal(size=(2, 33, 65, 3)).astype("float32")
    masks = rng.integers(0, 5, (2, 33, 65))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    totals = []
    for weight in (0.0, 0.5, 1.0):
        keras.utils.set_random_seed(1)
        model = narrow(auxiliary_heads=True, auxiliary_weight=weight)
        model.compile(keras.optimizers.SGD(0.0), loss=loss, run_eagerly=RUN_EAGERLY)
        totals.append(model.train_on_batch(images, masks, return_dict=True)["loss"])
    assert totals[1] > totals[0]
    np.testing.assert_allclose(totals[2] - totals[0], 2 * (totals[1] - totals[0]), rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (64, 96)}, "without the batch"),
        ({"input_shape": (16, 96, 3)}, "at least 32"),
        ({"classes": 0}, "at least 1"),
        ({"context": "ppm"}, "`context` must be one of"),
        ({"fusion": "sum"}, "`fusion` must be one of"),
        ({"dilations": (3, 3)}, "different integers"),
        ({"reduction": 17}, "reduction=17"),
        ({"backbone": "stdc3"}, "Unknown backbone 'stdc3'"),
        ({"auxiliary_heads": True, "include_top": False}, "include_top=True"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        narrow(**arguments)


def test_refuses_a_backbone_without_a_level():
    full = narrow_backbone()
    lacking = keras.Model(full.input, {level: full.output[level] for level in ("P4", "P5")})
    with pytest.raises(ValueError, match="lacks the pyramid levels \\['P3'\\]"):
        CrossCBAM(backbone=lacking)
