"""The networks offered on the page."""

import functools
from pathlib import Path

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM
from keras_segattn.data import RoadScenes
from keras_segattn.weights import load_keras_model

CLASSES = len(RoadScenes.class_names)
FOR_PHOTOS, FOR_DRAWINGS = "CANet, for photos of roads", "AttaNet, for drawn roads"
# Networks to try without a file. Untrained networks find nothing but show their attention.
OFFERED = {
    FOR_PHOTOS: lambda: CANet(weights="camvid"),
    FOR_DRAWINGS: lambda: AttaNet(backbone="light", weights="road_scenes"),
    "CCNet, ResNet-18, untrained": lambda: CCNet(backbone="resnet18", classes=CLASSES),
    "Cross-CBAM, STDC1, untrained": lambda: CrossCBAM(classes=CLASSES),
}


@functools.lru_cache(maxsize=2)
def load_network(choice):
    """Returns a network by a name in `OFFERED`, or by the path of a `.keras` file.

    Raises:
        ValueError: If the file does not exist or contains no network for images.
    """
    if choice in OFFERED:
        model = OFFERED[choice]()
        # The same classes as in CamVid.
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
        raise ValueError(f"{choice} contains no network of keras_segattn.applications.")
    return model
