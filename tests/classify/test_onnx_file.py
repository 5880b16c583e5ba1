"""Reading an ONNX file without loading it: the metadata, and files that are refused before ONNX Runtime reads them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
    helper,
    load_model,
    numpy_helper,
    save_model,
)

from monitor.classify import onnx_file
from monitor.classify.model import NativeModel
from monitor.classify.onnx_file import CHILDREN, FUNCTION_FIELDS, NODE_FIELDS, read_metadata
from monitor.errors import ModelError
from tests.parts.tiny_model import write_tiny_model

Edit = Callable[[ModelProto], object]


def refusal(path: Path, edit: Edit) -> str:
    """The error for the tiny model with this edit, without the leading path."""
    model = load_model(str(write_tiny_model(path)))
    edit(model)
    save_model(model, str(path))
    with pytest.raises(ModelError) as caught:
        read_metadata(path)
    name, _, why = str(caught.value).partition(": ")
    assert name == str(path)
    return why


def elsewhere(place: str) -> TensorProto:
    """A tensor with values in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return tensor


def then(graph: GraphProto) -> NodeProto:
    """A node that contains this graph."""
    return helper.make_node("If", ["yes"], ["w"], then_branch=graph, else_branch=graph)


def holding(node: NodeProto) -> GraphProto:
    """A graph that contains this node."""
    return GraphProto(name="inner", node=[node])


def test_the_metadata_is_read(tmp_path: Path) -> None:
    """Metadata has the entries of the file, also non-ASCII text."""
    metadata = read_metadata(write_tiny_model(tmp_path / "ears.onnx", description="hört Geräusche"))
    assert (metadata["name"], metadata["description"]) == ("ears", "hört Geräusche")
    assert json.loads(metadata["labels"]) == ["Loud", "Quiet"]


