"""CLAP, contrastive language-audio pretraining: a tower for sound and a tower for text that share one space.

The audio tower becomes the model file, which has no labels of its own: its classes are the descriptions in the
configuration, and the text tower, in a file beside it, makes vectors of these. Source: Wu et al., Large-scale
Contrastive Language-Audio Pretraining (2023), arXiv:2211.06687, as published for transformers' ClapModel:
`laion/clap-htsat-unfused` and `laion/larger_clap_general`. LAION's own files have another layout, and Microsoft's CLAP
is another network with another front end: neither is supported.

LAION's code also rounds sounds to 16 bits. Transformers' does not, and nothing is rounded here: microphones deliver 16
bits already.
"""

import json
import shutil
from pathlib import Path

from monitor.errors import ModelError
from monitor.files import sha256, written_whole
from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.export import export_network
from monitor.zoo.families.clap_state import scale_of
from monitor.zoo.families.clap_towers import (
    RATE,
    SHORTEST,
    WINDOW,
    ClapAudioTower,
    build_audio,
    build_text,
    export_text,
    fold_audio,
    longest,
)
from monitor.zoo.family import Exported, Family, ModelSpec
from monitor.zoo.metadata import Quantization

TOKENIZER = "tokenizer.json"


def no_labels() -> tuple[str, ...]:
    """Return no labels: the user describes the classes."""
    return ()


class ClapFamily(Family[ClapAudioTower]):
    """The audio tower, which gives embeddings alone, and the text tower that is written beside it."""

    __slots__ = ()

    def export(self, checkpoint: Path, target: Path, spec: ModelSpec) -> Exported:
        """Write both towers; the audio tower alone if there is no tokenizer beside the checkpoint."""
        if checkpoint.with_name(TOKENIZER).is_file():
            return Exported(export_towers(checkpoint, target, spec))
        alone = super().export(checkpoint, target, spec)
        remark = (
            f"there is no {TOKENIZER} beside {checkpoint}, which reading prompts requires: only the audio tower was "
            f"made, for its embeddings. Put the published {TOKENIZER} into that folder and import again."
        )
        return Exported(alone.difference, remark)


FAMILY = ClapFamily(
    name="clap",
    sample_rate=RATE,
    window=WINDOW,
    shortest=SHORTEST,
    labels=no_labels,
    head=None,
    build=build_audio,
    fold=fold_audio,
    licence="Apache-2.0",
    source="https://huggingface.co/laion/clap-htsat-unfused",
    description="CLAP by LAION: classes described in words; ESC-50 zero-shot about 90 % as published",
    quantization=Quantization("dynamic", keep=("frontend",)),
)


def export_towers(checkpoint: Path, target: Path, spec: ModelSpec) -> float:
    """Write a checkpoint as `target`, the audio tower, and beside it STEM.text and STEM.tokenizer.json, the text tower.

    `checkpoint`: weights as published for ClapModel, in a folder with their `tokenizer.json`, and their `config.json`
    if the heads of the text tower's attention are not of RoBERTa's size. A window has one to ten seconds; a short one
    is detected sooner, and is repeated to the ten seconds that the network takes. Half precision applies to the audio
    tower only. Returns the largest difference of a file's answer from its network's. Raises `ModelError`. The audio
    tower is written last: if it exists, all files do.
    """
    state = read_checkpoint(checkpoint)
    text = build_text(state, _heads(checkpoint))
    tokenizer_file, text_file = (target.with_name(f"{target.stem}.{end}") for end in (TOKENIZER, "text"))
    _copy(checkpoint.with_name(TOKENIZER), tokenizer_file)
    about_text = {"tokens": str(longest(text)), "licence": spec.licence, "source": spec.source}
    text_difference = export_text(text, text_file, about_text)
    about_audio = FAMILY.metadata(spec) | {
        "scale": repr(scale_of(state)),
        "text": target.stem,
        "text_sha256": sha256(text_file),
        "tokenizer_sha256": sha256(tokenizer_file),
    }
    audio_difference = export_network(
        build_audio(state, spec.window), target, about_audio, window=spec.window, half=spec.half, fold=fold_audio
    )
    return max(text_difference, audio_difference)


def _heads(checkpoint: Path) -> int | None:
    """Heads of the text tower's attention, from the configuration beside a checkpoint, if there is one."""
    try:
        heads = json.loads(checkpoint.with_name("config.json").read_bytes())["text_config"]["num_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return heads if isinstance(heads, int) and heads > 0 else None


def _copy(source: Path, target: Path) -> None:
    """Copy whole or not at all."""
    try:
        with written_whole(target) as part:
            shutil.copyfile(source, part)
    except OSError as error:
        raise ModelError(
            f"{source}: cannot be copied ({error.strerror}); CLAP requires the {TOKENIZER} that is published with its "
            "weights: put it into the same folder"
        ) from error
