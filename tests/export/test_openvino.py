"""OpenVINO only."""

import numpy as np
import pytest

from keras_segattn.export import export_model
from tests.export.cases import ColorPatches, color_network

pytest.importorskip("openvino", reason="needs openvino")


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_conversions_are_not_reported(tmp_path, monkeypatch, dtype):
    sender = pytest.importorskip("openvino_telemetry.utils.sender", reason="needs openvino")
    reports = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sender.TelemetrySender, "send", lambda *args: reports.append(args))
    images = ColorPatches() if dtype == "int8" else [np.zeros((64, 96, 3), "uint8")]
    export_model(color_network(), tmp_path / "ov", "openvino", dtype=dtype, images=images)
    assert not reports
