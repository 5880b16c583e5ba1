"""An exported file answers as the network does and says what it is."""

import importlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
onnx = pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript")
pytest.importorskip("onnxruntime", reason="checking an export needs onnxruntime")
export = importlib.import_module("models.train.export")
network = importlib.import_module("models.train.network")

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns about its own future


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained network, exported."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    texts = dict.fromkeys(("name", "family", "licence", "source", "description"), "tiny")
    metadata = export.metadata_for(["a sound"] * 521, {"steps": 0}, texts)
    difference = export.export_student(network.Student((4, 4, 8, 8, 8), dims=16).eval(), path, metadata)
    assert difference <= 1e-5
    return path


def test_the_graph_keeps_to_plain_operators(exported: Path) -> None:
    operators = {node.op_type for node in onnx.load(str(exported)).graph.node}
    assert not operators & {"STFT", "DFT", "Gather", "GatherND", "Im2Col", "Loop", "If"}


def test_the_metadata_is_complete_and_holds_no_local_path(exported: Path) -> None:
    model = onnx.load(str(exported))
    keys = {entry.key for entry in model.metadata_props}
    assert keys == {
        "format", "name", "family", "sample_rate", "window", "labels", "licence", "source", "description", "training",
    }  # fmt: skip
    assert str(Path(__file__).parents[2]).encode() not in exported.read_bytes()


def test_an_answer_that_differs_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "largest_difference", lambda *_: 0.5)
    with pytest.raises(RuntimeError, match="differs from the network"):
        export.export_student(network.Student((4, 4, 8, 8, 8), dims=16).eval(), tmp_path / "bad.onnx", {})
    assert list(tmp_path.iterdir()) == []
