import io
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_segattn.applications import CANet
from keras_segattn.export import export_model
from keras_segattn.inference import segment
from keras_segattn.inference.sliding_window import blended_bands
from keras_segattn.weights import Preprocessing
from tests.applications.cases import tiny_backbone
from tests.inference.cases import pixelwise
from tests.training import randomize

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
IDENTITY = Preprocessing(mean=[0.0] * 3, std=[1.0] * 3)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = CANet(backbone=tiny_backbone(), classes=5, filters=16, up_channels=8)
    randomize(model, np.random.default_rng(0))
    return model


@pytest.fixture
def picture(rng):
    """Patches of pure colors, and the index of the brightest channel of each pixel."""
    labels = np.kron(rng.integers(0, 3, (6, 8)), np.ones((8, 8), int))
    return np.array(COLORS, "uint8")[labels], labels


def encoded(array, format="PNG", **arguments):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format, **arguments)
    return file.getvalue()


def test_every_way_to_pass_an_image_gives_the_same(picture, tmp_path):
    image, labels = picture
    path = tmp_path / "street.png"
    path.write_bytes(encoded(image))
    alpha = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    ways = [
        path,
        str(path),
        path.read_bytes(),
        io.BytesIO(path.read_bytes()),
        Image.fromarray(image),
        Image.fromarray(alpha),
        Image.fromarray(image).convert("P"),
        image,
        alpha,
        image.astype("uint16") * 257,
        image.astype("int64"),
        (image / 255).astype("float32"),
        image / 255.0,
        image > 0,
        ops.convert_to_tensor(image),
    ]
    model = pixelwise()
    expected = segment(model, image).probabilities
    for way in ways:
        result = segment(model, way)
        np.testing.assert_array_equal(result.class_map, labels)
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    assert result.class_map.dtype == "uint8"
    np.testing.assert_allclose(expected.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(expected.max(), np.exp(9) / (np.exp(9) + 2), atol=1e-5)


def test_grey_and_16_bits(rng):
    gray = rng.integers(0, 65536, (40, 50), dtype="uint16")
    colored = np.repeat((gray / 65535.0)[..., None], 3, axis=-1)
    expected = segment(pixelwise(), colored).probabilities
    for way in (gray, gray[..., None], encoded(gray), Image.fromarray(gray)):
        np.testing.assert_allclose(segment(pixelwise(), way).probabilities, expected, atol=1e-5)
    # And colors for a network that takes gray.
    model = pixelwise(channels=1, classes=2)
    red = np.zeros((33, 34, 3), "uint8") + np.array([200, 0, 0], "uint8")
    expected = segment(model, np.full((33, 34), 0.299 * 200 / 255)).probabilities
    np.testing.assert_allclose(segment(model, red).probabilities, expected, atol=1e-5)


def test_images_are_turned_as_exif_says(picture):
    image, labels = picture
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: the file has to be turned clockwise.
    turned = encoded(np.rot90(image), exif=exif)
    np.testing.assert_array_equal(segment(pixelwise(), turned).class_map, labels)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 2)])
def test_tiny_images(network, size, rng):
    image = rng.integers(0, 256, (*size, 3), dtype="uint8")
    result = segment(network, image, scales=(0.5, 1), flip=True)
    assert result.class_map.shape == size
    assert np.isfinite(result.probabilities).all()
    padded = np.pad(image, [*((0, max(0, 32 - side)) for side in size), (0, 0)], mode="edge")
    expected = segment(network, padded).probabilities[: size[0], : size[1]]
    np.testing.assert_allclose(segment(network, image).probabilities, expected, atol=1e-5)


def test_alone_or_in_a_batch(network, rng):
    images = rng.integers(0, 256, (3, 40, 52, 3), dtype="uint8")
    alone = [segment(network, image) for image in images]
    other = rng.integers(0, 256, (64, 33, 3), dtype="uint8")
    together = segment(network, images, batch_size=3)
    mixed = segment(network, [*images, other], batch_size=2)
    assert [len(together), len(mixed)] == [3, 4]
    assert mixed[3].class_map.shape == (64, 33)
    for one, two, three in zip(alone, together, mixed, strict=False):
        # Batches are summed in another order, and the random weights make large logits.
        np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-3)
        np.testing.assert_allclose(one.probabilities, three.probabilities, atol=1e-3)
        assert np.mean(one.class_map == two.class_map) > 0.999


