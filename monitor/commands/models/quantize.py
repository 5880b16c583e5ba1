"""`models quantize`: an 8-bit model of a float one."""

import tempfile
from argparse import Namespace
from pathlib import Path

from monitor.classify.onnx_file import read_metadata
from monitor.classify.open import describe_model, find_model
from monitor.commands.models.places import installed, short
from monitor.commands.output import working
from monitor.errors import StorageError, UsageError
from monitor.zoo.build.comparison import drifted
from monitor.zoo.build.recordings import windows_of
from monitor.zoo.catalogue import load
from monitor.zoo.quantization import SUFFIX, read_quantization


def main(arguments: Namespace) -> int:
    """Write NAME-int8; raises `ModelError` where the model cannot be quantised."""
    source = find_model(arguments.model)
    card = describe_model(source)
    how = read_quantization(card.name, read_metadata(source))
    quantize = load("monitor.zoo.build.quantize", "quantising").quantize
    target = Path(arguments.output) if arguments.output else installed(card.name + SUFFIX)
    if target.suffix != ".onnx":
        raise UsageError(f"{arguments.output}: a model file ends in .onnx")
    windows = windows_of(arguments.audio, card.sample_rate, card.window)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            made = Path(folder) / target.name
            with working(f"{card.name}: measuring on {len(windows)} windows, and quantising"):
                quantize(source, made, windows, how)
                comparison = drifted(source, made, windows)
            made.replace(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error
    print(f"{short(target)}: {target.stat().st_size / 1e6:.1f} MB; {comparison}")
    return 0
