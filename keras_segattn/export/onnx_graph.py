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
        if node.op_type != "Pad":
            continue
        for number, reader in enumerate(_readers(graph, node)[1:], 2):
            copy = type(node)()
            copy.CopyFrom(node)
            copy.name, copy.output[0] = f"{node.name}_{number}", f"{node.output[0]}_{number}"
            _replace(reader.input, node.output[0], copy.output[0])
            nodes.append(copy)
    _set_nodes(graph, nodes)


def resize_channels_last(graph):
    """Moves a transposition after a `Resize` before it, in place.

    The map that is transposed is then the smaller one, and ONNX Runtime resizes as fast with the
    channels last.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    nodes, moved = [], []
    for node in graph.node:
        readers = _readers(graph, node)
        if node in moved:
            continue
        if node.op_type == "Resize" and len(readers) == 1 and _to_channels_last(readers[0]):
            (transpose,) = readers
            small, order, sizes = (f"{node.name}_{part}" for part in ("small", "order", "sizes"))
            graph.initializer.append(
                numpy_helper.from_array(np.array(CHANNELS_LAST, "int64"), order)
            )
            nodes += [
                helper.make_node("Transpose", [node.input[0]], [small], small, perm=CHANNELS_LAST),
                # Its last input are the sizes, or without them the scales.
                helper.make_node("Gather", [node.input[-1], order], [sizes], sizes),
            ]
            node.input[0], node.input[-1] = small, sizes
            node.output[0] = transpose.output[0]
            moved.append(transpose)
        nodes.append(node)
    _set_nodes(graph, nodes)


def _readers(graph, node):
    return [reader for reader in graph.node if node.output[0] in reader.input]


def _to_channels_last(node):
    permutations = [tuple(attribute.ints) for attribute in node.attribute]
    return node.op_type == "Transpose" and permutations == [CHANNELS_LAST]


def _replace(names, old, new):
    names[:] = [new if name == old else name for name in names]


def _set_nodes(graph, nodes):
    del graph.node[:]
    graph.node.extend(nodes)
