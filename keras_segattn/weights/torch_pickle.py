"""Reads the pickles in torch files with an interpreter that can only build tensors."""

import pickletools
from dataclasses import dataclass

from keras_segattn.weights.torch_tensors import ITEM_TYPES, CheckpointError, Storage, Tensor

# NumPy's maximum.
MOST_AXES = 64
# Large networks with optimizer state have a few thousand.
MOST_TENSORS = 20_000


def _rebuild_tensor(storage, offset, size, stride, *_):
    if not isinstance(storage, Storage):
        raise CheckpointError("has a tensor without a storage")
    return Tensor(storage, storage.dtype, offset, _size(size), _size(stride))


def _rebuild_tensor_of_bytes(storage, offset, size, stride, requires_grad, hooks, dtype, *_):
    if not isinstance(storage, Storage) or not isinstance(dtype, str):
        raise CheckpointError("has a tensor without a storage or a type")
    return Tensor(storage, dtype, offset, _size(size), _size(stride))


def _size(values):
    # Copies of a long sequence would take far more memory than the file.
    if not isinstance(values, (tuple, list)) or len(values) > MOST_AXES:
        raise CheckpointError("has a tensor of an impossible shape")
    return tuple(values)


def _rebuild_parameter(tensor, *_):
    return tensor


class _Dict(dict):
    """Replaces torch's OrderedDict; only the items matter."""


def _ordered_dict(pairs=None):
    """Creates an empty dict, or one from a list of pairs, as written by Python 2."""
    result = _Dict()
    if pairs is not None:
        for key, value in pairs:
            _set_items(result, (key, value))
        # Prevents a second copy, see `_size`.
        pairs.clear()
    return result


FUNCTIONS = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_of_bytes,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
TYPES = {
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.ByteStorage": "uint8",
    "torch.CharStorage": "int8",
    "torch.ShortStorage": "int16",
    "torch.IntStorage": "int32",
    "torch.LongStorage": "int64",
    "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.storage.UntypedStorage": "uint8",
    **{f"torch.{name}": name for name in ITEM_TYPES},
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
ARGUMENTS = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINSTRING",
        "SHORT_BINSTRING",
    ]
)
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARK = object()


@dataclass(frozen=True)
class _Global:
    """A function or type of the tables above, by its name in torch."""

    name: str


def read_pickle(stream, load_storage=None):
    """Reads one pickle without the module `pickle`, which would run code from the file.

    Args:
        stream: File; only the pickle is read, and nothing after it.
        load_storage: Function that turns a persistent id, a tuple, into a `Storage`.

    Returns:
        Plain containers, numbers and strings, with a `Tensor` for each tensor.

    Raises:
        CheckpointError: If the pickle names a function or class that tensors do not need, or
            contains an instruction that state dicts do not need.
        Exception: Any other error, if the pickle is damaged.
    """
    stack, memo, tensors = [], {}, 0
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ARGUMENTS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in TUPLES:
            values = _pop(stack, TUPLES[name])
            stack.append(tuple(values))
        elif name == "MARK":
            stack.append(MARK)
        elif name == "TUPLE":
            stack.append(tuple(_pop_to_mark(stack)))
        elif name in ("APPEND", "APPENDS"):
            values = _pop(stack, 1) if name == "APPEND" else _pop_to_mark(stack)
            _top(stack, list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
            _set_items(_top(stack, dict), values)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_find(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_find(".".join(_pop(stack, 2))))
        elif name == "REDUCE":
            function, arguments = _pop(stack, 2)
            stack.append(_call(function, arguments))
            tensors += isinstance(stack[-1], Tensor)
            if tensors > MOST_TENSORS:
                raise CheckpointError(f"has more than {MOST_TENSORS:,} tensors")
        elif name == "BUILD":
            # The attributes of an OrderedDict, where torch stores module versions.
            _pop(stack, 1)
            _top(stack, _Dict)
        elif name == "BINPERSID" and load_storage is not None:
            stack.append(load_storage(*_pop(stack, 1)))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise CheckpointError(f"contains the instruction {name}, which state dicts do not need")
    (result,) = stack
    return result


def _find(name):
    if name not in FUNCTIONS and name not in TYPES:
        raise CheckpointError(
            f"refers to {name}. Only tensors and plain containers are read; nothing else is "
            "imported or run. If you have torch and trust the file, save only the weights: "
            "torch.save(model.state_dict(), path)"
        )
    return _Global(name)


def _call(function, arguments):
    if not isinstance(function, _Global) or function.name not in FUNCTIONS:
        raise CheckpointError("calls an object that is not a function")
    if not isinstance(arguments, tuple):
        raise CheckpointError(f"calls {function.name} without arguments")
    # Arguments that are types, by the torch name of their items.
    values = [TYPES.get(a.name) if isinstance(a, _Global) else a for a in arguments]
    return FUNCTIONS[function.name](*values)


def _pop(stack, count):
    values = stack[len(stack) - count :]
    if len(stack) < count or any(value is MARK for value in values):
        raise CheckpointError("takes more from the stack than it put there")
    del stack[len(stack) - count :]
    return values


def _pop_to_mark(stack):
    start = len(stack) - 1
    while stack[start] is not MARK:
        start -= 1
        if start < 0:
            raise CheckpointError("takes more from the stack than it put there")
    values = stack[start + 1 :]
    del stack[start:]
    return values


def _top(stack, kind):
    if not isinstance(stack[-1], kind):
        raise CheckpointError(f"fills a {type(stack[-1]).__name__} like a {kind.__name__}")
    return stack[-1]


def _set_items(target, values):
    keys = values[::2]
    # Hashing deeply nested keys would overflow the interpreter's stack.
    if not all(key is None or isinstance(key, (str, int, float)) for key in keys):
        raise CheckpointError("has a dict whose keys are neither text nor numbers")
    target.update(zip(keys, values[1::2], strict=True))
