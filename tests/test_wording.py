"""Nouns agree with their numbers."""

import numpy as np
import pytest

from keras_segattn.data import RoadScenes
from keras_segattn.export.report import ExportReport
from keras_segattn.inference import Segmentation
from keras_segattn.inference.mask_files import report_failures
from keras_segattn.wording import counted

pytestmark = pytest.mark.once


def test_counted():
    assert [counted(n, "class") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]
    assert counted(1, "finished epoch") == "1 finished epoch"


@pytest.mark.parametrize(("count", "end"), [(1, ""), (2, "s")])
def test_messages(count, end, tmp_path):
    image = np.zeros((2, 2, 3), "uint8")
    found = repr(Segmentation(image, image[..., 0], None, count))
    assert found == f"Segmentation(2x2, {count} class{'es' if end else ''})"
    assert f"({count} sample{end}, 11 classes)" in repr(RoadScenes("train", count))
    report = ExportReport("m.onnx", "onnx", "float32", 1, 1.0, 0.9, 0.0, count, noise=False)
    assert str(report).endswith(f"on {count} image{end}")
    failures = {f"{i}.png": "damaged" for i in range(count)}
    assert report_failures(failures, tmp_path).startswith(f"{count} image{end} failed")
