"""Rewrites of an exported ONNX graph: the same results with fewer passes over memory."""

import hashlib

import numpy as np

# Orders of the axes of (batch, channels, height, width).
CHANNELS_LAST = (0, 2, 3, 1)
COLUMNS_CHANNELS_LAST = (0, 3, 2, 1)


class Replacement:
    """Nodes that replace one node, named after its result and their purpose, with constants."""

    def __init__(self, node, purpose, constants):
        self.prefix, self.nodes = f"{node.output[0]}_{purpose}", []
        self.constants = constants

    def constant(self, values):
        """Returns the name of a constant tensor; equal values share a name."""
        from onnx import numpy_helper

        values = np.array(values, order="C")
        if values.dtype.kind == "i":
            # On some platforms, NumPy's default integers are shorter than ONNX's shape integers.
            values = values.astype("int64")
        digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
        name = f"{values.dtype}_{values.shape}_{digest}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def add(self, operator, *inputs, outputs=1, **attributes):
        """Adds a node and returns its output name or a list of output names."""
        from onnx import helper

        name = f"{self.prefix}_{len(self.nodes)}"
        names = [name] + [f"{name}_{number}" for number in range(1, outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names if outputs > 1 else name

    def finish(self, result):
        """Names the last node's output and returns the nodes."""
        self.nodes[-1].output[0] = result
        return self.nodes


def replace_nodes(graph, replace):
    """Replaces each node by the result of `replace(node, constants)`, unless it is `None`."""
    constants, nodes = {tensor.name: None for tensor in graph.initializer}, []
    for node in graph.node:
        new = replace(node, constants)
        nodes.extend([node] if new is None else new)
    _set_nodes(graph, nodes)
    graph.initializer.extend(tensor for tensor in constants.values() if tensor is not None)


def round_scales_up(graph):
    """Raises the fractional scales of `Resize` nodes by two float32 steps, in place.

    Runtimes compute a size as `floor(size * scale)`, and `12 * float32(23 / 12)` is below 23.
    """
    from onnx import numpy_helper

    scales = {node.input[2] for node in graph.node if node.op_type == "Resize" and node.input[2:]}
    for tensor in graph.initializer:
        if tensor.name in scales:
            values = numpy_helper.to_array(tensor)
            raised = np.nextafter(np.nextafter(values, np.float32("inf")), np.float32("inf"))
            raised = np.where(values == np.round(values), values, raised)
            tensor.CopyFrom(numpy_helper.from_array(raised, tensor.name))


def pad_for_each_reader(graph):
    """Gives every reader of a padded map its own `Pad`, in place.

    ONNX Runtime fuses a `Pad` into the convolution or pooling that reads it, but not if the `Pad`
    has several readers.
    """
    nodes = []
    for node in graph.node:
        nodes.append(node)
        readers = _readers(graph, node) if node.op_type == "Pad" else []
        for number, reader in enumerate(readers[1:], 2):
            copy = type(node)()
            copy.CopyFrom(node)
            copy.name = copy.output[0] = f"{node.output[0]}_for_reader_{number}"
            reader.input[:] = [copy.output[0] if n == node.output[0] else n for n in reader.input]
            nodes.append(copy)
    _set_nodes(graph, nodes)


def resize_channels_last(graph):
    """Moves a transposition from after a linear `Resize` to before it, in place.

    On a CPU, ONNX Runtime resizes faster with channels last, and the transposed map is smaller if
    the resize enlarges it. Its GPU kernels would treat the last two axes as height and width.
    """
    outputs, moved = {value.name for value in graph.output}, set()

    def replace(node, constants):
        if node.name in moved:
            return []
        if not _is_linear_resize(node) or node.output[0] in outputs:
            return None
        readers = _readers(graph, node)
        if len(readers) != 1 or attributes(readers[0]).get("perm") != list(CHANNELS_LAST):
            return None
        moved.add(readers[0].name)
        new = Replacement(node, "channels_last", constants)
        # The last input contains the sizes, or the scales if there are no sizes.
        image, *others, sizes = node.input
        image = new.add("Transpose", image, perm=CHANNELS_LAST)
        sizes = new.add("Gather", sizes, new.constant(CHANNELS_LAST))
        new.add("Resize", image, *others, sizes, **attributes(node))
        return new.finish(readers[0].output[0])

    replace_nodes(graph, replace)


def gather_columns(graph):
    """Orders maps by columns with a gather, in place, for criss-cross attention.

    ONNX Runtime combines this order and channels-last into one transposition, which is slow: it
    moves single numbers instead of all channels of a pixel at once.
    """
    replace_nodes(graph, _gather_columns)


def _gather_columns(node, constants):
    if attributes(node).get("perm") != list(COLUMNS_CHANNELS_LAST):
        return None
    new, image = Replacement(node, "by_columns", constants), node.input[0]
    rows_columns = new.add("Shape", image, start=2, end=4)
    count = new.add("ReduceProd", rows_columns, keepdims=0)
    by_rows = new.add("Range", new.constant(0), count, new.constant(1))
    by_columns = new.add("Transpose", new.add("Reshape", by_rows, rows_columns), perm=[1, 0])

    # In the shape of a `Reshape`, 0 keeps the batch, and -1 stands for all pixels.
    batch, pixels = new.constant([0]), new.constant([-1])
    channels = new.add("Shape", image, start=1, end=2)
    channels_last = new.add("Transpose", image, perm=CHANNELS_LAST)
    shape = new.add("Concat", batch, pixels, channels, axis=0)
    in_a_row = new.add("Reshape", channels_last, shape)
    gathered = new.add("Gather", in_a_row, new.add("Reshape", by_columns, pixels), axis=1)
    shape = new.add("Concat", batch, new.add("Shape", by_columns), channels, axis=0)
    new.add("Reshape", gathered, shape)
    return new.finish(node.output[0])


def _is_linear_resize(node):
    return node.op_type == "Resize" and attributes(node).get("mode") == b"linear"


def attributes(node):
    """Returns the attributes of an ONNX node by name."""
    from onnx import helper

    return {value.name: helper.get_attribute_value(value) for value in node.attribute}


def _readers(graph, node):
    return [reader for reader in graph.node if node.output[0] in reader.input]


def _set_nodes(graph, nodes):
    del graph.node[:]
    graph.node.extend(nodes)
