"""Draws attention on a photo into docs/figures: python docs/draw_gallery.py (half a minute)

The gates of CANet use its trained weights. The other layers are untrained: they get the features
of the trained CANet, and one random projection for queries and keys, so that a pixel attends to
pixels with similar features.
"""

from pathlib import Path

import keras
import numpy as np

from keras_segattn.applications import CANet
from keras_segattn.demo import PHOTO
from keras_segattn.images import read_image
from keras_segattn.layers import (
    CrissCrossAttention,
    ExpectationMaximizationAttention,
    NonLocal,
    StripAttention,
)
from keras_segattn.visualization import attention_maps, model_attention, plot_attention

FIGURES = Path(__file__).resolve().parent / "figures"
# A pixel of the road.
PIXEL = (420, 300)
# Contrast of the similarities: with a small value, all pixels look alike.
SPREAD = 4.0
LAYERS = {
    "criss_cross_attention": CrissCrossAttention,
    "non_local": NonLocal,
    "strip_attention": lambda: StripAttention(normalize=False),
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
    keras.utils.set_random_seed(0)
    image = read_image(PHOTO)
    model = CANet(weights="camvid")
    plot_attention(
        FIGURES / "gallery_feature_cross_attention.jpg", image, model_attention(model, image)
    )
    features = photo_features(model, image)
    for name, make in LAYERS.items():
        layer = make()
        tie(layer, features)
        pixel = PIXEL if hasattr(layer, "query") else None
        place = pixel and tuple(np.floor_divide(pixel, 8).tolist())
        maps = attention_maps(layer, features, place)
        plot_attention(FIGURES / f"gallery_{name}.jpg", image, maps, pixel)


if __name__ == "__main__":
    main()
