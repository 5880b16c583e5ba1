"""Reads an ONNX file's metadata without loading it, and checks that ONNX Runtime can load the file safely.

ONNX Runtime follows the paths that a file names for its tensors, and reads memory and other files on request. So files
with such references are refused first. This walks the bare protobuf encoding (protobuf.dev, "Encoding"; field numbers
from onnx.proto3), and skips unneeded fields of any size.
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from monitor.errors import ModelError

MAX_METADATA = 16 * 2**20
"""Most bytes of metadata; labels take some kilobytes."""
MAX_DEPTH = 32
"""Most nested messages; a graph inside a graph is three."""
MAX_NODES = 50_000
"""Most nodes with all functions expanded; ONNX Runtime takes minutes for more. Our largest model has some thousands."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 14: "metadata", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Fields of a message that contain other messages, if those can contain a tensor or a name."""

Part = TypeVar("Part")
Operator = tuple[Part, Part, Part]
"""Domain, name and overload of an operator or function."""
NODE_FIELDS, FUNCTION_FIELDS = (7, 4, 8), (10, 1, 13)
GRAPH = ("", "", "")

Value = int | tuple[int, int]
"""A number, or the start and end of bytes."""


class DamagedError(Exception):
    """The bytes are not a valid message."""


def read_metadata(path: Path) -> dict[str, str]:
    """Check a file and return its metadata. Raises `ModelError` if it is unreadable, damaged or names other files."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(path, data)
            reader.walk("model", 0, len(data), 0)
            nodes = reader.count()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the file: {error.strerror}") from error
    except (DamagedError, ValueError) as error:  # an empty file cannot be mapped; text may not be UTF-8
        raise ModelError(f"{path}: not an ONNX file, or damaged: {error}") from error
    if not reader.graphs:
        raise ModelError(f"{path}: not an ONNX file, or damaged: no graph")
    if nodes > MAX_NODES:
        raise ModelError(f"{path}: the graph has {nodes} nodes, more than the limit of {MAX_NODES}")
    return reader.metadata


class _Reader:
    """Walks through the messages, collects metadata and nodes, and refuses references to other files."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self.graphs = 0
        self.metadata: dict[str, str] = {}
        self._metadata_bytes = 0
        self._nodes: dict[Operator[str], list[Operator[str]]] = {}
        """The operators in each function, and in the graph under a name that no function has."""
        self._inside = GRAPH

    def walk(self, kind: str, at: int, end: int, depth: int) -> None:
        """Read one message and those inside it."""
        if depth > MAX_DEPTH:
            raise DamagedError("graphs are nested too deeply")
        children = CHILDREN.get(kind, {})
        for number, value in _fields(self._data, at, end):
            child = children.get(number)
            if child is None or isinstance(value, int):
                self._look(kind, number, value)
            elif child == "metadata":
                self._read_metadata(*value)
            else:
                self.graphs += depth == 0 and child == "graph"
                if child == "function":
                    self._inside = self._operator(value, FUNCTION_FIELDS)
                elif child == "node":
                    self._add_node(self._operator(value, NODE_FIELDS))
                self.walk(child, *value, depth + 1)
                if child == "function":
                    self._inside = GRAPH

    def count(self) -> int:
        """Return the number of nodes with all functions expanded."""
        sizes: dict[Operator[str], int] = {}

        def size(operator: Operator[str], within: frozenset[Operator[str]]) -> int:
            if operator not in self._nodes:
                return 1
            if operator in within or len(within) > MAX_DEPTH:
                raise DamagedError(f"function {operator[1]!r} calls itself, or is nested too deeply")
            if operator not in sizes:
                sizes[operator] = sum(size(part, within | {operator}) for part in self._nodes[operator])
            return sizes[operator]

        return size(GRAPH, frozenset())

    def _operator(self, message: tuple[int, int], numbers: Operator[int]) -> Operator[str]:
        texts = {number: self._text(value) for number, value in _fields(self._data, *message) if number in numbers}
        domain, name, overload = (texts.get(number, "") for number in numbers)
        return "" if domain == "ai.onnx" else domain, name, overload

    def _add_node(self, operator: Operator[str]) -> None:
        if operator[1] == "EPContext":  # names a file too
            raise ModelError(f"{self._path}: contains a graph compiled for one machine: use the original model")
        self._nodes.setdefault(self._inside, []).append(operator)

    def _look(self, kind: str, number: int, value: Value) -> None:
        if kind == "tensor" and (number == 13 or (number == 14 and value != 0)):
            raise ModelError(f"{self._path}: the weights are in another file: save the model as one file")

    def _read_metadata(self, at: int, end: int) -> None:
        self._metadata_bytes += end - at
        if self._metadata_bytes > MAX_METADATA:
            raise ModelError(f"{self._path}: the metadata is larger than {MAX_METADATA >> 20} MiB")
        entry = {number: self._text(value) for number, value in _fields(self._data, at, end)}
        self.metadata[entry.get(1, "")] = entry.get(2, "")

    def _text(self, value: Value) -> str:
        if isinstance(value, int):
            raise DamagedError("expected text, found a number")
        return self._data[value[0] : value[1]].decode()


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, Value]]:
    """Yield the fields of the message between these bytes: the number, and the value or its position."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise DamagedError(f"invalid field number {number} at byte {at}")
        value: Value
        if wire == VARINT:
            value, at = _varint(data, at, end)
        elif wire in {FIXED32, FIXED64}:
            size = 4 if wire == FIXED32 else 8
            value, at = (at, at + size), at + size
        elif wire == BYTES:
            size, at = _varint(data, at, end)
            value, at = (at, at + size), at + size
        else:
            raise DamagedError(f"invalid wire type {wire} at byte {at}")
        if at > end:
            raise DamagedError(f"truncated field before byte {end}")
        yield number, value


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, lowest first, and its end."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DamagedError(f"truncated number at byte {at}")
