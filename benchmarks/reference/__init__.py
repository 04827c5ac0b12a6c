"""References for the layers and networks: the same mathematics in plain PyTorch."""

import io
import os

import numpy as np


def reference_step(spec):
    """Returns a step of a plain PyTorch subject and its description, as
    `benchmarks.engines.prepare`.

    For inference, the subject runs eagerly, compiled, or exported to ONNX Runtime.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.backends import compiled, torch_step
    from benchmarks.runtimes import run_onnx
    from benchmarks.subjects import traffic

    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    device = "cuda" if spec.get("device") == "gpu" else "cpu"
    dtype = getattr(torch, spec.get("dtype", "float32").removeprefix("mixed_"))
    if spec["subject"] in YARDSTICKS:
        return YARDSTICKS[spec["subject"]](torch, spec, device, dtype)
    if spec.get("training"):
        return _training_step(torch, spec, device)
    module, shape = _module(spec["subject"])
    batch, height, width, channels = (spec.get("shapes") or [shape])[0]
    backward, how = bool(spec.get("backward")), spec["engine"].split()[2:]
    x = np.random.default_rng(0).standard_normal((batch, channels, height, width))
    x = torch.tensor(x, dtype=torch.float32, device=device)
    module = module.to(device).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = module(x)
    facts = {"flops": counter.get_total_flops() * (3 if backward else 1), "batch": batch}
    if not backward:
        weights = sum(weight.numel() for weight in module.parameters())
        y = getattr(y, "logits", y)
        facts["bytes"] = traffic([x.shape], [y.shape], weights, dtype.itemsize)
    if "ONNX" in how:
        file = io.BytesIO()
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17)
        return run_onnx(file.getvalue(), [x.numpy()]), {**facts, "keeps_memory": True}
    x.requires_grad_(backward)
    network = compiled(torch, module) if "compiled" in how else module

    def function(x):
        # As in Keras's mixed policies, weights are float32 and cast when used.
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return network(x)

    return torch_step(torch, function, [x], backward, list(module.parameters())), facts


def _module(subject):
    from benchmarks.peers import TORCH_PEERS
    from benchmarks.reference.attanet import AttaNetLightReference
    from benchmarks.reference.attention import CrissCrossReference, NonLocalReference
    from benchmarks.subjects import CLASSES, shapes_of

    if subject in TORCH_PEERS:
        return TORCH_PEERS[subject](), shapes_of(subject)[0]
    shape = shapes_of(subject)[0]
    if subject == "AttaNet light":
        return AttaNetLightReference(CLASSES), shape
    if subject == "NonLocal":
        return NonLocalReference(shape[3]), shape
    if subject.startswith("CrissCrossAttention R="):
        return CrissCrossReference(shape[3], int(subject[-1])), shape
    raise ValueError(f"There is no plain PyTorch version of {subject!r}.")


def _training_step(torch, spec, device):
    from benchmarks.reference.attanet import AttaNetLightReference
    from benchmarks.subjects import CLASSES, batch_of

    images, masks = batch_of(spec["shapes"][0])
    images = torch.tensor(images, device=device).permute(0, 3, 1, 2).contiguous()
    masks = torch.tensor(masks, dtype=torch.long, device=device)
    network = AttaNetLightReference(CLASSES).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), masks, ignore_index=255)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, {"batch": spec["shapes"][0][0]}


def _matmul(torch, spec, device, dtype):
    """A large product, limited by arithmetic."""
    from benchmarks.subjects import shapes_of

    ((side, _),) = shapes_of("matmul", spec.get("shapes"))
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return _finished(torch, lambda: torch.mm(a, b), device), {"flops": 2 * side**3}


def _copy(torch, spec, device, dtype):
    """A copy of a large map, limited by memory."""
    (shape,) = spec["shapes"]
    a, b = (torch.randn(*shape, device=device, dtype=dtype) for _ in range(2))
    moved = 2 * a.numel() * a.element_size()
    return _finished(torch, lambda: b.copy_(a), device), {"flops": None, "bytes": moved}


def _finished(torch, function, device):
    def step():
        function()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


YARDSTICKS = {"matmul": _matmul, "copy": _copy}
