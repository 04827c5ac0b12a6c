"""Segments videos frame by frame."""

import dataclasses
import os
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.atomic_files import atomic_path
from keras_segattn.inference.segmenter import as_segmenter, check_overlap
from keras_segattn.wording import counted

# FFmpeg's other formats are images, playlists that refer to other files, and devices.
READ = ("mov", "matroska", "avi", "mpeg", "mpegts", "flv", "ogg", "asf", "gif", "ivf", "mxf", "nut")
# By target suffix; the first installed encoder is used.
H264 = ("libx264", "libopenh264", "h264_videotoolbox")
CODECS = {".mp4": H264, ".mov": H264, ".mkv": H264, ".webm": ("libvpx-vp9",)}
OPTIONS = {"libx264": {"crf": "20", "preset": "veryfast"}, "libvpx-vp9": {"crf": "30", "b": "0"}}
TICKS = Fraction(1, 90000)
# If a video does not specify its frame rate.
DEFAULT_RATE = Fraction(25)


@dataclasses.dataclass(frozen=True)
class VideoReport:
    """Statistics of a segmented video; `print` shows them.

    Attributes:
        path: The written video.
        frames: Integer, the number of frames.
        size: Tuple `(height, width)` of a frame.
        seconds: Float, the processing time.
        rate: Float, the frame rate of the video.
    """

    path: Path
    frames: int
    size: tuple
    seconds: float
    rate: float

    @property
    def frames_per_second(self):
        """Float, the number of frames segmented per second, including reading and writing."""
        return self.frames / max(self.seconds, 1e-9)

    def __str__(self):
        height, width = self.size
        return (
            f"{self.path}: {counted(self.frames, 'frame')} of {width}x{height} (width x height) in "
            f"{self.seconds:.1f} s, {self.frames_per_second:.1f} frames per second; the video has "
            f"{self.rate:.4g}"
        )


def segment_video(
    model,
    source,
    target,
    *,
    smoothing=0.0,
    alpha=0.6,
    size=None,
    tile=None,
    overlap=0.25,
    batch_size=1,
    threshold=None,
    progress=None,
):
    """Draws the classes over the frames of a video and writes a video without sound.

    Only one frame is in memory at a time. Frames keep their timestamps and are turned upright. MP4
    and MOV files keep the pixel aspect ratio.

    Args:
        model: A Keras model as for `segment`, or a `keras_segattn.export.ExportedSegmenter`.
        source: Path of a video file that FFmpeg reads, such as MP4, MOV, MKV, WebM, AVI or GIF.
        target: Path of the video to write, with the suffix `.mp4`, `.mov`, `.mkv` or `.webm`. An
            existing file is replaced when the new one is complete.
        smoothing: Float, at least 0 and below 1, the weight of the past: the probabilities of a
            frame are `smoothing * previous + (1 - smoothing) * own`, where `previous` are the
            smoothed probabilities of the previous frame. Smoothing reduces flicker, but moving
            objects leave a trail. Defaults to `0`.
        alpha: Opacity of the classes, from 0 to 1. Defaults to `0.6`.
        size: Tuple `(height, width)`, the size to which frames are resized for a Keras model, as
            for `segment`. Defaults to `None`, their own size.
        tile: `None`, or the sliding window for a frame, as for `segment`. Defaults to `None`.
        overlap: Float, as for `segment`. Defaults to `0.25`.
        batch_size: Integer, the number of windows of a frame per model call. Defaults to `1`.
        threshold: As for `segment`. Defaults to `None`.
        progress: Callable that receives the number of finished frames and the frames per second so
            far. Defaults to `None`.

    Returns:
        A `VideoReport`, with the frames per second.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If PyAV is not installed.
        ValueError: If the file is not a video or is damaged, or an argument has a value not listed
            above.

    Example:

    ```python
    report = segment_video(model, "drive.mp4", "classes.mp4", smoothing=0.6)
    print(report)  # classes.mp4: 450 frames of 960x720 (width x height) in 41.3 s, ...
    ```
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("Videos require PyAV: pip install 'keras-segattn[video]'") from error
    source, target = Path(source), Path(target)
    if not 0 <= smoothing < 1:
        raise ValueError(f"`smoothing` must be at least 0 and below 1. Received: {smoothing}")
    check_overlap(overlap)
    check_at_least("batch_size", batch_size, 1)
    check_choice("suffix of the target", target.suffix.lower(), CODECS)
    segmenter = as_segmenter(model, threshold, size)
    window = None if tile is None else segmenter.window(tile)
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}")
    if target.exists() and os.path.samefile(source, target):
        raise ValueError(f"The target would replace the video {source}: pass another path.")
    start, count, past = time.perf_counter(), 0, None
    with (
        _opened(av, source) as video,
        atomic_path(target) as part,
        _Writer(av, part, video.streams.video[0]) as writer,
    ):
        for frame, image in _frames(av, video, source):
            if past is None and not smoothing and window is None and callable(segmenter):
                result = segmenter(image)
            else:
                found = _probabilities(segmenter, image, window, overlap, batch_size)
                if past is not None and past.shape == found.shape:
                    found = smoothing * past + (1 - smoothing) * found
                past = found if smoothing else None
                result = segmenter.result(image, segmenter.classes_of(found))
            writer.write(result.overlay(alpha), frame)
            count += 1
            if progress is not None:
                progress(count, count / max(time.perf_counter() - start, 1e-9))
    seconds = time.perf_counter() - start
    return VideoReport(target, count, writer.size, seconds, float(writer.rate))


def _opened(av, source):
    options = {"format_whitelist": ",".join(READ), "protocol_whitelist": "file"}
    try:
        video = av.open(str(source), options=options)
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{source} is not a video in one of the formats {', '.join(READ)}, or is damaged: "
            f"{error.strerror}. For images, use `segment`."
        ) from error
    if not video.streams.video:
        video.close()
        raise ValueError(f"{source} has no images, only sound.")
    return video


def _frames(av, video, source):
    """Yields the frames with their images, in RGB and upright."""
    video.streams.video[0].thread_type = "AUTO"
    empty = True
    try:
        for frame in video.decode(video=0):
            empty = False
            yield frame, upright(frame.to_ndarray(format="rgb24"), frame.rotation)
    except av.error.FFmpegError as error:
        raise ValueError(f"{source} is damaged: {error.strerror}") from error
    if empty:
        raise ValueError(f"{source} is a video without frames.")


def upright(picture, degrees):
    """Rotates an image counterclockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(picture, round(degrees / 90)))


