"""`models verify`, `models quantize` and `models info`."""

from pathlib import Path

from tests.commands.models.conftest import Command
from tests.parts.small_ced import write_small_ced
from tests.parts.tiny_model import write_tiny_model


def test_a_model_is_compared_with_its_network(available: Command, tmp_path: Path) -> None:
    """The checkpoint of the model agrees; another one does not, and the exit code is 65."""
    done = available("verify", "small", "--checkpoint", "small.pth", "--audio", "burst.wav")
    assert done.code == 0
    assert "3 windows of 1 s: burst.wav" in done.out
    assert "✓  network" in done.out
    assert "✓  neighbours" in done.out
    write_small_ced(tmp_path / "other.pth", salt=2)
    done = available("verify", "small", "--checkpoint", "other.pth", "--audio", "burst.wav")
    assert done.code == 65
    assert "✗  network     differs from the PyTorch network of other.pth by " in done.out


def test_without_a_checkpoint_the_network_is_not_compared(available: Command) -> None:
    """A missing checkpoint is reported and is no failure."""
    done = available("verify", "small")
    assert done.code == 0
    assert "   network     not compared: its checkpoint is not available; name it with --checkpoint" in done.out
    assert "60 windows of 1 s: a synthesised scene" in done.out


def test_an_8_bit_model_is_compared_with_its_float_model(available: Command, models: Path) -> None:
    """The 8-bit model is compared if the float model is available."""
    done = available("verify", "small-int8", "--audio", "burst.wav")
    assert done.code == 0
    assert "float model  on 3 windows its scores differ from the float model's by 0.0" in done.out
    (models / "small.onnx").unlink()
    done = available("verify", "small-int8", "--audio", "burst.wav")
    assert done.code == 0
    assert "float model  not compared: no model 'small' is available" in done.out


def test_quantize_writes_a_model_and_compares_it(available: Command, models: Path, made: Path) -> None:
    """`quantize` writes the same file as `import --int8`."""
    (models / "small-int8.onnx").unlink()
    done = available("quantize", "small", "--audio", "burst.wav")
    assert (done.code, done.err) == (0, "")
    assert "small-int8.onnx: " in done.out
    assert "on 3 windows its scores differ from the float model's by 0.0" in done.out
    assert (models / "small-int8.onnx").read_bytes() == (made / "small-int8.onnx").read_bytes()


def test_quantize_takes_only_models_that_say_how(available: Command, models: Path) -> None:
    """A model whose file does not say what stays in float is refused."""
    write_tiny_model(models / "tiny.onnx")
    done = available("quantize", "tiny", "--audio", "burst.wav")
    assert done.code == 65
    assert "tiny cannot be quantised: its file does not say what must stay in float" in done.err


def test_info_shows_everything(available: Command) -> None:
    """The card, the tensors and the digest are shown."""
    rows = dict(line.split(maxsplit=1) for line in available("info", "small").out.splitlines())
    assert rows["name"] == "small"
    assert rows["window"] == "1 s (16000 samples at 16000 Hz)"
    assert rows["input"].startswith("waveform float32[batch, ")
    assert len(rows["sha256"]) == 64
