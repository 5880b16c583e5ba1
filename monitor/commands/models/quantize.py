"""`models quantize`: an 8-bit model of a float one."""

from argparse import Namespace

from monitor.classify.open import describe_model, find_model
from monitor.commands.models.report import drift_text, print_file
from monitor.commands.output import working
from monitor.zoo.build.recordings import windows_of
from monitor.zoo.make import build_int8, model_file
from monitor.zoo.metadata import SUFFIX


def main(arguments: Namespace) -> int:
    """Write NAME-int8; raises `ModelError` if the model cannot be quantised."""
    source = find_model(arguments.model)
    card = describe_model(source)
    target = model_file(arguments.output, card.name + SUFFIX)
    with working(card.name) as say:
        windows = windows_of(arguments.audio, card.sample_rate, card.window)
        drift = build_int8(source, target, windows, lambda text: say(f"{card.name}: {text}"))
    print_file(target, drift_text(drift))
    return 0
