"""From a checkpoint on disk to model files in their place, all of them or none."""

import sys
import tempfile
from pathlib import Path

from monitor.classify.graph import Graph
from monitor.commands.models.orders import Order
from monitor.commands.models.places import short
from monitor.commands.output import working
from monitor.errors import ModelError, StorageError
from monitor.zoo.build.comparison import alone, drifted, largest_difference
from monitor.zoo.build.recordings import windows_of

CLAP, TOKENIZER = "clap", "tokenizer.json"
"""The family whose model is told in words what to listen for, and what splits the words."""
PARITY_WINDOWS = 3
"""Windows on which the exported file is compared with the network as published."""


def make(order: Order, checkpoint: Path) -> None:
    """Read, export, compare and quantise; put the files into their place, and tell. Raises `ModelError`."""
    try:
        order.target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=order.target.parent) as folder:
            made = Path(folder) / order.target.name
            facts = [_export_as_fits(order, checkpoint, made)]
            if order.int8:
                facts.append(_quantize(order, made, made.with_name(order.int8_target.name)))
            for file in sorted(Path(folder).iterdir(), key=_is_model):  # the model itself last
                file.replace(order.target.parent / file.name)
    except OSError as error:
        raise StorageError(f"cannot write {order.target}: {error.strerror}") from error
    for target, fact in zip((order.target, order.int8_target), facts, strict=False):
        print(f"{short(target)}: {target.stat().st_size / 1e6:.1f} MB; {fact}")


def _is_model(file: Path) -> bool:
    return file.suffix == ".onnx"


def _export_as_fits(order: Order, checkpoint: Path, target: Path) -> str:
    if order.family.name != CLAP:
        return _export(order, checkpoint, target)
    if checkpoint.with_name(TOKENIZER).is_file():
        return _export_towers(order, checkpoint, target)
    print(
        f"sound-monitor: there is no {TOKENIZER} beside {checkpoint}, so that prompts cannot be read: only the audio "
        f"tower is made, for its embeddings. Put the published {TOKENIZER} into that folder and import again.",
        file=sys.stderr,
    )
    return _export(order, checkpoint, target)


def _export(order: Order, checkpoint: Path, target: Path) -> str:
    from monitor.zoo.build.export import HALF_PARITY, PARITY, export, sounds
    from monitor.zoo.build.reference import answers
    from monitor.zoo.build.torch_graph import OUTPUTS

    family = order.family
    with working(f"{order.name}: reading {checkpoint.name}"):
        network = family.build(family.read(checkpoint), order.window)
        waveforms = sounds(PARITY_WINDOWS, order.window)
        wanted = answers(network, waveforms)
    with working(f"{order.name}: exporting, and comparing with the network"):
        outputs = OUTPUTS[-len(wanted) :]
        shortest = family.shortest if family.variable else None
        network = family.fold(network)  # the one as published is done with: both would fill a small machine's memory
        export(
            network,
            target,
            _metadata(order),
            window=order.window,
            shortest=shortest,
            half=order.half,
            outputs=outputs,
        )
        graph = Graph(target, "cpu")
        given = alone(lambda row: graph.run(outputs, {"waveform": row}), waveforms)
    difference = largest_difference(given, wanted)
    if not difference <= (HALF_PARITY if order.half else PARITY):
        raise ModelError(f"{checkpoint}: the file made of it differs from the network by {difference:.1e}: not kept")
    return _parity(difference)


def _metadata(order: Order) -> dict[str, str]:
    metadata = order.family.metadata(order.name, order.window, order.licence, order.source)
    return metadata | ({"precision": "half"} if order.half else {})


def _export_towers(order: Order, checkpoint: Path, target: Path) -> str:
    """CLAP's two networks, of which one reads."""
    from monitor.zoo.families.clap import export_towers

    with working(f"{order.name}: exporting both towers, and comparing with the network"):
        difference = export_towers(
            checkpoint,
            target,
            name=order.name,
            window=order.window,
            half=order.half,
            licence=order.licence,
            source=order.source,
        )
    return _parity(difference)


def _parity(difference: float) -> str:
    return f"its answers differ from the PyTorch network's by {difference:.1e} at most"


def _quantize(order: Order, source: Path, target: Path) -> str:
    from monitor.zoo.build.quantize import quantize

    with working(f"{order.name}: measuring and quantising"):
        windows = windows_of(order.recordings, order.family.sample_rate, order.window) if order.recordings else []
        quantize(source, target, windows, order.family.quantization)
        return drifted(source, target, windows) if windows else "not compared: no recordings given"
