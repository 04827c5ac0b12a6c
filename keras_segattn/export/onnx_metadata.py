"""Reading the metadata of an ONNX file without its graph, whose weights can be large."""

# Fields of `ModelProto` and `StringStringEntryProto` in onnx.proto.
METADATA_PROPS, KEY, VALUE = 14, 1, 2
# Wire types of protocol buffers.
VARINT, LENGTH_DELIMITED = 0, 2


def read_properties(path):
    """Returns the `metadata_props` of an ONNX file as a dict of strings.

    The file is a sequence of fields, each with its length. All but the metadata are skipped, so
    that neither the package `onnx` nor memory for the weights is needed.

    Raises:
        ValueError: If the file is not such a sequence.
    """
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        properties = {}
        for field, start, stop in list(_fields(file, 0, end)):
            if field == METADATA_PROPS:
                texts = {key: _text(file, *span) for key, *span in list(_fields(file, start, stop))}
                properties[texts[KEY]] = texts[VALUE]
    return properties


def _fields(file, start, end):
    """Yields the number of each length-delimited field, and where its content starts and stops."""
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
