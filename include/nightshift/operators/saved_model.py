"""Every operator that a SavedModel's signatures can reach, read from its bytes.

TensorFlow is not imported: a gate takes a fraction of a second, and reading a model must not be
what runs it. Only the few fields that matter are followed, by Protocol Buffers' wire format
(https://protobuf.dev/programming-guides/encoding/; field numbers from TensorFlow's
``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``, ``function.proto``, ``node_def.proto``
and ``attr_value.proto``).

What is reachable: from the outputs of each signature and from the initialiser back over inputs and
control edges, and into every function that an attribute names, whole; and the same from what a
loader runs to restore the model's variables. What saves them is run by nobody who serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nightshift.errors import BadDataError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INITIALISERS = {"saved_model_main_op", "legacy_init_op"}
_DEEPEST = 16
"""How deep lists of functions may lie in an attribute."""


@dataclass
class _Node:
    name: str = ""
    op: str = ""
    inputs: list[str] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)


@dataclass
class _Graph:
    nodes: dict[str, _Node] = field(default_factory=dict)
    functions: dict[str, list[_Node]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Operators:
    """The operators that a SavedModel can run.

    Attributes:
        asked: By a request, or by the initialiser when it is loaded.
        restored: When its variables are restored.
    """

    asked: frozenset[str]
    restored: frozenset[str]


def reachable_operators(saved_model: bytes) -> Operators:
    """Everything that serving a model can run.

    Args:
        saved_model: The content of ``saved_model.pb``.

    Raises:
        BadDataError: It is no SavedModel, or refers to what it does not have.
    """
    try:
        graphs = [_meta_graph(body) for body in _messages(saved_model, 2)]
        if not graphs:
            raise ValueError("it has no graph")
        return Operators(
            asked=frozenset(op for graph in graphs for op in _reached(graph, graph.asked)),
            restored=frozenset(op for graph in graphs for op in _reached(graph, graph.restored)),
        )
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise BadDataError(f"saved_model.pb cannot be read: {error}") from None


def _reached(graph: _Graph, tensors: list[str]) -> set[str]:
    operators: set[str] = set()
    functions: set[str] = set()
    seen: set[str] = set()
    waiting = [_producer(tensor) for tensor in tensors]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        node = graph.nodes.get(name)
        if node is None:
            raise ValueError(f"a signature or an operator reads '{name}', which is nowhere")
        operators.add(node.op)
        functions |= node.functions
        waiting += [_producer(tensor) for tensor in node.inputs]
    # An operator may also be the name of a function of the library, called directly.
    return operators | _called(graph, functions | (operators & graph.functions.keys()))


def _called(graph: _Graph, functions: set[str]) -> set[str]:
    operators: set[str] = set()
    waiting, seen = list(functions), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in graph.functions:
            continue
        seen.add(name)
        for node in graph.functions[name]:
            operators.add(node.op)
            waiting += node.functions
            waiting.append(node.op)
    return operators - seen


def _producer(tensor: str) -> str:
    """The node that makes a tensor: ``name:0``, ``name``, or ``^name`` for a control edge."""
    return tensor.removeprefix("^").split(":")[0]


# --- TensorFlow's messages, as far as they matter ---------------------------------------------


def _meta_graph(body: bytes) -> _Graph:
    graph = _Graph()
    for graph_def in _messages(body, 2):
        for raw in _messages(graph_def, 1):
            node = _node(raw)
            graph.nodes[node.name] = node
        for library in _messages(graph_def, 2):
            for function in _messages(library, 1):
                graph.functions.update([_function(function)])
    for entry in _messages(body, 5):
        for signature in _messages(entry, 2):
            graph.asked += _outputs(signature)
    for entry in _messages(body, 4):
        if {key.decode() for key in _messages(entry, 1)} & _INITIALISERS:
            graph.asked += _collected(entry)
    for saver in _messages(body, 3):
        graph.restored += [name.decode() for name in _messages(saver, 3)]
    return graph


def _collected(entry: bytes) -> Iterator[str]:
    for collection in _messages(entry, 2):
        for listed in _messages(collection, 1):
            yield from (name.decode() for name in _messages(listed, 1))


def _outputs(signature: bytes) -> Iterator[str]:
    for entry in _messages(signature, 2):
        for tensor_info in _messages(entry, 2):
            if any(True for kind in (4, 5) for _ in _messages(tensor_info, kind)):
                raise ValueError("an output is made of several tensors")
            yield from (name.decode() for name in _messages(tensor_info, 1))


def _function(body: bytes) -> tuple[str, list[_Node]]:
    names = [name.decode() for signature in _messages(body, 1) for name in _messages(signature, 1)]
    if not names:
        raise ValueError("a function has no name")
    return names[-1], [_node(raw) for raw in _messages(body, 3)]


def _node(body: bytes) -> _Node:
    node = _Node()
    for number, value in _fields(body):
        if number == 1:
            node.name = value.decode()
        elif number == 2:
            node.op = value.decode()
        elif number == 3:
            node.inputs.append(value.decode())
        elif number == 5:
            for attribute in _messages(value, 2):
                node.functions |= set(_functions_in(attribute, _DEEPEST))
    return node


def _functions_in(attribute: bytes, depth: int) -> Iterator[str]:
    """Names of functions in an attribute: its own, those of a list, and in their attributes."""
    if depth == 0:
        raise ValueError("attributes lie too deep in one another")
    found = [*_messages(attribute, 10)]
    for listed in _messages(attribute, 1):
        found += _messages(listed, 9)
    for named in found:
        yield from (name.decode() for name in _messages(named, 1))
        for entry in _messages(named, 2):
            for inner in _messages(entry, 2):
                yield from _functions_in(inner, depth - 1)


# --- The wire format --------------------------------------------------------------------------


def _messages(body: bytes, number: int) -> Iterator[bytes]:
    return (value for found, value in _fields(body) if found == number)


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Every field that has bytes, with its number; numbers are passed over."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, at = _varint(body, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _BYTES:
            size, at = _varint(body, at)
            if at + size > len(body):
                raise ValueError("it is cut off")
            yield number, body[at : at + size]
            at += size
        else:
            raise ValueError(f"field {number} is of the unknown kind {kind}")
    if at > len(body):
        raise ValueError("it is cut off")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
