"""tf.data and PyDataset: the same samples from both, wherever a run resumes."""

import pickle
import time

import keras
import numpy as np
import pytest

from keras_segattn import recipes
from keras_segattn.applications import canet
from keras_segattn.applications.segmentation_model import SegmentationModel
from keras_segattn.data import CamVid, RandomScaleCropFlip, RoadScenes
from keras_segattn.data.py_dataset import SegmentationPyDataset
from keras_segattn.data.sampler import Sampler
from keras_segattn.data.tf_data import tf_dataset
from keras_segattn.losses import WeightedCrossEntropy
from keras_segattn.training.build import build_model
from keras_segattn.weights import Preprocessing
from tests.data.bands import Bands

STEPS = 2
# Of a batch of five scenes.
PIXELS = 5 * 32 * 48


def training_batches(kind, count, first_epoch=0, seed=0, cache=False, data=None):
    data = data or RoadScenes("train", 10, size=(32, 48))
    arguments = {
        "training": True,
        "augmentation": RandomScaleCropFlip((32, 40)),
        "seed": seed,
        "first_epoch": first_epoch,
        "cache": cache,
    }
    return take(kind, data, count, 4, **arguments)


def take(kind, data, count, batch_size, **arguments):
    if kind == "tf":
        dataset = data.to_tf_dataset(batch_size, **arguments)
        if arguments.get("training"):
            dataset = dataset.repeat()
        return [tuple(np.asarray(part) for part in batch) for batch in dataset.take(count)]
    dataset = data.to_py_dataset(batch_size, **arguments)
    batches = []
    while len(batches) < count:
        dataset.on_epoch_begin()
        rest = min(count - len(batches), dataset.num_batches)
        batches += [dataset[i] for i in range(rest)]
        dataset.on_epoch_end()
    return batches


