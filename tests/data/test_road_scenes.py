import numpy as np
import pytest

from keras_segattn.data import RoadScenes


def test_the_same_seed_gives_the_same_scenes():
    one, same, other = (RoadScenes("train", 4, seed=seed) for seed in (1, 1, 2))
    for index in range(4):
        for a, b in zip(one.read(index), same.read(index), strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(one.read(index)[0], other.read(index)[0])


def test_splits_and_scenes_differ():
    images = {
        RoadScenes(split, 3).read(index)[0].tobytes()
        for split in ("train", "val", "test")
        for index in range(3)
    }
    assert len(images) == 9


@pytest.mark.parametrize("size", [(96, 128), (45, 70)])
def test_size_types_and_labels(size):
    data = RoadScenes("train", 30, size)
    masks = []
    for index in range(len(data)):
        image, mask = data.read(index)
        assert image.shape == (*size, 3)
        assert mask.shape == size
        assert image.dtype == mask.dtype == "uint8"
        masks.append(mask)
    assert set(np.unique(masks)) == {*range(11), 255}


def test_every_class_is_frequent_enough_to_learn():
    frequencies = RoadScenes("train", 60).class_frequencies()
    assert frequencies.min() > 0.002
    assert frequencies.max() < 0.5
    np.testing.assert_allclose(frequencies.sum(), 1)


def test_refusals_name_the_value():
    with pytest.raises(ValueError, match="Received: 'dev'"):
        RoadScenes("dev")
    with pytest.raises(ValueError, match=r"size=\(8, 128\)"):
        RoadScenes("train", size=(8, 128))
    with pytest.raises(IndexError, match="index=4"):
        RoadScenes("train", 4).read(4)
