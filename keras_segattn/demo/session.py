"""The state of the page for one visitor."""

import tempfile
import threading
from pathlib import Path

import numpy as np

from keras_segattn.demo.limits import MOST_PIXELS
from keras_segattn.demo.networks import load_network
from keras_segattn.images import read_image, to_uint8
from keras_segattn.inference import segment
from keras_segattn.visualization import attention_layers, model_attention, plot_attention

# Larger images are reduced to this side, because they would take long on a CPU.
LONGEST_SIDE = 1024
# One visitor at a time, so that memory does not grow with their number.
COMPUTING = threading.Lock()


class Session:
    """A network, an image, and the result of segmenting the image.

    Attributes:
        model: The network, or `None` at first.
        choice: The name or path of the network, or `None` at first.
        image: uint8 array of shape `(height, width, 3)`, or `None` at first.
        result: The `Segmentation` of the image, or `None` if the network or the image is missing.
    """

    def __init__(self):
        self.close()

    def close(self):
        """Discards the image, its result and the network."""
        self.model = None
        self.choice = None
        self.image = None
        self.result = None

    def choose(self, choice):
        """Selects a network by an offered name or by the path of a `.keras` file."""
        self.model, self.choice = load_network(choice), choice
        self._segment()

    def open(self, image, choice=None):
        """Opens an image: a file, its bytes, or an array; a large image is reduced.

        With `choice`, it also selects that network.
        """
        from PIL import Image

        picture = Image.fromarray(to_uint8(read_image(image, MOST_PIXELS), 3))
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        if choice is not None:
            self.model, self.choice = load_network(choice), choice
        self.image = np.asarray(picture)
        self._segment()

    def _segment(self):
        self.result = None
        with COMPUTING:
            # The visitor may have left while waiting for others.
            if self.model is not None and self.image is not None:
                self.result = segment(self.model, self.image, keep_probabilities=False)

    def legend(self):
        """Returns `(name, color, share)` of the classes found, the largest first."""
        found = zip(self.result.shares().items(), self.result.palette, strict=True)
        rows = [(str(name), tuple(color), share) for (name, share), color in found if share > 0]
        return sorted(rows, key=lambda row: -row[2])

    def class_at(self, pixel):
        """Returns the name of the class at a pixel `(row, column)`.

        Several labels of a pixel are separated by commas; without labels, the text is empty.
        """
        found = self.result.class_map[pixel]
        labels = [found] if found.ndim == 0 else np.flatnonzero(found)
        names = self.result.class_names or range(len(self.result.palette))
        return ", ".join(str(names[int(label)]) for label in labels)

    def layers(self):
        """Returns the names of the layers whose attention can be shown."""
        return [] if self.model is None else attention_layers(self.model)

    def attention(self, pixel, layer):
        """Returns a PNG file of the attention of a layer, as bytes."""
        with COMPUTING:
            maps = model_attention(self.model, self.image, pixel, layer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "attention.png"
            plot_attention(path, self.image, maps, pixel)
            return path.read_bytes()
