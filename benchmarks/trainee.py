"""Networks on their own CUDA streams: those in training, and their teachers."""

import torch

from benchmarks.torch_kernels import bilinear_by_matrices
from keras_segattn.applications.deep_supervision import DeepSupervision
from keras_segattn.layers.resize_like import nearest, resize_kernels


class Teacher:
    """A trained network: its stream and, on a GPU, the graph of its forward pass."""

    def __init__(self, model, device):
        self.model = model
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.graph = None

    @torch.no_grad()
    def forward(self, images):
        """Computes `self.logits`."""
        with resize_kernels(nearest, bilinear_by_matrices):
            self.logits = [self.model(self.model.preprocessing(images), training=False)]

    def capture(self, images):
        """Records the forward pass; from now on it reads this tensor, whatever it holds."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self.forward(images)
        self.graph = graph

    def run_forward(self, images):
        if self.graph:
            self.graph.replay()
        else:
            self.forward(images)


class Trainee:
    """A network in training: its optimizer, its stream and, on a GPU, its two graphs."""

    def __init__(self, recipe, model, device):
        self.recipe, self.model, self.device = recipe, model, device
        self.supervised = isinstance(model, DeepSupervision)
        self.network = model.network if self.supervised else model
        self.weights = [1.0, *(model.auxiliary_weights if self.supervised else ())]
        self.optimizer = build_torch_optimizer(self.network, recipe, device)
        self.teaches = recipe.network_arguments["backbone"] != "light"
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.graphs = None

    def forward(self, images):
        """Computes `self.logits`, the main output first."""
        with resize_kernels(nearest, bilinear_by_matrices):
            logits = self.network(self.model.preprocessing(images), training=True)
        self.logits = logits if self.supervised else [logits]

    def backward(self, hard, target):
        """Takes one step for the labels, `hard`, and for labels and teacher together, `target`.

        Both are `(batch, classes, height, width)`.
        """
        loss = 0
        for i, (logits, weight) in enumerate(zip(self.logits, self.weights, strict=True)):
            wanted = hard if i else target
            loss = loss - weight * (wanted * channels_first(logits).log_softmax(1)).sum()
        self.loss = loss.detach()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def trained(self):
        """Returns the network without auxiliary heads."""
        return self.model.without_auxiliary_heads() if self.supervised else self.model

    def capture(self, images, hard, target):
        """Records both passes; from now on they read these tensors, whatever they hold."""
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(forward, stream=self.stream):
            self.forward(images)
        with torch.cuda.graph(backward, pool=forward.pool(), stream=self.stream):
            self.backward(hard, target)
        self.graphs = forward, backward

    def run_forward(self, images):
        if self.graphs:
            self.graphs[0].replay()
        else:
            self.forward(images)

    def run_backward(self, hard, target, factor):
        for group in self.optimizer.param_groups:
            group["lr"].fill_(factor * self.recipe.learning_rate * group["factor"])
        if self.graphs:
            self.graphs[1].replay()
        else:
            self.backward(hard, target)


def channels_first(logits):
    """Returns float32 logits `(batch, classes, height, width)`: on a processor, a softmax over the
    short last axis is several times slower.
    """
    return logits.float().permute(0, 3, 1, 2).contiguous()


def on_streams(networks, work):
    """Runs `work` for each network on its stream; the current stream waits for all of them."""
    if networks[0].stream is None:
        for network in networks:
            work(network)
        return
    current = torch.cuda.current_stream()
    for network in networks:
        network.stream.wait_stream(current)
        with torch.cuda.stream(network.stream):
            work(network)
    for network in networks:
        current.wait_stream(network.stream)


def build_torch_optimizer(network, recipe, device):
    """Returns torch's AdamW, with the recipe's rate for the backbone and decay only for kernels."""
    factors = recipe.rate_factors or {}
    in_backbone = {
        id(weight) for name in factors for weight in network.get_layer(name).trainable_variables
    }
    groups = {}
    for weight in network.trainable_variables:
        factor = next(iter(factors.values())) if id(weight) in in_backbone else 1.0
        decay = recipe.weight_decay if "kernel" in weight.name else 0.0
        groups.setdefault((factor, decay), []).append(weight.value)
    on_gpu = device.type == "cuda"
    return torch.optim.AdamW(
        [
            {
                "params": values,
                "factor": factor,
                "weight_decay": decay,
                # A tensor, which a captured graph reads again in every step.
                "lr": torch.tensor(recipe.learning_rate, device=device),
            }
            for (factor, decay), values in groups.items()
        ],
        eps=1e-7,
        fused=on_gpu,
        capturable=on_gpu,
    )