def _probabilities(segmenter, image, window, overlap, batch_size):
    if window is None:
        return segmenter.probabilities(segmenter.to_pixels(image)[None])[0]
    bands = segmenter.bands_of(image, window, overlap, batch_size)
    return np.concatenate([band for _, band in bands])


class _Writer:
    """Writes a video with the timestamps of another video and the size of the first image."""

    def __init__(self, av, path, source):
        names = CODECS[path.suffix.lower()]
        installed = [name for name in names if name in av.codecs_available]
        if not installed:
            raise ValueError(
                f"This PyAV has no encoder {' or '.join(names)} for {path.suffix}; install the "
                "PyAV wheel, or pass a target with another suffix."
            )
        self.rate = source.average_rate or source.guessed_rate or DEFAULT_RATE
        self.size = None
        self._av, self._path, self._codec = av, path, installed[0]
        self._aspect = source.sample_aspect_ratio
        self._container = self._stream = None
        self._last = -1

    def write(self, picture, source):
        if self._stream is None:
            self._open(picture, source)
        # Colors are stored at half the resolution, so sides must be even.
        odd = [(0, side % 2) for side in picture.shape[:2]]
        picture = np.pad(picture, [*odd, (0, 0)], mode="edge")
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        seconds = source.time if source.time is not None else (self._last + 1) / self.rate
        # Files with wrong timestamps may repeat them.
        self._last = max(self._last + 1, round(Fraction(seconds) / TICKS))
        frame.pts, frame.time_base = self._last, TICKS
        self._container.mux(self._stream.encode(frame))

    def __enter__(self):
        return self

    def __exit__(self, error, *rest):
        if self._container is not None:
            if error is None:
                self._container.mux(self._stream.encode())
            self._container.close()

    def _open(self, picture, source):
        self.size = height, width = picture.shape[:2]
        self._container = self._av.open(str(self._path), "w")
        options = OPTIONS.get(self._codec, {})
        self._stream = self._container.add_stream(self._codec, rate=self.rate, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TICKS
        if self._aspect:
            turned = source.rotation % 180 != 0
            self._stream.codec_context.sample_aspect_ratio = (
                1 / self._aspect if turned else self._aspect
            )
