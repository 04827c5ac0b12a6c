"""Generated road scenes, so that everything runs without downloads."""

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.data.camvid import SPLITS, CamVid
from keras_segattn.data.dataset import IGNORE_CLASS, SegmentationDataset

CLASS = {name: label for label, name in enumerate(CamVid.class_names)}
# Scenes are drawn this much larger and then reduced, which smooths edges.
OVERSAMPLING = 2


class RoadScenes(SegmentationDataset):
    """Drawn road scenes with the 11 classes of CamVid, determined by the seed.

    A scene has a sky, a row of buildings and trees, a road between pavements, and poles, signs,
    fences, cars, pedestrians and bicyclists at random positions, with random colors and light. A
    strip of void borders some objects. The data is easy to learn and does not replace real
    images.

    Args:
        split: `"train"`, `"val"` or `"test"`; the splits differ in every image.
        count: Integer, the number of scenes. Defaults to `64`.
        size: Tuple `(height, width)`. Defaults to `(96, 128)`.
        seed: Integer. Defaults to `0`.

    Raises:
        ValueError: If `split` is unknown, or `count` or `size` is too small.

    Example:

    >>> image, mask = RoadScenes("train", count=4).read(0)
    >>> image.shape, mask.shape
    ((96, 128, 3), (96, 128))
    """

    class_names = CamVid.class_names
    palette = CamVid.palette

    def __init__(self, split, count=64, size=(96, 128), seed=0):
        check_choice("split", split, SPLITS)
        if count < 1 or min(size) < 32:
            raise ValueError(
                "`count` must be at least 1 and both sides of `size` at least 32. Received: "
                f"count={count}, size={size}"
            )
        self._split = split
        self.count = count
        self.size = tuple(size)
        self.seed = seed

    def __len__(self):
        return self.count

    def name(self, index):
        return f"{self._split}_{index:05d}"

    def read(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"`index` must be from 0 to {self.count - 1}. Received: index={index}")
        rng = np.random.default_rng((self.seed, SPLITS.index(self._split), index))
        scene = _Scene(self.size, rng)
        scene.draw()
        return scene.finish()


