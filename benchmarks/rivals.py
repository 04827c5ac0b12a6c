"""Writes networks of other libraries as ONNX files, for the comparisons "rivals, HxW".

Run it in an environment apart from this library's, because `ultralytics` is AGPL-3.0 and this
package never imports it:

    pip install torch ultralytics segmentation-models-pytorch onnxscript onnxruntime
    python benchmarks/rivals.py runs/rivals
    pip install tensorflow-cpu keras-hub tf2onnx onnxruntime
    python benchmarks/rivals.py runs/rivals "KerasHub DeepLabV3+ ResNet-18"

Then, in the environment of this library, `python -m benchmarks "rivals, 360x480"`. Each file takes
a preprocessed image and returns logits of the image's size. The weights are random, which does not
change the speed. `onnxruntime.quantization` makes the int8 files, with a scale for each channel of
the weights.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

CLASSES = 19
SIZES = ((512, 1024), (360, 480))
MULTIPLE = 32  # The networks need heights and widths divisible by it.


def _smp(name):
    def build():
        import segmentation_models_pytorch as smp

        return getattr(smp, name)("mobilenet_v2", encoder_weights=None, classes=CLASSES)

    return build


def _yolo():
    from ultralytics import YOLO

    return YOLO("yolo26n-sem.yaml").model


def _segformer():
    import segmentation_models_pytorch as smp

    return smp.Segformer("mit_b0", encoder_weights=None, classes=CLASSES)


TORCH_RIVALS = {
    "smp Unet MobileNetV2": _smp("Unet"),
    "smp DeepLabV3+ MobileNetV2": _smp("DeepLabV3Plus"),
    "smp SegFormer-B0": _segformer,
    "ultralytics YOLO26n-sem": _yolo,
}
KERAS_RIVALS = ("KerasHub DeepLabV3+ ResNet-18",)


def write_torch(name, size, path):
    """Exports a network of PyTorch, padded to a multiple of 32 and with logits of full size."""
    import torch

    class FullSize(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, image):
            height, width = image.shape[-2:]
            image = torch.nn.functional.pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
            logits = self.network(image)
            if logits.shape[-2:] != image.shape[-2:]:
                logits = torch.nn.functional.interpolate(logits, image.shape[-2:], mode="bilinear")
            return logits[..., :height, :width]

    torch.manual_seed(0)
    model = FullSize(TORCH_RIVALS[name]().eval()).eval()
    image = torch.zeros(1, 3, *size)
    torch.onnx.export(model, (image,), str(path), input_names=["image"], external_data=False)


def write_keras(name, size, path):
    """Exports a network of KerasHub, in the same way."""
    import keras

    from benchmarks.peers import KERAS_PEERS

    shape = (1, *size, 3)
    # A model around the task: Keras would export the task's preprocessing too.
    image = keras.Input(batch_shape=shape)
    padding = ((0, -size[0] % MULTIPLE), (0, -size[1] % MULTIPLE))
    logits = KERAS_PEERS[name]()(keras.layers.ZeroPadding2D(padding)(image))
    model = keras.Model(image, keras.layers.Cropping2D(padding)(logits))
    model(np.zeros(shape, "float32"))  # Keras exports no model to ONNX that was never called
    model.export(str(path), format="onnx", verbose=False)


def quantize(source, target):
    """Writes the int8 version of an ONNX file, as `onnxruntime` recommends for CPUs."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Noise(CalibrationDataReader):
        def __init__(self):
            (image,) = onnxruntime.InferenceSession(str(source)).get_inputs()
            rng = np.random.default_rng(0)
            shape = [side if isinstance(side, int) else 1 for side in image.shape]
            images = (rng.normal(size=shape).astype("float32") for _ in range(4))
            self.feeds = ({image.name: values} for values in images)

        def get_next(self):
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Noise(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(TORCH_RIVALS), help="default: PyTorch's")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        write = write_torch if name in TORCH_RIVALS else write_keras
        for size in SIZES:
            stem = f"{name}, {size[0]}x{size[1]}"
            path = arguments.folder / f"{stem}, float32.onnx"
            write(name, size, path)
            quantize(path, path.with_name(f"{stem}, int8.onnx"))
            print(f"written: {stem}", flush=True)


if __name__ == "__main__":
    main()
