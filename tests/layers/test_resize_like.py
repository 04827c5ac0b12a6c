import keras
import numpy as np
import pytest

from keras_segattn.layers import ResizeLike
from tests.layers.cases import as_array
from tests.training import predict_unknown_sizes

SIZES = [
    ((4, 6), (32, 48)),
    ((5, 7), (33, 50)),
    ((9, 12), (4, 5)),
    ((1, 3), (7, 1)),
    ((6, 6), (6, 6)),
]


def interpolate(x, size, align_corners):
    """Linear interpolation axis by axis, from the definition of the sampling positions."""
    for axis, target in zip((1, 2), size, strict=True):
        source = x.shape[axis]
        i = np.arange(target)
        if align_corners:
            position = i * (source - 1) / max(target - 1, 1)
        else:
            position = np.clip((i + 0.5) * source / target - 0.5, 0, source - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, source - 1)
        share = (position - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("known", [True, False])
def test_bilinear_for_known_and_unknown_sizes(source, target, align_corners, known, rng):
    x = rng.normal(size=(2, *source, 3)).astype("float32")
    image = np.zeros((2, *target, 1), "float32")
    symbols = [
        keras.Input((*(source if known else (None, None)), 3)),
        keras.Input((*(target if known else (None, None)), 1)),
    ]
    model = keras.Model(symbols, ResizeLike(align_corners=align_corners)(symbols))
    want = interpolate(x.astype("float64"), target, align_corners)
    got = as_array(model([x, image])) if known else predict_unknown_sizes(model, [x, image])
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_nearest_takes_the_pixel_that_torch_takes(source, target, rng):
    x = rng.normal(size=(2, *source, 3)).astype("float32")
    got = as_array(ResizeLike("nearest")([x, np.zeros((2, *target, 1), "float32")]))
    rows = [int(np.floor(i * source[0] / target[0])) for i in range(target[0])]
    columns = [int(np.floor(j * source[1] / target[1])) for j in range(target[1])]
    np.testing.assert_array_equal(got, x[:, rows][:, :, columns])


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_nearest_with_aligned_corners(source, target, rng):
    x = rng.normal(size=(1, *source, 2)).astype("float32")
    got = as_array(ResizeLike("nearest", align_corners=True)([x, np.zeros((1, *target, 1))]))
    rows, columns = (
        # Half a pixel goes up.
        np.floor(np.arange(t) * (s - 1) / max(t - 1, 1) + 0.5 + 1e-9).astype(int)
        for s, t in zip(source, target, strict=True)
    )
    np.testing.assert_array_equal(got, x[:, rows][:, :, columns])


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_gradient_under_xla(dtype, rng):
    """The gradient of the backend's own resizing fails here in mixed precision."""
    keras.config.set_dtype_policy(dtype)
    image = keras.Input((16, 24, 3))
    x = keras.layers.Conv2D(4, 3, strides=8, padding="same")(image)
    model = keras.Model(image, ResizeLike(dtype="float32")([x, image]))
    model.compile("sgd", "mse", jit_compile=True)
    images = rng.normal(size=(2, 16, 24, 3)).astype("float32")
    assert np.isfinite(model.train_on_batch(images, np.ones((2, 16, 24, 4))))


def test_refuses_unknown_interpolation():
    with pytest.raises(ValueError, match="Received: 'cubic'"):
        ResizeLike("cubic")
