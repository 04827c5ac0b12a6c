"""Comparison of an artifact's outputs with the model's."""

import numpy as np
import pytest

from keras_segattn.export.verification import compare

SIZE = (1, 4, 6)


def outputs(size=SIZE, logits_size=SIZE, value=1.0):
    logits = np.zeros((*logits_size, 2), "float32")
    logits[..., 1] = value
    return {"class_map": np.ones(size, "uint8"), "logits": logits}


def compare_with(artifact):
    batches = [np.zeros((*SIZE, 3), "float32")]
    return compare(
        lambda _: outputs(), lambda _: artifact, "class_map", batches, "multiclass", None
    )


@pytest.mark.tensorflow
def test_agreement_and_difference():
    artifact = outputs(value=1.5)
    artifact["class_map"][0, 0] = 0
    assert compare_with(artifact) == (0.75, 0.5)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "artifact, message",
    [
        (outputs(size=(1, 2, 3)), r"returns class_map of shape \(1, 2, 3\).*\(1, 4, 6\)"),
        (outputs(logits_size=(1, 2, 3)), r"returns logits of shape \(1, 2, 3, 2\).*\(1, 4, 6, 2\)"),
        (outputs(value=np.nan), "24 of 48 logits of the artifact are NaN or infinite"),
    ],
)
def test_outputs_that_cannot_be_compared(artifact, message):
    with pytest.raises(RuntimeError, match=message):
        compare_with(artifact)
