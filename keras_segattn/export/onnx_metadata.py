"""Reads an ONNX file's metadata, and checks that it is self-contained, without `onnx`."""

# Fields of `ModelProto` and `StringStringEntryProto` in onnx.proto.
METADATA_PROPS, KEY, VALUE = 14, 1, 2
# The fields of each message in onnx.proto that contain tensors, and their message types.
HOLDERS = {
    "model": {7: "graph", 20: "training_info", 25: "function"},
    "training_info": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse_tensor",
        23: "sparse_tensor",
    },
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
EXTERNAL_DATA = 13
# Wire types of protocol buffers, and the number of bytes of fixed-length types.
VARINT, LENGTH_DELIMITED = 0, 2
FIXED = {1: 8, 5: 4}


def read_properties(path):
    """Returns the `metadata_props` of an ONNX file as a dict of strings.

    The file is a sequence of fields with lengths. All fields except the metadata are skipped, so
    neither the package `onnx` nor memory for the weights is needed.

    Raises:
        ValueError: If the file is not a sequence of fields.
    """
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        properties = {}
        for field, start, stop in list(_fields(file, 0, end)):
            if field == METADATA_PROPS:
                texts = {key: _text(file, *span) for key, *span in list(_fields(file, start, stop))}
                properties[texts[KEY]] = texts[VALUE]
    return properties


def check_self_contained(path):
    """Raises a ValueError if a tensor of an ONNX file is stored in another file.

    No export writes such a file, and the other file may be any file that the process can read:
    versions of the package `onnx` before 1.21 follow links out of the model's folder.
    """
    with open(path, "rb") as file:
        messages = [("model", 0, file.seek(0, 2))]
        while messages:
            kind, *span = messages.pop()
            for field, start, stop in list(_fields(file, *span)):
                if kind == "tensor" and field == EXTERNAL_DATA:
                    raise ValueError("it has a tensor stored in another file")
                if field in HOLDERS[kind]:
                    messages.append((HOLDERS[kind][field], start, stop))


def _fields(file, start, end):
    """Yields the number of each length-delimited field and the start and end of its content."""
    while start < end:
        file.seek(start)
        tag = _varint(file)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            _varint(file)
            start = file.tell()
        elif wire_type == LENGTH_DELIMITED:
            length = _varint(file)
            start = file.tell() + length
            yield field, start - length, start
        elif wire_type in FIXED:
            start = file.tell() + FIXED[wire_type]
        else:
            raise ValueError(f"a field has the wire type {wire_type}, which no ONNX model has")
    if start > end:
        raise ValueError("it ends in the middle of a field")


def _varint(file):
    """Reads an integer in groups of 7 bits, the lowest first; the last has its high bit clear."""
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number has more than 64 bits")


def _text(file, start, stop):
    file.seek(start)
    return file.read(stop - start).decode()