def test_windows_give_what_the_whole_image_gives(picture):
    image, labels = picture
    whole = segment(pixelwise(), image).probabilities
    result = segment(pixelwise(), image, tile=(32, 40), overlap=0.6, keep_probabilities=True)
    np.testing.assert_allclose(result.probabilities, whole, atol=1e-5)
    np.testing.assert_array_equal(result.class_map, labels)
    result = segment(pixelwise(), image, tile=1000, batch_size=3)
    np.testing.assert_array_equal(result.class_map, labels)
    assert result.probabilities is None


def test_windows_are_blended_by_their_distance_from_the_border():
    """Against sums over the whole image, of windows that differ in value."""
    size, window, weight = (50, 41), (20, 16), np.zeros((50, 41, 1))
    total, seen = np.zeros((50, 41, 2)), []

    def predict(corners):
        values = np.stack([np.full((*window, 2), [y, x], "float32") for y, x in corners])
        seen.extend(zip(corners, values, strict=True))
        return values

    bands = list(blended_bands(predict, size, window, overlap=0.3, batch_size=2))
    for (y, x), value in seen:
        rows, columns = np.ogrid[: window[0], : window[1]]
        ramp = np.minimum(rows + 1, window[0] - rows) * np.minimum(columns + 1, window[1] - columns)
        part = slice(y, y + window[0]), slice(x, x + window[1])
        total[part] += ramp[..., None] * value
        weight[part] += ramp[..., None]
    assert [y for y, _ in bands] == sorted({y for (y, _), _ in seen})
    got = np.concatenate([band for _, band in bands])
    np.testing.assert_allclose(got, total / weight, rtol=1e-5)
    steps = np.diff(sorted({y for (y, _), _ in seen}))
    assert steps.max() <= 0.7 * window[0] + 1


