"""Reads an ONNX file without loading it: what it says about itself, and whether it is safe to hand to ONNX Runtime.

ONNX Runtime follows the paths that a file names for its tensors, and reads memory and other files as it is told; so
what may reach outside the file is refused before. This walks the bare protobuf encoding (protobuf.dev, "Encoding";
field numbers from onnx.proto3): what is not needed is passed over unread, whatever its size.
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from monitor.errors import ModelError

MAX_METADATA = 16 * 2**20
"""Bytes of metadata in all; labels take some kilobytes."""
MAX_DEPTH = 32
"""Messages within each other; a graph within a graph is three."""
MAX_NODES = 50_000
"""With all functions written out; ONNX Runtime takes minutes over more. The largest of ours has some thousands."""

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
"""Which fields of a message hold which other messages, as far as a tensor or a name can stand below them."""

Part = TypeVar("Part")
Operator = tuple[Part, Part, Part]
"""Domain, name and overload of an operator or function."""
NODE_FIELDS, FUNCTION_FIELDS = (7, 4, 8), (10, 1, 13)
GRAPH = ("", "", "")

Value = int | tuple[int, int]
"""A number, or where bytes begin and end."""


class DamagedError(Exception):
    """The bytes are no such message."""


def read_metadata(path: Path) -> dict[str, str]:
    """Check a file and return its metadata. Raises `ModelError` if it is unreadable, damaged or names other files."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(path, data)
            reader.walk("model", 0, len(data), 0)
            nodes = reader.count()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (DamagedError, ValueError) as error:  # an empty file cannot be mapped; text may be no UTF-8
        raise ModelError(f"{path}: not an ONNX file, or damaged: {error}") from error
    if not reader.graphs:
        raise ModelError(f"{path}: not an ONNX file, or damaged: it holds no graph")
    if nodes > MAX_NODES:
        raise ModelError(f"{path}: its graph has {nodes} nodes; more than {MAX_NODES} are not loaded")
    return reader.metadata


class _Reader:
    """Walks through the messages, gathers names and metadata, refuses what reaches outside."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self.graphs = 0
        self.metadata: dict[str, str] = {}
        self._metadata_bytes = 0
        self._nodes: dict[Operator[str], list[Operator[str]]] = {}
        """What each function consists of, and the graph, which is called like no function."""
        self._inside = GRAPH

    def walk(self, kind: str, at: int, end: int, depth: int) -> None:
        """Read one message and those below it."""
        if depth > MAX_DEPTH:
            raise DamagedError("its graphs are nested too deeply")
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
        """Nodes with all functions written out."""
        sizes: dict[Operator[str], int] = {}

        def size(operator: Operator[str], within: frozenset[Operator[str]]) -> int:
            if operator not in self._nodes:
                return 1
            if operator in within or len(within) > MAX_DEPTH:
                raise DamagedError(f"function {operator[1]!r} calls itself, or others too deeply")
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
            raise ModelError(f"{self._path}: holds a graph compiled for one machine, which is not loaded")
        self._nodes.setdefault(self._inside, []).append(operator)

    def _look(self, kind: str, number: int, value: Value) -> None:
        if kind == "tensor" and (number == 13 or (number == 14 and value != 0)):
            raise ModelError(
                f"{self._path}: its weights lie in another file, which is not followed: save the model as one file"
            )

    def _read_metadata(self, at: int, end: int) -> None:
        self._metadata_bytes += end - at
        if self._metadata_bytes > MAX_METADATA:
            raise ModelError(f"{self._path}: its metadata is larger than {MAX_METADATA >> 20} MiB")
        entry = {number: self._text(value) for number, value in _fields(self._data, at, end)}
        self.metadata[entry.get(1, "")] = entry.get(2, "")

    def _text(self, value: Value) -> str:
        if isinstance(value, int):
            raise DamagedError("a number stands where text should be")
        return self._data[value[0] : value[1]].decode()


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, Value]]:
    """The fields of the message between these bytes: their numbers, and their values or where those lie."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise DamagedError(f"field number {number} at byte {at}")
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
            raise DamagedError(f"wire type {wire} at byte {at}")
        if at > end:
            raise DamagedError(f"it ends within a field of {end} bytes")
        yield number, value


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DamagedError(f"it breaks off within a number at byte {at}")