def equal(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


@pytest.fixture(params=["to_tf_dataset", "to_py_dataset"])
def feed(request):
    """Both on every backend, wherever there is TensorFlow."""
    if request.param == "to_tf_dataset":
        pytest.importorskip("tensorflow")
    return request.param


@pytest.fixture(params=["tf", "py"])
def kind(request):
    if request.param == "tf":
        pytest.importorskip("tensorflow")
        if keras.backend.backend() != "tensorflow":
            pytest.skip("is the same on every backend, and runs on TensorFlow")
    return request.param


def test_shapes_and_types(kind):
    ((images, masks),) = training_batches(kind, 1)
    assert images.shape == (4, 32, 40, 3)
    assert masks.shape == (4, 32, 40)
    assert images.dtype == masks.dtype == "uint8"


@pytest.mark.tensorflow
def test_both_kinds_give_the_same_samples():
    assert equal(training_batches("tf", 3 * STEPS), training_batches("py", 3 * STEPS))


def test_resuming_at_an_epoch_gives_what_would_have_come(kind):
    whole = training_batches(kind, 3 * STEPS)
    assert equal(whole[2 * STEPS :], training_batches(kind, STEPS, first_epoch=2))
    assert equal(whole, training_batches(kind, 3 * STEPS, cache=True))
    assert not equal(whole[:STEPS], whole[STEPS : 2 * STEPS])
    assert not equal(whole[:STEPS], training_batches(kind, STEPS, seed=1))


def test_a_sample_is_augmented_anew_in_every_epoch():
    data = RoadScenes("train", 4, size=(32, 48))
    sampler = Sampler(data, 4, True, RandomScaleCropFlip((32, 40)), seed=0, cache=False)
    image = sampler.read(0, 3)[0]
    np.testing.assert_array_equal(image, sampler.read(0, 3)[0])
    assert not np.array_equal(image, sampler.read(1, 3)[0])
    assert not np.array_equal(image, sampler.read(0, 2)[0])


def test_an_epoch_has_every_sample_at_most_once(kind):
    data = RoadScenes("train", 10, size=(32, 48))
    batches = take(kind, data, 2, 5, training=True)
    seen = [image.tobytes() for images, _ in batches for image in images]
    assert len(set(seen)) == 10


@pytest.mark.tensorflow
def test_each_pass_is_the_next_epoch():
    data = RoadScenes("train", 10, size=(32, 48))
    dataset = data.to_tf_dataset(4, training=True)
    want = take("py", data, 3 * STEPS, 4, training=True)
    assert len(dataset) == STEPS
    passes = []
    for _ in range(3):
        # Keras looks at a batch to build a model; a pass that ends early counts for nothing.
        peek = iter(dataset)
        next(peek)
        time.sleep(0.05)  # prefetching goes on
        passes += [tuple(map(np.asarray, batch)) for batch in dataset]
    assert equal(passes, want)
    # Evaluation begins anew.
    dataset = data.to_tf_dataset(4)
    assert equal(*([tuple(map(np.asarray, batch)) for batch in dataset] for _ in range(2)))


@pytest.mark.tensorflow
def test_training_runs_on_an_endless_sequence_of_the_same_batches():
    sampler = Sampler(RoadScenes("train", 10, size=(32, 48)), 4, True, None, seed=0, cache=False)
    want = take("py", RoadScenes("train", 10, size=(32, 48)), 3 * STEPS, 4, training=True)
    endless = SegmentationPyDataset(sampler, endless=True)
    assert endless.num_batches is None
    assert equal([endless[i] for i in range(3 * STEPS)], want)
    dataset = tf_dataset(sampler, first_epoch=1, endless=True)
    batches = [tuple(map(np.asarray, batch)) for batch in dataset.take(2 * STEPS)]
    assert equal(batches, want[STEPS:])


def test_evaluation_reads_everything_in_order(kind):
    data = RoadScenes("val", 5, size=(32, 48))
    batches = take(kind, data, 3, 2, preprocessing=canet.preprocess_input)
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(
        np.concatenate([masks for _, masks in batches]), [data.read(i)[1] for i in range(5)]
    )
    want = canet.preprocess_input(np.stack([data.read(i)[0] for i in range(2)]))
    want = keras.ops.convert_to_numpy(want)
    np.testing.assert_allclose(batches[0][0], want, atol=1e-6)


def test_evaluation_has_a_length():
    dataset = RoadScenes("val", 5, size=(32, 48)).to_py_dataset(2)
    assert dataset.num_batches == 3


@pytest.mark.tensorflow
def test_evaluation_has_a_length_in_tf_data():
    assert len(RoadScenes("val", 5, size=(32, 48)).to_tf_dataset(2)) == 3


class Witness(keras.metrics.Metric):
    """Remembers the masks of every batch, in order, as one number each."""

    def __init__(self):
        super().__init__(name="witness")
        self.digest = self.add_variable((), "zeros", name="digest")

    def update_state(self, y_true, y_pred, sample_weight=None):
        mask = keras.ops.reshape(keras.ops.cast(y_true, "float32"), (-1,))
        place = keras.ops.arange(1, PIXELS + 1, dtype="float32") / PIXELS
        self.digest.assign(0.5 * self.digest + keras.ops.mean(mask * place))

    def result(self):
        return keras.ops.convert_to_tensor(self.digest)

    def reset_state(self):
        pass


def digest(batches):
    want = 0.0
    for _, masks in batches:
        mask = masks.ravel().astype("float32")
        want = 0.5 * want + np.mean(mask * np.arange(1, PIXELS + 1) / PIXELS)
    return want


def witnessing_model():
    image = keras.Input((32, 48, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(11, 1)(image))
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=255)
    model.compile("sgd", loss, metrics=[Witness()])
    return model


@pytest.mark.parametrize("count", [10, 20])
@pytest.mark.parametrize("first_epoch", [0, 1])
def test_fit_ends_and_trains_on_the_epochs(feed, first_epoch, count):
    """Keras reads batches ahead, and some to build the model; the model sees them in order."""
    data = RoadScenes("train", count, size=(32, 48))
    arguments = {"training": True, "seed": 3, "first_epoch": first_epoch}
    want = digest(take("py", data, 3 * count // 5, 5, **arguments))
    batches = getattr(data, feed)(5, **arguments)
    history = witnessing_model().fit(batches, epochs=3, verbose=0)
    assert history.history["witness"][-1] == pytest.approx(want, rel=1e-4)
    assert len(history.history["loss"]) == 3


def test_fewer_steps_than_batches_go_on_with_the_next_epoch(feed):
    """Two of Keras's epochs are one pass; the third pass is the third epoch."""
    data = RoadScenes("train", 20, size=(32, 48))
    want = digest(take("py", data, 3 * 4, 5, training=True))
    batches = getattr(data, feed)(5, training=True)
    history = witnessing_model().fit(batches, epochs=6, steps_per_epoch=2, verbose=0)
    assert history.history["witness"][-1] == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_second_fit_goes_on_with_the_next_epoch(workers):
    data = RoadScenes("train", 20, size=(32, 48))
    want = digest(take("py", data, 3 * 4, 5, training=True))
    batches = data.to_py_dataset(5, training=True, workers=workers)
    model = witnessing_model()
    model.fit(batches, epochs=1, verbose=0)
    history = model.fit(batches, epochs=2, verbose=0)
    assert history.history["witness"][-1] == pytest.approx(want, rel=1e-4)


def test_a_wrong_file_is_named_in_the_error_of_the_pipeline(kind, tmp_path):
    from PIL import Image

    for folder, array in (("train", np.zeros((8, 8, 3))), ("trainannot", np.full((8, 8), 77))):
        (tmp_path / folder).mkdir()
        Image.fromarray(array.astype("uint8")).save(tmp_path / folder / "frame.png")
    with pytest.raises(Exception, match=r"frame\.png contains the label 77"):
        take(kind, CamVid(tmp_path, "train"), 1, 1)


class Mislabeled(RoadScenes):
    """Scenes whose masks hold a label beyond the classes."""

    def read(self, index):
        image, mask = super().read(index)
        mask = mask.copy()
        mask[3, 5] = 11
        return image, mask


def test_labels_beyond_the_classes_are_refused_as_they_are_read(kind):
    data = Mislabeled("train", 4, size=(32, 48))
    message = r"from 0 to 10, or 255 for void\. Received 11 in 1 of 1536 pixels"
    with pytest.raises(Exception, match=rf"The mask of {data.name(0)} must be .*{message}"):
        take(kind, data, 1, 1)
    with pytest.raises(ValueError, match=message):
        data.class_weights()


def test_impossible_batches_are_refused(kind):
    data = RoadScenes("train", 10)
    with pytest.raises(ValueError, match=r"10 samples, .* does not fill a batch of 16"):
        take(kind, data, 1, 16, training=True)
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        take(kind, data, 1, 0)
    with pytest.raises(ValueError, match=r"`workers` must be at least 1\. Received: 0"):
        data.to_py_dataset(1, workers=0)


@pytest.mark.parametrize("channels", [1, 2, 4, 12])
def test_any_number_of_bands(kind, channels):
    data = Bands(channels)
    assert data.verify() == []
    ((images, masks),) = training_batches(kind, 1, data=data)
    assert images.shape == (4, 32, 40, channels)
    preprocessing = Preprocessing([0.5] * channels, [0.5] * channels)
    ((images, masks),) = take(kind, data, 1, 4, preprocessing=preprocessing)
    assert images.shape == (4, 32, 48, channels)
    np.testing.assert_array_equal(masks[1], data.read(1)[1])
    if kind == "tf":
        assert data.to_tf_dataset(4).element_spec[0].shape[-1] == channels


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_network_of_four_bands_trains(kind, batch_size):
    model = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Conv2D(2, 1)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data, preprocessing = Bands(4), Preprocessing([0.5] * 4, [0.5] * 4)
    feed = data.to_tf_dataset if kind == "tf" else data.to_py_dataset
    batches = feed(batch_size, training=True, preprocessing=preprocessing)
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_recipes_build_networks_for_the_bands_of_the_data():
    model = build_model(recipes.get("attanet_light_cityscapes"), Bands(4))
    assert model.input_shape[-1] == len(model.preprocessing.mean) == 4


@pytest.mark.parametrize(
    ("augmentation", "received"),
    [
        (lambda image, mask, rng: (image / 255, mask), "an image of float64"),
        (lambda image, mask, rng: (image, mask.astype("int64")), "a mask of int64"),
        (lambda image, mask, rng: (image[..., :2], mask), r"shape \(32, 48, 2\)"),
        (lambda image, mask, rng: (image[:30], mask), r"shape \(30, 48, 3\)"),
        (lambda image, mask, rng: (image, mask[..., None]), r"shape \(32, 48, 1\)"),
    ],
)
def test_what_an_augmentation_returns_is_checked(kind, augmentation, received):
    message = rf"The augmentation must return a uint8 image .* noise_0\. Received .*{received}"
    with pytest.raises(Exception, match=message):
        take(kind, Bands(3, ((32, 48),)), 1, 1, augmentation=augmentation)


def test_bands_other_than_the_data_set_says_are_refused(kind):
    data = Bands(4)
    data.channels = 3
    assert "noise_0 has shape (32, 48, 4), not (height, width, 3)" in data.verify()[0]
    with pytest.raises(Exception, match=r"The data set must return .* \(height, width, 3\)"):
        take(kind, data, 1, 1)


def test_mixed_sizes_are_named(kind):
    data = Bands(3, ((32, 48), (32, 48), (32, 48), (40, 32)))
    assert [images.shape[1:3] for images, _ in take(kind, data, 4, 1)] == list(data.sizes)
    with pytest.raises(Exception, match="images of a batch have different sizes: pass batch_size"):
        take(kind, data, 2, 2)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_weights_go_with_their_samples(kind, batch_size):
    data = Bands(3)
    data.sample_weights = [0.5, 1, 2, 0]
    batches = take(kind, data, 4 // batch_size, batch_size)
    assert (
        np.concatenate([weights for _, _, weights in batches]).tolist()
        == [0.5, 1, 2, 0][: 4 // batch_size * batch_size]
    )
    images, _, weights = take(kind, data, 1, 4, training=True, seed=2)[0]
    assert weights.dtype == "float32"
    for image, weight in zip(images, weights, strict=True):
        (index,) = (i for i in range(4) if np.array_equal(data.read(i)[0], image))
        assert weight == data.sample_weights[index]


def test_fit_weighs_the_samples(kind):
    """Training on weights of 1 and 0 is training on the first samples, at half the loss."""
    losses = []
    for weights in ([1, 1, 0, 0], None):
        data = Bands(3, ((32, 48),) * (4 if weights else 2))
        data.sample_weights = weights
        model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
        model.layers[0].set_weights([np.linspace(-1, 1, 6).reshape(1, 1, 3, 2), np.zeros(2)])
        model.compile("sgd", WeightedCrossEntropy())
        feed = data.to_tf_dataset if kind == "tf" else data.to_py_dataset
        batches = feed(len(data), preprocessing=Preprocessing([0.5] * 3, [0.5] * 3))
        losses.append(model.evaluate(batches, verbose=0))
    assert losses[0] == pytest.approx(losses[1] / 2, rel=1e-5)


@pytest.mark.parametrize("weights", [[1, 2], [1, 1, 1, -1], [1, 1, 1, np.nan]])
def test_impossible_weights_are_refused(kind, weights):
    data = Bands(3)
    data.sample_weights = weights
    with pytest.raises(ValueError, match="must be 4 finite numbers that are not negative"):
        take(kind, data, 1, 1)


def test_data_sets_are_sequences():
    data = RoadScenes("train", 3, size=(32, 48))
    assert [image.shape for image, _ in data] == [(32, 48, 3)] * 3
    np.testing.assert_array_equal(data[-1][0], data.read(2)[0])
    with pytest.raises(IndexError, match=r"number of samples is 3\. Received: index=3"):
        data[3]


def test_torch_takes_a_data_set():
    loader = pytest.importorskip("torch.utils.data").DataLoader
    data = RoadScenes("train", 3, size=(32, 48))
    images, masks = next(iter(loader(data, batch_size=3)))
    np.testing.assert_array_equal(images[2].numpy(), data.read(2)[0])
    np.testing.assert_array_equal(masks[2].numpy(), data.read(2)[1])


def test_a_py_dataset_can_be_pickled():
    data = RoadScenes("train", 4, size=(32, 48))
    augmentation = RandomScaleCropFlip((9, 9))
    dataset = data.to_py_dataset(2, training=True, cache=True, augmentation=augmentation)
    first = dataset[0]
    again = pickle.loads(pickle.dumps(dataset))
    assert equal([first], [again[0]])
    assert equal([dataset[1]], [again[1]])
