import numpy as np
import pytest

from keras_segattn.backbones import DF1, DF2
from keras_segattn.flops import count_flops


# As counted for Table 4 of AttaNet: 8.020 M and 15.594 G, 17.474 M and 37.069 G.
@pytest.mark.once
@pytest.mark.parametrize(
    ("backbone", "parameters", "macs"),
    [(DF1, 8_020_128, 15_594_422_272), (DF2, 17_474_208, 37_069_258_752)],
)
def test_size(backbone, parameters, macs):
    model = backbone()
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == parameters
    assert count_flops(model, (1024, 1024, 3)) == macs


@pytest.mark.once
@pytest.mark.parametrize(
    ("backbone", "channels"), [(DF1, (64, 64, 128, 512)), (DF2, (64, 128, 256, 512))]
)
def test_levels(backbone, channels):
    pyramid = backbone(input_shape=(33, 65, 3)).output
    sizes = ((9, 17), (5, 9), (3, 5), (2, 3))
    for level, size, count in zip(("P2", "P3", "P4", "P5"), sizes, channels, strict=True):
        assert pyramid[level].shape == (None, *size, count)


@pytest.mark.once
def test_number_of_blocks():
    # The paper's figure 5 and the released models: 3+3+4 blocks and 3+11+6.
    for backbone, counts in ((DF1, (3, 3, 4)), (DF2, (3, 11, 6))):
        names = [layer.name for layer in backbone().layers if layer.name.endswith("_add")]
        assert tuple(sum(name.startswith(f"stage{i}_") for name in names) for i in (3, 4, 5)) == (
            counts
        )
