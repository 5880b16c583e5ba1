"""CLAP, contrastive language-audio pretraining: a tower for sound and one for text that meet in one space.

The audio tower becomes the model's file, which has no labels of its own: its classes are what the configuration
describes in words, and the text tower in a file beside it makes vectors of those. Source: Wu et al., Large-scale
Contrastive Language-Audio Pretraining (2023), arXiv:2211.06687, as published for transformers' ClapModel:
`laion/clap-htsat-unfused` and `laion/larger_clap_general`. Not LAION's own files, whose layout is another, nor
Microsoft's CLAP, which is another network behind another front end.

LAION's code also rounds sounds to 16 bits. Transformers' does not, and nothing is rounded here: what microphones
deliver has 16 bits already.
"""

import json
import shutil
from pathlib import Path

from monitor.errors import ModelError
from monitor.files import sha256, written_whole
from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.export import export
from monitor.zoo.families.clap_audio import RATE, SHORTEST, WINDOW, build_audio, fold_audio
from monitor.zoo.families.clap_state import scale_of
from monitor.zoo.families.clap_text import build_text, export_text, longest
from monitor.zoo.family import Family
from monitor.zoo.quantization import Quantization

TOKENIZER = "tokenizer.json"


def no_labels() -> tuple[str, ...]:
    """The classes are the user's own."""
    return ()


FAMILY = Family(
    name="clap",
    sample_rate=RATE,
    window=WINDOW,
    shortest=SHORTEST,
    labels=no_labels,
    build=build_audio,
    fold=fold_audio,
    licence="Apache-2.0",
    source="https://huggingface.co/laion/clap-htsat-unfused",
    description="CLAP by LAION: hears what it is told in words; ESC-50 zero-shot about 90 % as published",
    quantization=Quantization("dynamic", keep=("frontend",)),
)
"""The audio tower, which gives embeddings alone; `export_towers` makes model files of a checkpoint."""


def export_towers(
    checkpoint: Path,
    target: Path,
    *,
    name: str,
    window: int = WINDOW,
    half: bool = False,
    licence: str = FAMILY.licence,
    source: str = FAMILY.source,
) -> float:
    """Write a checkpoint as `target`, the audio tower, and beside it STEM.text and STEM.tokenizer.json, the text tower.

    `checkpoint`: weights as published for ClapModel, in a folder with their `tokenizer.json`, and their `config.json`
    where the heads of the text tower's attention are not of RoBERTa's size. `name`: of the model. `window`: samples at
    48 kHz, of one to ten seconds; a short one is quick to notice, and is repeated to the ten seconds that the network
    takes. `half`: the audio tower in float16. Returns the largest difference of a file's answer from its network's.
    Raises `ModelError`. The audio tower is written last: where it is there, all is.
    """
    state = read_checkpoint(checkpoint)
    audio, text = build_audio(state, window), build_text(state, _heads(checkpoint))
    tokenizer_file, text_file = (target.with_name(f"{target.stem}.{end}") for end in (TOKENIZER, "text"))
    _copy(checkpoint.with_name(TOKENIZER), tokenizer_file)
    text_difference = export_text(text, text_file, {"tokens": str(longest(text)), "licence": licence, "source": source})
    about_audio = FAMILY.metadata(name, window, licence, source) | {
        "scale": repr(scale_of(state)),
        "text": target.stem,
        "text_sha256": sha256(text_file),
        "tokenizer_sha256": sha256(tokenizer_file),
    }
    folded = fold_audio(audio)
    audio_difference = export(folded, target, about_audio, window=window, half=half, outputs=("embedding",))
    return max(text_difference, audio_difference)


def _heads(checkpoint: Path) -> int | None:
    """Heads of the text tower's attention, as the configuration beside a checkpoint has them, if there is one."""
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
            f"{source}: cannot be copied ({error.strerror}); CLAP reads prompts with the {TOKENIZER} that is published "
            "beside its weights: put it into the same folder"
        ) from error
