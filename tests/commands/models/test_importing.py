"""`models import`: checkpoints on disk become models, or a plain error."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from monitor.classify.open import open_model
from monitor.config.schema import ModelConfig
from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.export import network_answers
from monitor.zoo.families.ced import FAMILY
from tests.commands.models.conftest import SMALL, Command
from tests.parts.small_ced import SECOND


def test_a_checkpoint_becomes_an_available_model(command: Command, models: Path, tmp_path: Path) -> None:
    """The model answers as the network does, describes itself and is listed; no other file is left."""
    done = command(*SMALL)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("data/sound-monitor/models/small.onnx: ")
    assert [path.name for path in models.iterdir()] == ["small.onnx"]
    model = open_model(ModelConfig(name="small"))
    assert (model.card.family, model.card.window, model.card.licence) == ("ced", SECOND, "Apache-2.0")
    waveforms = np.random.default_rng(0).uniform(-0.5, 0.5, (3, SECOND)).astype(np.float32)
    wanted, _ = network_answers(FAMILY.build(read_checkpoint(tmp_path / "small.pth"), SECOND), waveforms)
    np.testing.assert_allclose(model.run(waveforms)[0], wanted, atol=1e-5)
    assert "small " in command("list").out


def test_an_8_bit_model_is_written_beside_the_float_one(made: Path) -> None:
    """`--int8` writes two files and nothing else."""
    assert sorted(path.name for path in made.iterdir()) == ["small-int8.onnx", "small.onnx"]


def test_half_precision(command: Command, tmp_path: Path) -> None:
    """The weights are float16, and verify allows for that."""
    command(*SMALL, "--half", "--output", "half.onnx")
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert command("verify", "./half.onnx", "--checkpoint", "small.pth").code == 0


def test_a_checkpoint_of_another_family_is_refused(command: Command, tmp_path: Path) -> None:
    """A few of its keys are named, and nothing is written."""
    state = torch.load(tmp_path / "small.pth", weights_only=True)["model"]
    state["fc1.weight"] = state.pop("encoder.norm.weight")
    torch.save(state, tmp_path / "small.pth")
    done = command(*SMALL)
    assert done.code == 65
    assert "it lacks norm.weight and also holds fc1.weight\n" in done.err
    assert not list((tmp_path / "data").rglob("*.onnx"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--window", "0.05"), 2, "ced takes windows of at least 0.15 s, not 0.05 s"),
        (("--name", "../up"), 2, "invalid model name '../up'"),
        (("--output", "small.pt"), 2, "small.pt: a model file must end in .onnx"),
        (("--half", "--int8"), 2, "choose half precision or int8"),
        (("--int8", "none.wav"), 69, "none.wav: No such file"),
    ],
)
def test_invalid_options_are_refused(command: Command, arguments: tuple[str, ...], code: int, said: str) -> None:
    """The mistake is reported before any work begins."""
    done = command("import", "small.pth", "--family", "ced", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_static_int8_needs_recordings(command: Command) -> None:
    """Without recordings the error asks for them."""
    done = command("import", "small.pth", "--family", "panns-cnn14", "--int8")
    assert done.code == 2
    assert "int8 of panns-cnn14 requires recordings: name some of your rooms after --int8" in done.err


def test_a_fixed_window(command: Command) -> None:
    """A window that the family cannot take is refused with the one that it takes."""
    done = command("import", "small.pth", "--family", "yamnet", "--window", "2")
    assert (done.code, done.err) == (2, "sound-monitor: yamnet takes windows of exactly 0.975 s\n")


def test_ctrl_c_leaves_nothing_half_done(command: Command, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves no new file or folder, and the previous model stays."""
    models.mkdir(parents=True)
    (models / "small.onnx").write_bytes(b"as before")

    def interrupted(network: torch.nn.Module, path: Path, *_: object, **__: object) -> float:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("monitor.zoo.family.export_network", interrupted)
    assert command(*SMALL).code == 130
    assert {path.name: path.read_bytes() for path in models.iterdir()} == {"small.onnx": b"as before"}


def test_without_torch(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "monitor.zoo.families.ced")
    done = command(*SMALL)
    assert (done.code, done.err) == (
        65,
        "sound-monitor: importing models requires the package torch: "
        "install it with `pip install 'sound-monitor[zoo]'`\n",
    )
