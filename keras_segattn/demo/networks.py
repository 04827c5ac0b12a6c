"""The networks that the page offers."""

import functools
from pathlib import Path

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.data import RoadScenes
from keras_segattn.weights import load_keras_model

CLASSES = len(RoadScenes.class_names)
FOR_PHOTOS, FOR_DRAWINGS = "CANet, for photos of roads", "AttaNet, for drawn roads"
# Networks to try without a file. Untrained ones find nothing, but show their attention.
OFFERED = {
    FOR_PHOTOS: lambda: CANet(weights="camvid"),
    FOR_DRAWINGS: lambda: AttaNet(backbone="light", weights="road_scenes"),
    "CCNet, ResNet-18, untrained": lambda: CCNet(backbone="resnet18", classes=CLASSES),
    "Cross-CBAM, STDC1, untrained": lambda: CrossCBAM(classes=CLASSES),
}


@functools.lru_cache(maxsize=2)
def load_network(choice):
    """Returns the network of a name of `OFFERED`, or of the path of a `.keras` file.

    Raises:
        ValueError: If there is no such file, or it holds no network for images.
    """
    if choice in OFFERED:
        model = OFFERED[choice]()
        # Those of CamVid, all of them.
        model.class_names, model.palette = RoadScenes.class_names, RoadScenes.palette
        return model
    path = Path(choice).expanduser()
    if path.suffix != ".keras" or not path.is_file():
        raise ValueError(f"There is no file {choice} that ends in .keras.")
    try:
        model = load_keras_model(path)
    except Exception as error:
        raise ValueError(f"{choice} cannot be loaded: {error}") from error
    if not hasattr(model, "preprocessing"):
        raise ValueError(f"{choice} holds no network of keras_segattn.applications.")
    return model