def test_the_field_numbers_match_onnx() -> None:
    """`CHILDREN` has exactly the fields of onnx.proto3 that contain such messages."""
    kinds: dict[str, Any] = {
        "model": ModelProto,
        "graph": GraphProto,
        "node": NodeProto,
        "attribute": AttributeProto,
        "function": FunctionProto,
        "training": TrainingInfoProto,
        "sparse": SparseTensorProto,
        "tensor": TensorProto,
    }
    names = {kind.DESCRIPTOR.full_name: name for name, kind in kinds.items()}
    for name, kind in kinds.items():
        for field in kind.DESCRIPTOR.fields:
            child = names.get(field.message_type.full_name) if field.message_type else None
            if child is not None:
                assert CHILDREN[name][field.number] == child, field.full_name
    for kind, numbers in ((NodeProto, NODE_FIELDS), (FunctionProto, FUNCTION_FIELDS)):
        fields = kind.DESCRIPTOR.fields_by_number
        assert [fields[number].name for number in numbers][0::2] == ["domain", "overload"]
    fields = TensorProto.DESCRIPTOR.fields_by_name
    assert (fields["external_data"].number, fields["data_location"].number) == (13, 14)


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret.bin", "weights.bin", "*/_ORT_MEM_ADDR_/*", ""])
def test_weights_in_other_files_are_refused(tmp_path: Path, place: str) -> None:
    """Tensors with absolute or relative paths, or in the memory of the process, are refused."""
    said = refusal(tmp_path / "x.onnx", lambda model: model.graph.initializer.append(elsewhere(place)))
    assert said == "the weights are in another file: save the model as one file"


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.graph.node.append(helper.make_node("Constant", [], ["w"], value=elsewhere("f"))),
        lambda model: model.graph.node.append(helper.make_node("Any", [], ["w"], values=[elsewhere("f")] * 2)),
        lambda model: model.graph.node.append(then(GraphProto(initializer=[elsewhere("f")]))),
        lambda model: model.graph.node.append(then(holding(then(GraphProto(initializer=[elsewhere("f")]))))),
        lambda model: model.graph.sparse_initializer.append(SparseTensorProto(values=elsewhere("f"))),
        lambda model: model.graph.sparse_initializer.append(SparseTensorProto(indices=elsewhere("f"))),
        lambda model: model.functions.append(
            FunctionProto(name="F", node=[helper.make_node("Constant", [], ["w"], value=elsewhere("f"))])
        ),
        lambda model: model.training_info.append(
            TrainingInfoProto(initialization=GraphProto(initializer=[elsewhere("f")]))
        ),
    ],
)
def test_weights_in_other_files_are_found_everywhere(tmp_path: Path, edit: Edit) -> None:
    """Tensors in attributes, inner graphs, sparse tensors and functions are checked."""
    assert refusal(tmp_path / "x.onnx", edit).startswith("the weights are in another file")


def test_a_compiled_graph_is_refused(tmp_path: Path) -> None:
    """Such a node names a file for its provider to load."""
    node = helper.make_node("EPContext", [], ["w"], domain="com.microsoft", embed_mode=0, ep_cache_context="x.so")
    said = refusal(tmp_path / "x.onnx", lambda model: model.graph.node.append(node))
    assert said == "contains a graph compiled for one machine: use the original model"


def functions(calls: dict[str, list[str]]) -> Edit:
    """Edit that adds functions with these operators."""

    def edit(model: ModelProto) -> None:
        for name, parts in calls.items():
            nodes = [helper.make_node(part, ["x"], ["y"], domain="ours" if part in calls else "") for part in parts]
            model.functions.append(FunctionProto(name=name, domain="ours", node=nodes))
        model.graph.node.append(helper.make_node(next(iter(calls)), ["power"], ["w"], domain="ours"))

    return edit


def test_functions_that_expand_exponentially_are_refused(tmp_path: Path) -> None:
    """Functions that call the next ten times expand a small file to a hundred million nodes."""
    calls = {f"F{i}": [f"F{i + 1}"] * 10 for i in range(8)} | {"F8": ["Neg"]}
    said = refusal(tmp_path / "x.onnx", functions(calls))
    assert said == "the graph has 100000017 nodes, more than the limit of 50000"


@pytest.mark.parametrize("calls", [{"F": ["F"]}, {"F": ["G"], "G": ["F"]}])
def test_functions_that_call_themselves_are_refused(tmp_path: Path, calls: dict[str, list[str]]) -> None:
    """A function that calls itself, directly or through another, is refused."""
    assert "calls itself" in refusal(tmp_path / "x.onnx", functions(calls))


def test_the_standard_domain_has_two_names(tmp_path: Path) -> None:
    """The domain ai.onnx is the same as the empty one, so the recursion is found."""
    neg = helper.make_node("Neg", ["x"], ["y"])
    recursive = FunctionProto(name="Neg", domain="ai.onnx", node=[neg])

    def edit(model: ModelProto) -> None:
        model.functions.append(recursive)
        model.graph.node.append(neg)

    assert "calls itself" in refusal(tmp_path / "x.onnx", edit)


def test_a_function_may_have_the_name_of_an_operator(tmp_path: Path) -> None:
    """A function with the name of an operator in another domain does not call itself."""
    model = load_model(str(write_tiny_model(tmp_path / "x.onnx")))
    functions({"Neg": ["Abs"]})(model)
    model.functions[0].node[0].op_type = "Neg"
    model.functions[0].node[0].domain = "ai.onnx"
    save_model(model, str(tmp_path / "x.onnx"))
    assert read_metadata(tmp_path / "x.onnx")["name"] == "x"


def test_deeply_nested_graphs_are_refused(tmp_path: Path) -> None:
    """Deep nesting would overflow ONNX Runtime's stack."""

    def nest(model: ModelProto) -> None:
        graph = GraphProto()
        for _ in range(12):
            graph = GraphProto(node=[helper.make_node("Loop", [], [], body=graph)])
        model.graph.node.append(helper.make_node("Loop", [], [], body=graph))

    assert refusal(tmp_path / "x.onnx", nest).endswith(": graphs are nested too deeply")


def test_huge_metadata_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large entry, or many small ones, are refused."""
    monkeypatch.setattr(onnx_file, "MAX_METADATA", 2**20)
    said = "the metadata is larger than 1 MiB"
    assert refusal(tmp_path / "x.onnx", lambda model: model.metadata_props.add(key="k", value="x" * 2**20)) == said
    many = {str(k): "x" * 2**10 for k in range(2**10)}
    assert refusal(tmp_path / "x.onnx", lambda model: helper.set_model_props(model, many)) == said


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVEfmt ", b"\x08\x08", b"\x80" * 100, b"\x3a\xff\xff\xff\x7f"])
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are refused."""
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.onnx: not an ONNX file, or damaged: "):
        read_metadata(path)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """The error has the reason of the operating system."""
    with pytest.raises(ModelError, match="cannot read the file: Is a directory"):
        read_metadata(tmp_path)


FUZZ = """\
import random, sys
from pathlib import Path
from monitor.classify.model import NativeModel
from monitor.errors import ModelError

path, random = Path(sys.argv[1]), random.Random(0)
good = path.read_bytes()
NativeModel(path)
for _ in range(400):
    data = bytearray(good)
    if random.random() < 0.15:
        del data[random.randrange(len(data)):]
    for _ in range(random.choice((0, 1, 1, 1, 4))):
        place = random.randrange(len(data) or 1)
        data[place:place + 1] = bytes([random.choice((0, 127, 128, 255, random.randrange(256)))])
    path.write_bytes(data)
    try:
        NativeModel(path)
    except ModelError as error:
        assert "\\n" not in str(error), error
print("done")
"""


def test_a_damaged_file_never_crashes(tmp_path: Path) -> None:
    """Hundreds of broken files raise errors or load, in a separate process in case of a crash."""
    path = write_tiny_model(tmp_path / "x.onnx", window=400)
    done = subprocess.run([sys.executable, "-c", FUZZ, path], capture_output=True, text=True, cwd=Path.cwd())
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def greedy(path: Path, entries: int) -> Path:
    """The tiny model, with a constant of this many values."""
    model = load_model(str(write_tiny_model(path)))
    model.graph.initializer.append(numpy_helper.from_array(np.array([entries]), "entries"))
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["entries"], ["many"]),
            helper.make_node("ReduceMax", ["many"], ["most"], keepdims=0),
            helper.make_node("Add", ["plain", "most"], ["embedding"]),
        ]
    )
    save_model(model, str(path))
    return path


def test_a_model_with_absurd_memory_use_is_refused(tmp_path: Path) -> None:
    """A hundred gigabytes are refused; a megabyte is allowed."""
    assert NativeModel(greedy(tmp_path / "x.onnx", 2**18)).card.name == "x"
    with pytest.raises(ModelError, match="cannot run a window of 15600 samples: "):
        NativeModel(greedy(tmp_path / "x.onnx", 25 * 10**9))
