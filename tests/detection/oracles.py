"""NumPy's word on boxes, from the definitions and one box at a time."""

import numpy as np

ANCHORS = {"P2": 8, "P3": 16}
RATIOS = (0.5, 1.0, 2.0)


def random_boxes(rng, *shape, height=40, width=56):
    """Boxes that overlap, some of them beyond the borders of the image."""
    corner = rng.uniform(-8, (width, height), (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 30, (*shape, 2))], -1).astype("float32")


def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / max(area - both, 1e-12)


def suppress(boxes, scores, classes, threshold):
    """The greedy algorithm: takes the best remaining box and drops the boxes that overlap it."""
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i], i))
    keep = np.zeros(len(boxes), bool)
    while left:
        best, *left = left
        keep[best] = True
        left = [
            i
            for i in left
            if classes[i] != classes[best] or iou(boxes[i], boxes[best]) <= threshold
        ]
    return keep


def decode(deltas, anchor):
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = anchor[0] + width / 2 + deltas[0] * width
    y = anchor[1] + height / 2 + deltas[1] * height
    w, h = np.exp(np.minimum(deltas[2:], np.log(1000 / 16))) * (width, height)
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def propose(objectness, deltas, image_size, count, threshold):
    """The proposals of one image: its boxes and scores, without the ones that fill up."""
    found = []
    for level, size in ANCHORS.items():
        candidates = []
        for row in range(objectness[level].shape[0]):
            for column in range(objectness[level].shape[1]):
                for k, ratio in enumerate(RATIOS):
                    half = np.array([size / np.sqrt(ratio), size * np.sqrt(ratio)]) / 2
                    edges = np.round(np.concatenate([-half, half]))
                    stride = 2 ** int(level[1:])
                    anchor = edges + np.array([column, row, column, row]) * stride
                    box = decode(deltas[level][row, column, 4 * k : 4 * k + 4], anchor)
                    box = np.clip(box, 0, np.array([*image_size[::-1]] * 2))
                    candidates.append((objectness[level][row, column, k], box))
        candidates.sort(key=lambda pair: -pair[0])
        scores, boxes = zip(*candidates[:count], strict=True)
        for i in np.flatnonzero(suppress(boxes, scores, np.zeros(len(boxes)), threshold)):
            if boxes[i][2] > boxes[i][0] and boxes[i][3] > boxes[i][1]:
                found.append((1 / (1 + np.exp(-scores[i])), boxes[i]))
    found.sort(key=lambda pair: -pair[0])
    return found[:count]


def align(box, features, size, samples, aligned):
    """ROIAlign of one box from maps by levels."""
    levels = sorted(features)
    scale = np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1e-6)) / 224
    number = int(np.clip(np.floor(4 + np.log2(scale) + 1e-6), int(levels[0][1:]), 9))
    level = levels[min(number - int(levels[0][1:]), len(levels) - 1)]
    values = features[level]
    box = np.asarray(box, "float64") / 2 ** int(level[1:]) - (0.5 if aligned else 0)
    sides = np.maximum(box[2:] - box[:2], 0 if aligned else 1)

    def value(y, x):
        height, width = values.shape[:2]
        if not (-1 <= y <= height and -1 <= x <= width):
            return 0
        y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        i, j = int(y), int(x)
        below, right = min(i + 1, height - 1), min(j + 1, width - 1)
        above = (1 - (x - j)) * values[i, j] + (x - j) * values[i, right]
        under = (1 - (x - j)) * values[below, j] + (x - j) * values[below, right]
        return (1 - (y - i)) * above + (y - i) * under

    result = np.zeros((size, size, values.shape[-1]))
    for row in range(size):
        for column in range(size):
            for a in range(samples):
                for b in range(samples):
                    y = box[1] + (row + (a + 0.5) / samples) * sides[1] / size
                    x = box[0] + (column + (b + 0.5) / samples) * sides[0] / size
                    result[row, column] += value(y, x) / samples**2
    return result
