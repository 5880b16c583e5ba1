"""`models quantize`: make an 8-bit model of a float one."""

from dataclasses import dataclass

from monitor.commands.models.building import drift_text, print_model
from monitor.commands.options import CommandOptions, option


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(CommandOptions):
    """Options of `models quantize`."""

    DESCRIPTION = (
        "Writes the model with 8-bit weights and activations as NAME-int8, and reports how\n"
        "far its answers are from the float model's on the recordings. Requires the extra\n"
        "'zoo'."
    )
    EPILOG = "example:\n  sound-monitor models quantize convnext-tiny --audio kitchen.flac street.flac\n"

    model: str = option(metavar="NAME|PATH", help="see `sound-monitor models`")
    audio: tuple[str, ...] = option(
        "--audio",
        metavar="FILE",
        nargs="+",
        required=True,
        help="recordings of the sounds to expect, a few minutes in all, without long silence: the more like your "
        "rooms, the better",
    )
    output: str | None = option(
        "--output", metavar="OUT.onnx", help="write this file instead of installing it among your models"
    )


def main(options: Options) -> int:
    """Write NAME-int8. Raises `ModelError` if the model cannot be quantised."""
    from monitor.classify.open import describe_model, find_model
    from monitor.commands.output import working
    from monitor.zoo.build.recordings import windows_of
    from monitor.zoo.make import build_int8, model_file
    from monitor.zoo.metadata import SUFFIX

    source = find_model(options.model)
    card = describe_model(source)
    target = model_file(options.output, card.name + SUFFIX)
    with working(card.name) as say:
        windows = windows_of(options.audio, card.sample_rate, card.window)
        drift = build_int8(source, target, windows, lambda text: say(f"{card.name}: {text}"))
    print_model(target, drift_text(drift))
    return 0
