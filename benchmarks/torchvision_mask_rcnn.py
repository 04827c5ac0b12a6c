"""Compares Mask R-CNN with torchvision's `maskrcnn_resnet50_fpn`, with the same random weights.

Run the two steps in separate environments, because torchvision needs a matching torch version:

    python benchmarks/torchvision_mask_rcnn.py write folder       # torch and torchvision only
    python benchmarks/torchvision_mask_rcnn.py compare folder     # Keras and this library

The second prints one line of JSON for each image, and fails if a difference exceeds its bound.
"""

import json
import sys
from pathlib import Path

import numpy as np

SIZES = ((192, 256), (200, 250))  # sides that are multiples of 32, and sides that need padding
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Maps and logits are compared relative to their largest value, boxes in pixels.
BOUNDS = {
    "maps": 1e-4,
    "objectness": 1e-4,
    "deltas": 1e-4,
    "proposals": 0.01,
    "box_logits": 1e-3,
    "box_deltas": 1e-3,
    "boxes": 0.05,
    "scores": 1e-3,
    "masks": 1e-3,
}
# The minimum share of proposals and objects with a match in the other library.
LEAST_EQUAL = 0.99


def write(folder):
    """Writes random weights, images, and torchvision's results for them."""
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    model.transform.min_size, model.transform.max_size = (192,), 256
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, so that maps have a size of about 1
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0, 0.2)
    with torch.no_grad():
        model.backbone.train()(torch.randn(2, 3, 192, 256))
        model.eval()
        # Scales at which neither scores nor boxes saturate.
        for layer, deviation in (
            (model.rpn.head.cls_logits, 1.0),
            (model.rpn.head.bbox_pred, 0.3),
            (model.roi_heads.box_predictor.cls_score, 1.5),
            (model.roi_heads.box_predictor.bbox_pred, 1.0),
            (model.roi_heads.mask_predictor.mask_fcn_logits, 2.0),
        ):
            outputs = []
            hook = layer.register_forward_hook(
                lambda *call, outputs=outputs: outputs.append(call[2])
            )
            model([torch.rand(3, 192, 256)])
            hook.remove()
            layer.weight *= deviation / torch.cat([o.flatten() for o in outputs]).std()
    torch.save(model.state_dict(), folder / "weights.pth")
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        # Low and high frequencies.
        coarse = rng.uniform(size=(1, 3, height // 16, width // 16)).astype("float32")
        image = torch.nn.functional.interpolate(
            torch.from_numpy(coarse), (height, width), mode="bilinear"
        )[0]
        image = (image + 0.1 * torch.from_numpy(rng.normal(size=image.shape)).float()).clamp(0, 1)
        # These sizes avoid resizing.
        model.transform.min_size, model.transform.max_size = (height,), width
        with torch.no_grad():
            images, _ = model.transform([image])
            assert images.image_sizes == [(height, width)]
            maps = model.backbone(images.tensors)
            objectness, deltas = model.rpn.head(list(maps.values()))
            proposals, _ = model.rpn(images, maps)
            pooled = model.roi_heads.box_roi_pool(maps, proposals, images.image_sizes)
            logits, moves = model.roi_heads.box_predictor(model.roi_heads.box_head(pooled))
            found, _ = model.roi_heads(maps, proposals, images.image_sizes)
        arrays = {"images": images.tensors.permute(0, 2, 3, 1), "proposals": proposals[0]}
        arrays |= {"box_logits": logits, "box_deltas": moves, "size": torch.tensor([height, width])}
        for level, name in enumerate(maps):
            arrays[f"maps{level}"] = maps[name].permute(0, 2, 3, 1)
            arrays[f"objectness{level}"] = objectness[level].permute(0, 2, 3, 1)
            arrays[f"deltas{level}"] = deltas[level].permute(0, 2, 3, 1)
        arrays |= {key: found[0][key] for key in ("boxes", "labels", "scores")}
        arrays["masks"] = found[0]["masks"][:, 0]
        np.savez(folder / f"image{number}.npz", **{k: v.numpy() for k, v in arrays.items()})
        print(f"image {number}: {len(proposals[0])} proposals, {len(found[0]['boxes'])} objects")


def compare(folder):
    """Prints the differences between both libraries; returns whether all are within bounds."""
    import keras

    from keras_segattn.applications import MaskRCNN
    from keras_segattn.weights import load_checkpoint, load_torch_state_dict

    model = MaskRCNN(classes=90, aligned=False)
    load_torch_state_dict(model, load_checkpoint(folder / "weights.pth"))
    padded = model.padded_model()
    all_within = True
    for path in sorted(folder.glob("image*.npz")):
        want = dict(np.load(path))
        images, size = want["images"], want["size"][None].astype("int32")
        numpy = keras.ops.convert_to_numpy
        features = model._features(keras.ops.convert_to_tensor(images), training=False)
        line = {"image": path.stem, "backend": keras.backend.backend()}
        for key in ("maps", "objectness", "deltas"):
            levels = [
                _relative(numpy(features[key][f"P{level + 2}"]), want[f"{key}{level}"])
                for level in range(5)
            ]
            line[key] = max(levels)
        boxes, scores = model.get_layer("proposals")(
            features["objectness"], features["deltas"], keras.ops.convert_to_tensor(size)
        )
        boxes = numpy(boxes)[0][numpy(scores)[0] >= 0]
        line["proposals"], line["equal_proposals"] = _nearest(boxes, want["proposals"])
        # The heads run on the same proposals, before any box is suppressed.
        finest = {f"P{level}": features["maps"][f"P{level}"] for level in range(2, 6)}
        regions = keras.ops.convert_to_tensor(want["proposals"][None])
        logits, moves = model.get_layer("box_head")(model.get_layer("box_align")(regions, finest))
        line["box_logits"] = _relative(numpy(logits)[0], want["box_logits"])
        moves = numpy(moves)[0].reshape(want["box_deltas"].shape)
        line["box_deltas"] = _relative(moves, want["box_deltas"])
        found = padded.predict_on_batch([images, size])
        line |= _objects({key: value[0] for key, value in found.items()}, want)
        within = all(line[key] <= bound for key, bound in BOUNDS.items())
        within &= min(line["equal_proposals"], line["equal_objects"]) >= LEAST_EQUAL
        all_within &= within
        rounded = {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in line.items()}
        print(json.dumps({**rounded, "within_bounds": bool(within)}))
    return all_within


def _relative(got, want):
    return float(np.abs(got - want).max() / np.abs(want).max())


def _nearest(boxes, others):
    """Returns the largest distance between matching boxes, and the share of boxes with a match."""
    distances = np.abs(boxes[:, None] - others[None]).max(axis=2)
    nearest = np.concatenate([distances.min(axis=1), distances.min(axis=0)])
    equal = nearest <= BOUNDS["proposals"]
    return float(nearest[equal].max(initial=0)), float(equal.mean())


def _objects(found, want):
    """Returns the differences between matching objects, and the share of objects with a match."""
    kept = found["classes"] >= 0
    pairs, left = [], set(range(len(want["boxes"])))
    for i in np.flatnonzero(kept):
        distances = {
            j: np.abs(found["boxes"][i] - want["boxes"][j]).max()
            for j in left
            # torchvision's classes include the background.
            if want["labels"][j] == found["classes"][i] + 1
        }
        if distances and min(distances.values()) < 1:
            pairs.append((i, min(distances, key=distances.get)))
            left.remove(pairs[-1][1])
    line = {
        key: max((float(np.abs(found[key][i] - want[key][j]).max()) for i, j in pairs), default=0.0)
        for key in ("boxes", "scores", "masks")
    }
    count = max(kept.sum(), len(want["boxes"]))
    return {**line, "objects": int(count), "equal_objects": len(pairs) / count if count else 0.0}


if __name__ == "__main__":
    action, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    if action == "write":
        write(target)
    elif not compare(target):
        sys.exit("a difference exceeds its bound")
