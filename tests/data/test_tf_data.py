import numpy as np
import pytest

from keras_segattn.applications import canet
from keras_segattn.data import (
    CamVid,
    RandomScaleCropFlip,
    RoadScenes,
    evaluation_dataset,
    training_dataset,
)

pytestmark = pytest.mark.tensorflow


def take(dataset, count):
    return [tuple(np.asarray(part) for part in batch) for batch in dataset.take(count)]


def training(first_epoch=0, seed=0, cache=False):
    data = RoadScenes("train", 10, size=(32, 48))
    return training_dataset(
        data, 4, RandomScaleCropFlip((32, 40)), seed=seed, first_epoch=first_epoch, cache=cache
    )


def equal(one, other):
    return all(
        np.array_equal(a, b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def test_shapes_and_types():
    ((images, masks),) = take(training(), 1)
    assert images.shape == (4, 32, 40, 3)
    assert masks.shape == (4, 32, 40)
    assert images.dtype == masks.dtype == "uint8"


def test_resuming_at_an_epoch_gives_what_would_have_come():
    steps_per_epoch = 2
    whole = take(training(), 3 * steps_per_epoch)
    assert equal(whole[2 * steps_per_epoch :], take(training(first_epoch=2), steps_per_epoch))
    assert equal(whole, take(training(cache=True), 3 * steps_per_epoch))
    assert not equal(whole[:2], whole[2:4])
    assert not equal(whole[:2], take(training(seed=1), 2))


def test_an_epoch_has_every_sample_at_most_once():
    data = RoadScenes("train", 10, size=(32, 48))
    batches = training_dataset(data, 5, lambda image, mask, rng: (image, mask))
    seen = [image.tobytes() for images, _ in take(batches, 2) for image in images]
    assert len(set(seen)) == 10


def test_evaluation_reads_everything_in_order():
    data = RoadScenes("val", 5, size=(32, 48))
    batches = list(evaluation_dataset(data, 2, canet.preprocess_input).as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(
        np.concatenate([masks for _, masks in batches]), [data.read(i)[1] for i in range(5)]
    )
    want = canet.preprocess_input(np.stack([data.read(i)[0] for i in range(2)]))
    np.testing.assert_allclose(batches[0][0], np.asarray(want), atol=1e-6)


def test_a_wrong_file_is_named_in_the_error_of_the_pipeline(tmp_path):
    from PIL import Image

    for folder, array in (("train", np.zeros((8, 8, 3))), ("trainannot", np.full((8, 8), 77))):
        (tmp_path / folder).mkdir()
        Image.fromarray(array.astype("uint8")).save(tmp_path / folder / "frame.png")
    with pytest.raises(Exception, match=r"frame\.png holds the label 77"):
        take(evaluation_dataset(CamVid(tmp_path, "train"), 1), 1)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="10 samples do not fill a batch of 16"):
        training_dataset(RoadScenes("train", 10), 16, RandomScaleCropFlip((32, 32)))