class _Scene:
    """An image and its mask, drawn together. Coordinates are fractions of width and height."""

    def __init__(self, size, rng):
        from PIL import Image, ImageDraw

        self.rng = rng
        self.height, self.width = (OVERSAMPLING * side for side in size)
        self.image = Image.new("RGB", (self.width, self.height))
        self.mask = Image.new("L", (self.width, self.height), IGNORE_CLASS)
        self._brushes = ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask)
        self.horizon = rng.uniform(0.35, 0.5)
        self.vanishing = rng.uniform(0.35, 0.65)

    def draw(self):
        rng = self.rng
        blue = rng.uniform(0.6, 1)
        self.rectangle("Sky", self.color((210 * blue, 225 * blue, 240)), 0, 0, 1, 1)
        self.buildings()
        self.ground()
        self.trees()
        if rng.random() < 0.5:
            self.fence()
        for _ in range(rng.integers(1, 4)):
            self.pole(sign=rng.random() < 0.7)
        objects = [self.car] * rng.integers(1, 4)
        objects += [self.pedestrian] * rng.integers(1, 4) + [self.bicyclist] * rng.integers(0, 3)
        # From far to near, because near objects hide far ones.
        for depth in sorted(rng.uniform(0.15, 0.9, len(objects))):
            objects.pop(rng.integers(len(objects)))(depth)

    def finish(self):
        from PIL import Image

        size = (self.width // OVERSAMPLING, self.height // OVERSAMPLING)
        image = np.asarray(self.image.resize(size, Image.Resampling.BOX), dtype="float32")
        mask = np.asarray(self.mask.resize(size, Image.Resampling.NEAREST))
        light = self.rng.uniform(0.6, 1.1) * np.linspace(
            self.rng.uniform(0.85, 1.15), 1, len(image), dtype="float32"
        )
        noise = self.rng.normal(0, 6, image.shape)
        image = np.clip(image * light[:, None, None] + noise, 0, 255).astype("uint8")
        return image, mask

    def buildings(self):
        left = 0.0
        while left < 1:
            right = left + self.rng.uniform(0.1, 0.3)
            # Streets open toward the vanishing point.
            distance = abs((left + right) / 2 - self.vanishing)
            top = self.horizon - self.rng.uniform(0.08, 0.2) - 0.5 * distance
            wall = self.color(self.rng.choice([(150, 90, 70), (170, 160, 140), (110, 100, 100)]))
            self.rectangle("Building", wall, left, top, right, 1)
            window = tuple(int(0.55 * value) for value in wall)
            for x in np.arange(left + 0.02, right - 0.03, 0.05):
                for y in np.arange(top + 0.03, self.horizon - 0.03, 0.07):
                    self.rectangle("Building", window, x, y, x + 0.025, y + 0.04)
            left = right

    def ground(self):
        half = self.rng.uniform(0.02, 0.05)
        self.rectangle("Pavement", self.color((165, 155, 150)), 0, self.horizon, 1, 1)
        left, right = self.rng.uniform(-0.3, 0.15), self.rng.uniform(0.85, 1.3)
        road = [(left, 1), (self.vanishing - half, self.horizon)]
        road += [(self.vanishing + half, self.horizon), (right, 1)]
        self.polygon("Road", self.color((95, 95, 100)), road)
        middle = (left + right) / 2
        for near in np.arange(0.1, 1, 0.25):
            stripe = []
            for depth, side in ((near, -1), (near, 1), (near + 0.1, 1), (near + 0.1, -1)):
                x = self.vanishing + (middle - self.vanishing) * depth + side * 0.008 * depth
                stripe.append((x, self.horizon + (1 - self.horizon) * depth))
            self.polygon("Road", (225, 225, 220), stripe)

    def trees(self):
        for _ in range(self.rng.integers(1, 5)):
            x, radius = self.side_of_road(), self.rng.uniform(0.06, 0.14)
            top = self.horizon - self.rng.uniform(0.1, 0.25)
            trunk = self.color((90, 70, 50))
            self.rectangle("Tree", trunk, x - 0.01, top, x + 0.01, self.horizon + 0.04)
            for _ in range(12):
                cx, cy = self.rng.normal(x, radius / 2), self.rng.normal(top, radius / 2)
                leaves = self.color((60, 100, 45))
                self.ellipse("Tree", leaves, cx, cy, radius / 2)

    def fence(self):
        left, length = self.side_of_road(), self.rng.uniform(0.15, 0.3)
        top, bottom = self.horizon - 0.01, self.horizon + 0.07
        paint = self.color((110, 120, 140))
        self.rectangle("Fence", paint, left, top, left + length, bottom)
        for x in np.arange(left, left + length, 0.02):
            self.rectangle("Fence", (70, 75, 90), x, top, x + 0.006, bottom)

    def pole(self, sign):
        x, top = self.side_of_road(), self.horizon - self.rng.uniform(0.15, 0.35)
        self.rectangle(
            "Pole", self.color((120, 120, 115)), x - 0.008, top, x + 0.008, self.horizon + 0.08
        )
        if sign:
            paint = self.color(self.rng.choice([(200, 40, 40), (40, 70, 190), (220, 190, 40)]))
            self.rectangle("SignSymbol", paint, x - 0.035, top, x + 0.035, top + 0.08)
            self.rectangle(
                "SignSymbol", (235, 235, 235), x - 0.02, top + 0.02, x + 0.02, top + 0.06
            )

    def car(self, depth):
        x, y = self.rng.uniform(0.1, 0.9), self.ground_at(depth)
        w, h = 0.09 + 0.14 * depth, 0.07 + 0.12 * depth
        paint = self.color(self.rng.choice([(180, 30, 30), (40, 60, 140), (210, 210, 210)]))
        self.rectangle(None, (40, 40, 40), x - w - 0.01, y - 0.01, x + w + 0.01, y + 0.015)
        roof = [(x - 0.6 * w, y - h), (x + 0.5 * w, y - h)]
        doors = [(x + 0.8 * w, y - h / 2), (x - 0.8 * w, y - h / 2)]
        self.polygon("Car", tuple(int(0.8 * value) for value in paint), roof + doors)
        self.rectangle("Car", (60, 75, 90), x - 0.5 * w, y - 0.9 * h, x + 0.45 * w, y - 0.55 * h)
        self.rectangle("Car", paint, x - w, y - 0.55 * h, x + w, y - 0.1 * h)
        for wheel in (x - 0.6 * w, x + 0.6 * w):
            self.ellipse("Car", (25, 25, 25), wheel, y - 0.1 * h, 0.2 * w)

    def pedestrian(self, depth):
        x, y, h = self.side_of_road(), self.ground_at(depth), 0.14 + 0.2 * depth
        self.person("Pedestrian", x, y, h)

    def bicyclist(self, depth):
        x, y, h = self.rng.uniform(0.1, 0.9), self.ground_at(depth), 0.14 + 0.2 * depth
        for wheel in (x - 0.22 * h, x + 0.22 * h):
            self.ellipse("Bicyclist", (30, 30, 30), wheel, y - 0.12 * h, 0.13 * h)
        self.person("Bicyclist", x, y - 0.15 * h, 0.85 * h)

    def person(self, name, x, y, h):
        trousers, shirt = (self.color(self.rng.uniform(30, 220, 3)) for _ in range(2))
        self.rectangle(name, trousers, x - 0.07 * h, y - 0.5 * h, x + 0.07 * h, y)
        self.rectangle(name, shirt, x - 0.1 * h, y - 0.85 * h, x + 0.1 * h, y - 0.45 * h)
        self.ellipse(name, self.color((200, 160, 130)), x, y - 0.92 * h, 0.07 * h)

    def side_of_road(self):
        side = self.rng.choice([-1, 1])
        return self.vanishing + side * self.rng.uniform(0.15, 0.45)

    def ground_at(self, depth):
        return self.horizon + (1 - self.horizon) * depth

    def color(self, base):
        return tuple(int(v) for v in np.clip(np.asarray(base) + self.rng.normal(0, 15, 3), 0, 255))

    def rectangle(self, name, color, left, top, right, bottom):
        self.polygon(name, color, [(left, top), (right, top), (right, bottom), (left, bottom)])

    def polygon(self, name, color, points):
        points = [(x * self.width, y * self.height) for x, y in points]
        for brush, fill in zip(self._brushes, (color, self.label(name)), strict=True):
            brush.polygon(points, fill=fill)

    def ellipse(self, name, color, x, y, radius):
        # A circle in pixels: `radius` is a fraction of the height.
        x, y, radius = x * self.width, y * self.height, radius * self.height
        box = (x - radius, y - radius, x + radius, y + radius)
        for brush, fill in zip(self._brushes, (color, self.label(name)), strict=True):
            brush.ellipse(box, fill=fill)

    def label(self, name):
        return IGNORE_CLASS if name is None else CLASS[name]
