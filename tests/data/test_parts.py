"""Parts and sums of data sets: slices, splits, folds and concatenations."""

import pickle

import numpy as np
import pytest
from PIL import Image

from keras_segattn.data import Concatenation, RoadScenes, SegmentationFolder, Subset
from tests.data.bands import Bands

pytestmark = pytest.mark.once


class Frames(RoadScenes):
    """Scenes that are frames of videos of different lengths; counts the reads."""

    lengths = (1, 2, 3, 5, 8, 13)

    def __init__(self):
        super().__init__("train", sum(self.lengths), size=(32, 32))
        self.frames = [f"{v}_{i}" for v, length in enumerate(self.lengths) for i in range(length)]
        self.reads = 0

    def name(self, index):
        return self.frames[index]

    def read(self, index):
        self.reads += 1
        return super().read(index)


def names(data):
    return [data.name(index) for index in range(len(data))]


def video(name):
    return name.split("_")[0]


def test_a_slice_reads_the_same_samples():
    data = Frames()
    data.sample_weights = list(range(len(data)))
    part = data[10:20:3]
    assert data.reads == 0
    assert isinstance(part, Subset)
    assert names(part) == data.frames[10:20:3]
    np.testing.assert_array_equal(part[-1][0], data.read(19)[0])
    assert part.sample_weights == [10, 13, 16, 19]
    assert part.class_names == data.class_names
    assert names(data[[5, -1, 0]]) == [data.frames[i] for i in (5, -1, 0)]
    assert names(data[np.arange(len(data)) % 16 == 0]) == [data.frames[0], data.frames[16]]
    # Of a part, too.
    assert names(data[10:20][[2]]) == [data.frames[12]]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part))[0][1], part.read(0)[1])
    with pytest.raises(IndexError, match=r"number of samples is 4\. Received: index=4"):
        part[4]
    with pytest.raises(ValueError, match=r"32 samples.* must contain a sample"):
        data[40:]
    with pytest.raises(IndexError):
        data[[1.5]]


@pytest.mark.parametrize("seed", [0, 1])
def test_split_divides_all_samples_by_their_shares(seed):
    data = RoadScenes("train", 100, size=(32, 32))
    parts = data.split(0.7, 0.15, 0.15, seed=seed)
    assert list(map(len, parts)) == [70, 15, 15]
    assert sorted(name for part in parts for name in names(part)) == names(data)
    assert [names(part) == sorted(names(part)) for part in parts] == [True] * 3
    assert list(map(names, data.split(0.7, 0.15, 0.15, seed=seed))) == list(map(names, parts))
    assert names(parts[2]) != names(data.split(0.7, 0.15, 0.15, seed=seed + 1)[2])
    assert names(parts[0]) != names(data)[:70]


@pytest.mark.parametrize("as_sequence", [False, True])
def test_all_frames_of_a_video_come_into_one_part(as_sequence):
    data = Frames()
    group_by = list(map(video, data.frames)) if as_sequence else video
    parts = data.split(0.5, 0.25, 0.25, group_by=group_by)
    videos = [set(map(video, names(part))) for part in parts]
    assert set.union(*videos) == set("012345")
    assert sum(map(len, videos)) == 6
    assert sorted(map(len, parts)) == [8, 8, 16]
    folds = data.kfold(5, group_by=group_by)
    for train, val in folds:
        assert not set(map(video, names(train))) & set(map(video, names(val)))
        assert sorted(names(train) + names(val)) == sorted(data.frames)
    assert sorted(name for _, val in folds for name in names(val)) == sorted(data.frames)
    assert data.reads == 0


def test_folds_are_of_equal_size_and_shuffled():
    data = RoadScenes("train", 11)
    folds = data.kfold(3, seed=4)
    assert sorted(len(val) for _, val in folds) == [3, 4, 4]
    assert names(folds[0][1]) != names(data.kfold(3, seed=5)[0][1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: data.split(0.7, 0.2), r"sum 1.*Received: \[0\.7, 0\.2\]"),
        (lambda data: data.split(1.5, -0.5), "must be positive"),
        (lambda data: data.split(), "must be positive"),
        (lambda data: data.split(0.99, 0.01), r"32 samples.* a part of \[0\.99, 0\.01\]"),
        (
            lambda data: data.split(0.5, 0.5, group_by=lambda name: 0),
            r"The number of groups is 1\.",
        ),
        (
            lambda data: data.split(0.5, 0.5, group_by="video"),
            "one group for each sample of .*32 samples",
        ),
        (lambda data: data.kfold(1), "`folds` must be at least 2"),
        (lambda data: data.kfold(7, group_by=video), r"The number of groups is 6\."),
    ],
)
def test_impossible_parts_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(Frames())


def test_data_sets_are_joined():
    one, two = RoadScenes("train", 3, size=(32, 32)), RoadScenes("val", 2, size=(32, 48))
    two.sample_weights = [5, 7]
    data = one + two + one[1:]
    assert isinstance(data, Concatenation)
    assert names(data) == names(one) + names(two) + names(one)[1:]
    for index, (source, place) in enumerate([(one, 2), (two, 0), (two, 1), (one, 1)], start=2):
        np.testing.assert_array_equal(data.read(index)[0], source.read(place)[0])
    assert data.sample_weights == [1, 1, 1, 5, 7, 1, 1]
    assert repr(data) == f"{one!r} + {two!r} + 2 of {one!r}"
    assert data.palette == one.palette
    assert data.verify() == []
    batches = data[3:5].to_py_dataset(2)
    assert batches[0][0].shape == (2, 32, 48, 3)
    with pytest.raises(TypeError, match="unsupported operand"):
        one + 1


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("class_names", ("dark", "light")),
        ("palette", ((0, 0, 0), (1, 1, 1))),
        ("channels", 3),
        ("ignore_class", 254),
    ],
)
def test_data_sets_that_differ_are_not_joined(attribute, value):
    one, two = Bands(4), Bands(4)
    two.palette = [list(color) for color in two.palette]
    assert len(one + two) == 8
    setattr(two, attribute, value)
    with pytest.raises(ValueError, match=f"must have the same `{attribute}`: Bands"):
        one + two


def test_files_and_masks_of_parts(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / folder / "a.png")
    arguments = {"class_names": ["one", "two"]}
    labeled = SegmentationFolder(tmp_path / "images", tmp_path / "masks", **arguments)
    bare = SegmentationFolder(tmp_path / "images", **arguments)
    data = bare + labeled
    assert [data.has_mask(index) for index in range(2)] == [False, True]
    assert data.has_masks and data[1:].has_masks and not data[:1].has_masks
    assert [data[::-1].files(index)[1] for index in range(2)] == [labeled.files(0)[1], None]
    assert RoadScenes("train", 2)[:1].files(0) == ()
