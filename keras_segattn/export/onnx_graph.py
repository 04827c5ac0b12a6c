"""Rewrites of an exported ONNX graph: the same results by fewer passes over memory."""

CHANNELS_LAST = (0, 2, 3, 1)


def pad_for_each_reader(graph):
    """Gives every reader of a padded map a `Pad` of its own, in place.

    ONNX Runtime makes a `Pad` part of the convolution or the pooling that reads it, but not if it
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
    """Moves a transposition after a linear `Resize` before it, in place.

    On a processor ONNX Runtime resizes faster with the channels last, and the map that is
    transposed is smaller where it is enlarged. Its kernels for GPUs would take the last two axes
    for height and width.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    outputs = {value.name for value in graph.output}
    nodes, moved = [], set()
    for node in graph.node:
        if node.name in moved:
            continue
        nodes.append(node)
        if not _is_linear_resize(node) or node.output[0] in outputs:
            continue
        readers = _readers(graph, node)
        if len(readers) != 1 or attributes(readers[0]).get("perm") != list(CHANNELS_LAST):
            continue
        (transpose,) = readers
        small, order, sizes = (f"{node.name}_{part}" for part in ("small", "order", "sizes"))
        graph.initializer.append(numpy_helper.from_array(np.array(CHANNELS_LAST, "int64"), order))
        nodes[-1:] = [
            helper.make_node("Transpose", [node.input[0]], [small], small, perm=CHANNELS_LAST),
            # The last input are the sizes, or without them the scales.
            helper.make_node("Gather", [node.input[-1], order], [sizes], sizes),
            node,
        ]
        node.input[0], node.input[-1] = small, sizes
        node.output[0] = transpose.output[0]
        moved.add(transpose.name)
    _set_nodes(graph, nodes)


def _is_linear_resize(node):
    return node.op_type == "Resize" and attributes(node).get("mode") == b"linear"


def attributes(node):
    """Returns what an ONNX node is set to, by name."""
    from onnx import helper

    return {value.name: helper.get_attribute_value(value) for value in node.attribute}


def _readers(graph, node):
    return [reader for reader in graph.node if node.output[0] in reader.input]


def _set_nodes(graph, nodes):
    del graph.node[:]
    graph.node.extend(nodes)