@pytest.mark.once
def test_large_image_in_bounded_memory(tmp_path):
    """4000x8000, mapped from a file: neither it nor its probabilities are ever whole in memory."""
    script = """if True:
        import resource, sys
        import numpy as np
        from keras_segattn.inference import segment
        from tests.inference.cases import pixelwise
        model = pixelwise()
        image = np.lib.format.open_memmap(sys.argv[1], "w+", "uint8", (4000, 8000, 3))
        segment(model, image[:1100, :1100], tile=1000)
        image[:2000, :, 1], image[2000:, :4000, 2], image[2000:, 4000:, 0] = 255, 255, 255
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        before = peak()
        result = segment(model, image, tile=1000, overlap=0.05)
        assert (result.class_map[:2000] == 1).all()
        assert (result.class_map[2000:, :4000] == 2).all()
        assert (result.class_map[2000:, 4000:] == 0).all()
        print(peak() - before)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "large.npy")]
    root = __file__.rsplit("tests", 1)[0]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    # The pages of the mapped image, 92 MiB, and the class map, 31 MiB, count; all probabilities
    # would be 366 MiB more, the image in float32 as much.
    assert int(done.stdout.split()[-1]) < 450


def test_scales_and_flips_are_averages_of_probabilities(network, rng):
    image = rng.integers(0, 256, (40, 64, 3), dtype="uint8")

    def probabilities(pixels, size):
        logits = network.predict_on_batch(network.preprocessing(pixels))
        softmax = ops.softmax(ops.convert_to_tensor(logits))
        return ops.convert_to_numpy(ops.image.resize(softmax, size, data_format="channels_last"))

    expected = []
    for size in ((40, 64), (60, 96)):
        scaled = ops.image.resize(image[None].astype("float32"), size, data_format="channels_last")
        scaled = ops.convert_to_numpy(scaled)
        expected.append(probabilities(scaled, (40, 64)))
        mirrored = probabilities(np.ascontiguousarray(scaled[:, :, ::-1]), (40, 64))
        expected.append(mirrored[:, :, ::-1])
    result = segment(network, image, scales=(1, 1.5), flip=True)
    np.testing.assert_allclose(result.probabilities, np.mean(expected, axis=0)[0], atol=1e-5)
    alone = segment(network, image)
    assert np.abs(result.probabilities - alone.probabilities).max() > 1e-3


def test_model_of_fixed_size(picture):
    image, labels = picture
    model = pixelwise(size=(96, 128))
    result = segment(model, image)
    assert result.class_map.shape == labels.shape
    assert np.mean(result.class_map == labels) > 0.8
    with pytest.raises(ValueError, match=r"only windows of \(96, 128\). Received: tile=64"):
        segment(model, image, tile=64)
    with pytest.raises(ValueError, match=r"only images of \(96, 128\).*Received: \(1.0, 1.5\)"):
        segment(model, image, scales=(1.0, 1.5))
    with pytest.raises(ValueError, match=r"only images of \(96, None\)"):
        segment(pixelwise(size=(96, None)), image, scales=(0.5,))


def test_softmax_in_the_model_is_not_applied_twice(rng):
    image = rng.integers(0, 256, (40, 40, 3), dtype="uint8")
    model = CANet(
        backbone=tiny_backbone(),
        classes=5,
        filters=16,
        up_channels=8,
        classifier_activation="softmax",
    )
    randomize(model, rng)
    expected = model.predict_on_batch(model.preprocessing(image[None]))[0]
    np.testing.assert_allclose(segment(model, image).probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_refused(picture, activation, value):
    model = CANet(
        backbone=tiny_backbone(),
        classes=3,
        filters=8,
        classifier_activation=activation,
        name="spoiled",
    )
    classifier = model.get_layer("classifier")
    classifier.bias.assign([0.0, value, 0.0])
    with pytest.raises(ValueError, match="Model 'spoiled' returns NaN or infinite values"):
        segment(model, picture)


def test_overlay_and_shares(picture):
    image, labels = picture
    model = pixelwise()
    model.class_names, model.palette = ["a", "b", "c"], [(9, 9, 9), (20, 0, 0), (0, 30, 0)]
    result = segment(model, image)
    np.testing.assert_array_equal(result.overlay(alpha=1.0), np.array(model.palette)[labels])
    assert result.shares() == {name: np.mean(labels == i) for i, name in enumerate("abc")}
    assert repr(result) == "Segmentation(48x64, 3 classes)"
    model.class_names = model.palette = None
    result = segment(model, (image / 255.0))
    assert list(result.shares()) == [0, 1, 2]
    np.testing.assert_array_equal(
        result.overlay(alpha=1.0), np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)])[labels]
    )


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
        (b"", ValueError, "no bytes"),
        (b"%PDF-1.7 not an image", ValueError, "The data cannot be read as an image"),
        (encoded(np.eye(64, dtype="uint8"))[:60], ValueError, "cannot be read as an image"),
        (7, TypeError, "a path, the bytes of a file.* Received: int"),
        (np.zeros((0, 40, 3), "uint8"), ValueError, r"no side is 0. Received shape \(0, 40"),
        (np.zeros((3,), "uint8"), ValueError, r"Received shape \(3,\)"),
        (np.zeros((3, 40, 50), "uint8"), ValueError, "channels are last"),
        (np.full((40, 40, 3), 255.0), ValueError, "values from 0 to 1: scale it.* to 255"),
        (np.full((40, 40, 3), np.nan), ValueError, "values from 0 to 1"),
        (np.full((40, 40, 3), -1), ValueError, "values from 0 to 255: scale it.*from -1"),
        (np.full((40, 40, 3), 1j), ValueError, "Received dtype complex128"),
    ],
)
def test_what_is_no_image(image, error, message):
    with pytest.raises(error, match=message):
        segment(pixelwise(), image)


class Capture:
    """Has `read`, as `cv2.VideoCapture`."""

    def read(self):
        return True, np.zeros((40, 40, 3), "uint8")


def test_videos_and_models_without_shapes(picture):
    with pytest.raises(TypeError, match="frames of a video one by one, or as a generator"):
        segment(pixelwise(), Capture())
    frames = (picture[0] for _ in range(2))
    assert len(segment(pixelwise(), frames)) == 2

    class Subclassed(keras.Model):
        def call(self, images):
            return images

    model = Subclassed(name="mine")
    model(np.zeros((1, 40, 40, 3), "float32"))
    for use in (segment, lambda model, image: export_model(model, "mine.onnx", "onnx")):
        with pytest.raises(ValueError, match=r"'mine' has no known input .*functional model"):
            use(model, picture[0])


def test_wrong_arguments():
    model, image = pixelwise(), np.zeros((40, 40, 3), "uint8")
    for arguments, message in [
        ({"tile": 31}, "from 32 up. Received: 31"),
        ({"tile": 64, "overlap": 1}, "below 1. Received: 1"),
        ({"scales": ()}, r"one or more positive numbers. Received: \(\)"),
        ({"scales": (1, 0)}, r"positive numbers"),
        ({"batch_size": 0}, "`batch_size` must be at least 1. Received: 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            segment(model, image, **arguments)
    plain = keras.Model(model.input, model.output)
    with pytest.raises(ValueError, match="does not know its preprocessing"):
        segment(plain, image)
    segment(plain, image, preprocessing=IDENTITY)


def test_any_number_of_bands_and_its_picture(rng, tmp_path):
    image = rng.integers(0, 256, (40, 50, 12), dtype="uint8")
    model = pixelwise(channels=12, classes=12)
    np.save(tmp_path / "scene.npy", image)
    for way in (image, tmp_path / "scene.npy"):
        result = segment(model, way)
        np.testing.assert_array_equal(result.class_map, image.argmax(-1))
        assert result.overlay().shape == (40, 50, 3)
    np.testing.assert_array_equal(result.overlay(alpha=0.0), image[..., :3])


def test_frames_of_opencv(picture):
    image, labels = picture
    model = pixelwise()
    for way in (image[..., ::-1], np.dstack([image[..., ::-1], np.full_like(labels, 255)])):
        bgr = way.astype("uint8")
        np.testing.assert_array_equal(segment(model, bgr, channel_order="BGR").class_map, labels)
    # A file knows the order of its colors.
    file = encoded(image)
    np.testing.assert_array_equal(segment(model, file, channel_order="BGR").class_map, labels)
    with pytest.raises(ValueError, match=r"must be one of \('RGB', 'BGR'\)\. Received: 'GBR'"):
        segment(model, image, channel_order="GBR")


def test_generators_and_numbers_of_numpy(picture):
    image, labels = picture
    model = pixelwise()
    results = segment(model, (frame for frame in [image, image[:40]]), tile=np.int64(32))
    assert [result.class_map.shape for result in results] == [labels.shape, (40, labels.shape[1])]
    np.testing.assert_array_equal(results[0].class_map, labels)
    # A file is read, though it is an iterator.
    np.testing.assert_array_equal(segment(model, io.BytesIO(encoded(image))).class_map, labels)


def test_a_size_is_that_of_the_network(network, rng):
    image = rng.integers(0, 256, (70, 90, 3), dtype="uint8")
    small = ops.image.resize(image.astype("float32"), (48, 64), data_format="channels_last")
    logits = network.predict_on_batch(network.preprocessing(ops.convert_to_numpy(small)[None]))
    # Logits are resized, as in exports.
    want = ops.softmax(ops.image.resize(logits, (70, 90), data_format="channels_last"))[0]
    result = segment(network, image, size=(48, 64))
    np.testing.assert_allclose(result.probabilities, ops.convert_to_numpy(want), atol=1e-5)
    # Scales are factors of it.
    scaled = segment(network, image, size=(96, 128), scales=(0.5,))
    np.testing.assert_allclose(scaled.probabilities, result.probabilities, atol=1e-5)
    with pytest.raises(ValueError, match=r"`size` must be .* from 32 up, or None. .* \(16, 64\)"):
        segment(network, image, size=(16, 64))
    with pytest.raises(
        ValueError, match=r"pass only one of them. Received: size=\(48, 64\), tile="
    ):
        segment(network, image, size=(48, 64), tile=32)
    with pytest.raises(ValueError, match=r"only images of \(32, 40\). Received: size=\(48, 64\)"):
        segment(pixelwise(size=(32, 40)), image, size=(48, 64))
