"""`python -m keras_segattn.export`."""

import pytest
from PIL import Image

from keras_segattn.export import read_metadata
from tests.export.cases import ColorPatches, color_network, needs_runtime


@pytest.mark.tensorflow
def test_command_line(tmp_path, capsys):
    needs_runtime("onnx")
    from keras_segattn.export.__main__ import main

    source = tmp_path / "model.keras"
    color_network().save(source)
    for index in range(2):
        Image.fromarray(ColorPatches().read(index)[0]).save(tmp_path / f"{index}.png")
    main(
        [
            str(source),
            "--format",
            "onnx",
            "--batch",
            "1",
            "--size",
            "40",
            "60",
            "--images",
            str(tmp_path),
        ]
    )
    assert "model.onnx: onnx, float32" in capsys.readouterr().out
    assert read_metadata(tmp_path / "model.onnx")["input"]["shape"] == [1, 40, 60, 3]
    for wrong, message in [
        ([str(tmp_path / "none.keras")], "error: There is no model .*none.keras"),
        ([str(source), "--images", str(tmp_path / "no")], "error: There is no file or folder"),
        ([str(source), "--dtype", "int8"], "error: `dtype of saved_model` must be one of"),
    ]:
        with pytest.raises(SystemExit, match=message):
            main(wrong)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--format litert --dtype int8" in capsys.readouterr().out
