"""Videos in and out: times, sizes, smoothing, and rejected input."""

import sys
import wave
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from keras_segattn.inference import segment_video
from keras_segattn.inference.video import upright
from tests.inference.brightest import Brightest
from tests.inference.cases import pixelwise

pytestmark = pytest.mark.once
av = pytest.importorskip("av", reason="videos need av")

RED, BLUE = (250, 20, 20), (20, 20, 250)
# The colors of PASCAL VOC's classes 1 and 2, and black, class 0.
PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]


def write(path, colors, size=(48, 64), times=None, aspect=None):
    times = range(len(colors)) if times is None else times
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10), options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for color, time in zip(colors, times, strict=True):
            picture = np.full((*size, 3), color, "uint8")
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.time for frame in frames], [f.to_ndarray(format="rgb24") for f in frames]


def classes(pictures):
    """The class that was drawn in the middle of each picture."""
    middle = np.array([picture[20, 30] for picture in pictures], int)
    return np.abs(middle[:, None] - np.array(PALETTE)).sum(axis=-1).argmin(axis=-1).tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_and_their_times(suffix, tmp_path):
    colors, times = [RED, RED, BLUE, RED, BLUE], [0, 1, 2, 7, 9]
    source = write(tmp_path / "a.mp4", colors, (48, 64), times, Fraction(2))
    seen = []
    options = {"alpha": 1.0, "progress": lambda *figures: seen.append(figures)}
    report = segment_video(Brightest(), source, tmp_path / f"b{suffix}", **options)
    found, pictures = read(tmp_path / f"b{suffix}")
    np.testing.assert_allclose(found, np.array(times) / 10, atol=1e-3)
    assert classes(pictures) == [0, 0, 2, 0, 2]
    assert [count for count, _ in seen] == [1, 2, 3, 4, 5]
    assert (report.frames, report.size) == (5, (48, 64))
    assert report.frames_per_second == pytest.approx(5 / report.seconds)
    assert f"5 frames of 64x48 (width x height) in {report.seconds:.1f} s" in str(report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", f"b{suffix}"]
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        if suffix == ".mp4":
            assert container.streams.video[0].sample_aspect_ratio == 2
        assert not container.streams.audio


def test_smoothing_is_a_mean_over_time(tmp_path):
    source = write(tmp_path / "a.mp4", [RED, BLUE, RED, BLUE, BLUE, BLUE])
    options = {"alpha": 1.0, "smoothing": 0.6}
    segment_video(Brightest(), source, tmp_path / "b.mp4", **options)
    # By hand: red has 1, 0.6, 0.76, 0.456, ... of the probability.
    assert classes(read(tmp_path / "b.mp4")[1]) == [0, 0, 0, 2, 2, 2]


def test_windows_odd_sides_and_tasks(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 81, 65, "bgr0"
        frame = av.VideoFrame.from_ndarray(np.full((81, 65, 3), RED, "uint8"), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    model = Brightest(task="binary")
    report = segment_video(model, tmp_path / "a.mkv", tmp_path / "b.mp4", tile=40, alpha=1.0)
    assert {shape[1:3] for shape in model.seen} == {(40, 40)}
    assert report.size == (81, 65)
    (picture,) = read(tmp_path / "b.mp4")[1]
    assert picture.shape == (82, 66, 3)
    assert classes([picture]) == [1]


def test_a_keras_model_at_a_size_of_its_own(tmp_path):
    source = write(tmp_path / "a.mp4", [RED, BLUE])
    model = pixelwise()
    shapes, predict = [], model.predict_on_batch
    model.predict_on_batch = lambda batch: shapes.append(batch.shape[1:3]) or predict(batch)
    segment_video(model, source, tmp_path / "b.mp4", size=(32, 40), alpha=1.0)
    assert classes(read(tmp_path / "b.mp4")[1]) == [0, 2]
    assert shapes == [(32, 40)] * 2


def test_pictures_of_a_phone_are_upright():
    picture = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(upright(picture, -90), [[3, 0], [4, 1], [5, 2]])
    np.testing.assert_array_equal(upright(picture, 0), picture)


def test_what_is_refused(tmp_path, monkeypatch):
    source, target = write(tmp_path / "a.mp4", [RED]), tmp_path / "b.mp4"
    target.write_bytes(b"old")
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n")
    (tmp_path / "half.mp4").write_bytes(source.read_bytes()[:-200])
    for name in ("photo.png", "list.mp4", "half.mp4"):
        with pytest.raises(ValueError, match=rf"{name} is not a video .*For images, use `segment`"):
            segment_video(Brightest(), tmp_path / name, target)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 8, "NONE", ""))
        file.writeframes(bytes(16))
    with pytest.raises(ValueError, match=r"sound\.wav is not a video"):
        segment_video(Brightest(), tmp_path / "sound.wav", target)
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.mp4"):
        segment_video(Brightest(), tmp_path / "missing.mp4", target)
    with pytest.raises(ValueError, match=r"`suffix of the target` must be .*Received: '\.avi'"):
        segment_video(Brightest(), source, tmp_path / "b.avi")
    with pytest.raises(ValueError, match="would replace the video"):
        segment_video(Brightest(), source, source)
    with pytest.raises(ValueError, match=r"`smoothing` must be .* Received: 1"):
        segment_video(Brightest(), source, target, smoothing=1)
    with pytest.raises(ValueError, match="exported model contains its network size"):
        segment_video(Brightest(), source, target, size=(32, 32))
    assert target.read_bytes() == b"old"
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"PyAV: pip install 'keras-segattn\[video\]'"):
        segment_video(Brightest(), source, target)


def test_a_failure_leaves_the_old_video(tmp_path):
    source, target = write(tmp_path / "a.mp4", [RED, RED, RED]), tmp_path / "b.mp4"
    target.write_bytes(b"old")

    def stop(count, rate):
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment_video(Brightest(), source, target, progress=stop)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
