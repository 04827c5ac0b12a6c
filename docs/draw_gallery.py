"""Draws attention on a photo into docs/figures: python docs/draw_gallery.py (a minute)

The layers of the four networks use their weights trained on CamVid, which need the package
`keras-segattn-weights`. The other layers are untrained: they get the features of the trained CANet,
and one random projection for queries and keys, so that a pixel attends to pixels with similar
features.
"""

from pathlib import Path

import keras
import numpy as np

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.demo import PHOTO
from keras_segattn.images import read_image
from keras_segattn.layers import ExpectationMaximizationAttention, NonLocal
from keras_segattn.visualization import attention_maps, model_attention, plot_attention

FIGURES = Path(__file__).resolve().parent / "figures"
# A pixel of the road.
PIXEL = (300, 260)
# Contrast of the similarities: with a small value, all pixels look alike.
SPREAD = 4.0
# The layers of each trained network, by the name of the picture.
TRAINED = {
    CANet: {"feature_cross_attention": "fusion"},
    CCNet: {"criss_cross_attention": "attention"},
    AttaNet: {"strip_attention": "attention", "attention_fusion": "fusion"},
    CrossCBAM: {"ccbam": "fusion2", "seaspp": "context"},
}
OF_A_PIXEL = ("criss_cross_attention", "strip_attention")
UNTRAINED = {
    "non_local": NonLocal,
    "expectation_maximization_attention": lambda: ExpectationMaximizationAttention(bases=4),
}


def photo_features(model, image):
    """Returns the features before a network's classifier, centered and scaled."""
    features = keras.Model(model.inputs, model.get_layer("classifier").input)
    x = features.predict(model.preprocessing(image[None]), verbose=0)
    return (x - x.mean(axis=(0, 1, 2))) / (x.std(axis=(0, 1, 2)) + 1e-3)


def tie(layer, features):
    """Builds a layer and gives its keys and queries the same projection."""
    layer.build(features.shape)
    if hasattr(layer, "query"):
        kernel = keras.ops.convert_to_numpy(layer.query.kernel)
        projected = features.reshape(-1, kernel.shape[-2]) @ kernel.reshape(-1, kernel.shape[-1])
        kernel *= (SPREAD / np.square(projected).sum(axis=-1).mean()) ** 0.5
        layer.query.kernel.assign(kernel)
        layer.key.kernel.assign(kernel)


def main():
    image = read_image(PHOTO)
    for network, layers in TRAINED.items():
        model = network(weights="camvid")
        for name, layer in layers.items():
            pixel = PIXEL if name in OF_A_PIXEL else None
            maps = model_attention(model, image, pixel, layer)
            plot_attention(FIGURES / f"gallery_{name}.jpg", image, maps, pixel)
    keras.utils.set_random_seed(0)
    features = photo_features(CANet(weights="camvid"), image)
    for name, make in UNTRAINED.items():
        layer = make()
        tie(layer, features)
        pixel = PIXEL if hasattr(layer, "query") else None
        place = pixel and tuple(np.floor_divide(pixel, 8).tolist())
        maps = attention_maps(layer, features, place)
        plot_attention(FIGURES / f"gallery_{name}.jpg", image, maps, pixel)


if __name__ == "__main__":
    main()
