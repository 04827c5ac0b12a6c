"""The model that is exported."""

import keras
import numpy as np
import pytest

from keras_segattn.applications import AttaNet, CANet, canet
from keras_segattn.export import export_model, load_exported, read_metadata
from keras_segattn.export.serving_model import serving_model
from tests.applications.cases import tiny_backbone
from tests.export.cases import color_network, expected, small_network
from tests.training import randomize


def test_a_model_that_ends_in_a_softmax(rng):
    model = CANet(backbone=tiny_backbone(), classes=3, filters=16, classifier_activation="softmax")
    image = rng.integers(0, 256, (1, 40, 40, 3), dtype="uint8")
    served = serving_model(model, model.preprocessing, "probabilities")(image)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(served["probabilities"]),
        model.predict(model.preprocessing(image), verbose=0),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match="returns probabilities and has no logits"):
        serving_model(model, model.preprocessing, "logits")


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_exported_in_float32(dtype, images, rng):
    keras.config.set_dtype_policy(dtype)
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    served = serving_model(model, canet.preprocess_input)
    policies = {layer.dtype_policy.name for layer in served.get_layer("canet")._flatten_layers()}
    assert policies == {"float32"}
    got = keras.ops.convert_to_numpy(served(images[0][None])["class_map"])
    assert np.mean(got == expected(model, images[0])) > 0.9


@pytest.mark.tensorflow
def test_a_coarse_class_map_is_that_of_the_decoder(images, tmp_path, rng):
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, rng)
    path = tmp_path / "m.onnx"
    export_model(model, path, "onnx", output="coarse_class_map", images=images)
    assert read_metadata(path)["resized"] == "class_map"
    # TensorRT has uint8 only at the ends of a graph.
    onnx = pytest.importorskip("onnx")
    inner = onnx.shape_inference.infer_shapes(onnx.load(path)).graph.value_info
    assert onnx.TensorProto.UINT8 not in [value.type.tensor_type.elem_type for value in inner]
    (image,) = images[:1]
    (got,) = load_exported(path)(image[None])["class_map"]
    assert got.shape == image.shape[:2]
    coarse = keras.Model(model.input, model.get_layer("logits").input[0])
    inputs = canet.preprocess_input(image[None].astype("float32"))
    (expected,) = keras.ops.convert_to_numpy(coarse(inputs)).argmax(axis=-1)
    rows, columns = (
        np.arange(size) * coarse_size // size
        for size, coarse_size in zip(got.shape, expected.shape, strict=True)
    )
    assert np.mean(got == expected[rows][:, columns]) >= 0.999
    # If the corners of logits and image coincide, the corners of the class map do too.
    served = serving_model(small_network(AttaNet), None, "coarse_class_map")
    outputs = served(rng.standard_normal((1, 65, 97, 3)).astype("float32"))
    fine = keras.ops.convert_to_numpy(outputs["class_map"])[0]
    coarse = keras.ops.convert_to_numpy(outputs["logits"]).argmax(axis=-1)[0]
    np.testing.assert_array_equal(fine[::8, ::8], coarse)
    with pytest.raises(ValueError, match="has no layer 'logits' that resizes the logits"):
        export_model(color_network(), tmp_path / "x.onnx", "onnx", output="coarse_class_map")
