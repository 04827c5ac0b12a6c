"""Trains the four networks on drawn road scenes and draws the attention of their layers.

    python docs/draw_attention.py             # all four, half an hour on two cores
    python docs/draw_attention.py ccnet       # only one

The trained networks are kept in `runs/docs` and reused; the pictures go to `docs/figures`.
"""

import sys
from pathlib import Path

import keras

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.callbacks import save_atomically
from keras_segattn.data import RandomScaleCropFlip, RoadScenes
from keras_segattn.inference import segment
from keras_segattn.losses import WeightedCrossEntropy
from keras_segattn.metrics import SegmentationScores
from keras_segattn.optimizers import PolyDecay
from keras_segattn.visualization import model_attention, plot_attention, plot_predictions

FIGURES = Path(__file__).resolve().parent / "figures"
RUNS = Path("runs/docs")
# Size of the drawn scenes; training crops have a quarter of it.
SIZE, CROP, SCALE = (192, 256), (96, 128), (0.5, 1.2)
SCENES, EPOCHS, BATCH, RATE = 240, 10, 8, 1e-3
NETWORKS = {
    "canet": lambda: CANet(classes=11),
    "ccnet": lambda: CCNet(backbone="resnet18", classes=11),
    "attanet": lambda: AttaNet(backbone="resnet18", classes=11, auxiliary_heads=True),
    "cross_cbam": lambda: CrossCBAM(classes=11, auxiliary_heads=True),
}
# The pictured layers of each network, by the name of the file.
PICTURES = {
    "canet": {"feature_cross_attention": "fusion"},
    "ccnet": {"criss_cross_attention": "attention"},
    "attanet": {"strip_attention": "attention", "attention_fusion": "fusion"},
    "cross_cbam": {"ccbam": "fusion2", "seaspp": "context"},
}
# A scene of the test split, and a pixel in it.
SCENE, PIXEL = 3, (95, 150)


def train(name):
    path = RUNS / f"{name}.keras"
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(0)
    scenes = RoadScenes("train", SCENES, SIZE)
    model = NETWORKS[name]()
    model.class_names, model.palette = scenes.class_names, scenes.palette
    steps = SCENES // BATCH
    optimizer = keras.optimizers.Adam(PolyDecay(RATE, steps * EPOCHS))
    model.compile(optimizer, WeightedCrossEntropy(), metrics=[SegmentationScores(11)])
    batches = scenes.to_tf_dataset(
        BATCH,
        training=True,
        augmentation=RandomScaleCropFlip(CROP, SCALE),
        preprocessing=model.preprocessing,
        cache=True,
    )
    model.fit(batches, epochs=EPOCHS, verbose=2)
    RUNS.mkdir(parents=True, exist_ok=True)
    save_atomically(model, path)
    return model


def draw(name):
    model = train(name)
    scenes = RoadScenes("test", 8, SIZE)
    image, mask = scenes.read(SCENE)
    plot_predictions(
        FIGURES / f"{name}_prediction.jpg",
        [image],
        [mask],
        [segment(model, image).class_map],
        scenes.class_names,
        scenes.palette,
        errors=True,
    )
    for file, layer in PICTURES[name].items():
        pixel = PIXEL if file in ("criss_cross_attention", "strip_attention") else None
        maps = model_attention(model, image, pixel, layer)
        plot_attention(FIGURES / f"{file}.jpg", image, maps, pixel)


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        draw(name)
