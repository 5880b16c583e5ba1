"""Both towers of CLAP, compared with transformers."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import ClapFeatureExtractor, ClapModel

from monitor.classify.open import open_model
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError
from monitor.messages import Samples
from monitor.zoo.build.compare import Likeness, compare_models
from monitor.zoo.build.export import sounds
from monitor.zoo.build.quantize import quantize
from monitor.zoo.families.clap import FAMILY, export_towers
from monitor.zoo.families.clap_towers import RATE, SHORTEST, WINDOW, build_audio, build_text, fold_audio
from monitor.zoo.family import StateDict
from tests.zoo.small_clap import publish, small_clap

PARITY = 1e-4
HEADS = 4
"""Heads of attention in the small text tower."""
SHORT = 2 * RATE
PROMPTS: dict[str, tuple[str, ...]] = {"glass": ("a glass breaking",)}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a separate cache."""
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def published() -> ClapModel:
    """The small network in transformers' class."""
    return small_clap()


@pytest.fixture(scope="module")
def exported(published: ClapModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files for windows of two seconds, made from published files."""
    folder = tmp_path_factory.mktemp("clap")
    target = folder / "made" / "small.onnx"
    assert export_towers(publish(published, folder), target, FAMILY.spec("clap", SHORT)) < PARITY
    return target


def heard(model: ClapModel, waveforms: Samples) -> Samples:
    """Transformers' embeddings, with its feature extractor, each row alone."""
    extractor = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")  # as published for the unfused models
    rows = [extractor(row, sampling_rate=RATE, return_tensors="pt")["input_features"].float() for row in waveforms]
    with torch.no_grad():
        return np.concatenate([model.get_audio_features(input_features=row).pooler_output.numpy() for row in rows])


def read(model: ClapModel, tokens: Tensor) -> Tensor:
    """Transformers' vector of a sentence."""
    with torch.no_grad():
        vector: Tensor = model.get_text_features(input_ids=tokens).pooler_output
    return vector


@pytest.mark.parametrize("window", [WINDOW, 70_000, 5 * RATE + 1])
def test_the_audio_tower_answers_as_published(published: ClapModel, window: int) -> None:
    """The front end is included, folded or not; a sound below ten seconds is repeated as often as it fits."""
    network = build_audio(published.state_dict(), window)
    waveforms = sounds(3, window)
    wanted = heard(published, waveforms)
    assert wanted.std(axis=0).max() > 0.01, "the sounds should give different embeddings"
    with torch.no_grad():
        for tower in (network, fold_audio(network)):
            (embedding,) = tower(torch.from_numpy(waveforms))
            np.testing.assert_allclose(embedding, wanted, atol=PARITY)


def test_the_file_answers_as_published_in_any_batch(published: ClapModel, exported: Path) -> None:
    """Each row, also a silent one, gets the answer that it gets alone."""
    waveforms = sounds(5, SHORT)
    wanted = heard(published, waveforms)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 3, 5):
        (embedding,) = session.run(["embedding"], {"waveform": waveforms[:rows]})
        np.testing.assert_allclose(embedding, wanted[:rows], atol=PARITY)


@pytest.mark.parametrize("length", [2, 3, 17, 38])
def test_the_text_tower_answers_as_published(published: ClapModel, exported: Path, length: int) -> None:
    """The tower and its file answer alike, for sentences of any length."""
    tokens = torch.randint(2, 300, (1, length), generator=torch.Generator().manual_seed(length))
    wanted = read(published, tokens)
    with torch.no_grad():
        vector = build_text(published.state_dict(), HEADS)(tokens)
    np.testing.assert_allclose(vector, wanted, atol=PARITY)
    session = onnxruntime.InferenceSession(str(exported.with_suffix(".text")), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["vector"], {"tokens": tokens.numpy()})[0], wanted, atol=PARITY)


def test_sounds_are_compared_with_words_as_published(published: ClapModel, exported: Path) -> None:
    """The probability of a description against the background is that of transformers."""
    model = open_model(ModelConfig(name=str(exported), prompts=PROMPTS, background=("people talking",)))
    waveforms = sounds(3, SHORT)
    tokenizer = Tokenizer.from_file(str(exported.with_suffix(".tokenizer.json")))
    tokens = [torch.tensor([tokenizer.encode(text).ids]) for text in ("a glass breaking", "people talking")]
    vectors = torch.cat([read(published, sentence) for sentence in tokens]).numpy()
    logits = torch.from_numpy(heard(published, waveforms) @ vectors.T) * published.logit_scale_a.exp()
    np.testing.assert_allclose(model.run(waveforms)[0], logits.softmax(1)[:, :1].detach(), atol=PARITY)


def test_the_model_describes_itself(exported: Path) -> None:
    """The card has the requested window, the licence and the source."""
    card = open_model(ModelConfig(name=str(exported), prompts=PROMPTS)).card
    assert (card.name, card.family, card.sample_rate, card.window) == ("clap", "clap", RATE, SHORT)
    assert (card.licence, card.source) == (FAMILY.licence, FAMILY.source)


def test_int8_runs_one_by_one(exported: Path, tmp_path: Path) -> None:
    """The int8 model finds its text tower, and its embeddings stay near the float model's."""
    int8 = exported.with_name("small-int8.onnx")
    quantize(exported, int8, [], FAMILY.quantization)
    assert open_model(ModelConfig(name=str(int8), prompts=PROMPTS)).card.max_batch == 1
    likeness = compare_models(exported, int8, sounds(5, SHORT))
    assert isinstance(likeness, Likeness)
    assert 0.95 < likeness.least < 1.0


@pytest.mark.parametrize("window", [SHORTEST - 1, WINDOW + 1])
def test_a_window_that_it_cannot_take_is_refused(published: ClapModel, window: int) -> None:
    """The error gives the windows that CLAP takes."""
    with pytest.raises(ModelError, match="CLAP takes 1 to 10 s"):
        build_audio(published.state_dict(), window)


TABLES = ("relative_position_index", "position_ids", "token_type_ids", "num_batches_tracked")
"""Ends of keys of computed numbers, which only files of some versions contain."""


@pytest.mark.parametrize("tower", ["audio", "text"])
def test_every_published_key_is_required(published: ClapModel, tower: str) -> None:
    """A missing or additional key is refused."""
    state = published.state_dict()

    def build(state: StateDict) -> object:
        return build_audio(state, WINDOW) if tower == "audio" else build_text(state, HEADS)

    for key in state:
        if key.startswith(tower) and not key.endswith(TABLES):
            with pytest.raises(ModelError, match="not of this family"):
                build({name: value for name, value in state.items() if name != key})
    with pytest.raises(ModelError, match=r"also holds .*surplus"):
        build(state | {f"{tower}_projection.surplus": torch.zeros(1)})


def test_computed_tables_may_be_missing(published: ClapModel) -> None:
    """Files of newer and older versions of transformers are read."""
    state = {key: value for key, value in published.state_dict().items() if not key.endswith(TABLES)}
    build_audio(state, WINDOW)
    build_text(state, HEADS)


def test_a_checkpoint_of_another_kind_is_refused(published: ClapModel) -> None:
    """The error names the checkpoints that are supported."""
    state = published.state_dict()
    theirs = {f"module.{key}": value for key, value in state.items()}
    with pytest.raises(ModelError, match=r"it has module\.logit_scale_a; LAION's and Microsoft's own files"):
        build_audio(theirs, WINDOW)
    with pytest.raises(ModelError, match=r"it lacks text_model\."):
        build_audio({key: value for key, value in state.items() if not key.startswith("text_model")}, WINDOW)
    fused = small_clap(enable_fusion=True, fusion_type="channel_map")
    with pytest.raises(ModelError, match="use the unfused one"):
        build_audio(fused.state_dict(), WINDOW)


def test_the_heads_of_the_text_tower_come_from_its_configuration(published: ClapModel) -> None:
    """The weights do not show them: without its configuration a tower gets RoBERTa's, of 64 values."""
    tokens = torch.tensor([[0, 7, 8, 9, 2]])
    state = published.state_dict()
    with torch.no_grad():
        one, four, known = build_text(state, 1)(tokens), build_text(state, HEADS)(tokens), build_text(state)(tokens)
    assert (one - four).abs().max() > 0.01
    np.testing.assert_array_equal(known, one)  # 32 values are not even one head of RoBERTa's


def test_a_checkpoint_without_its_tokenizer_is_refused(published: ClapModel, tmp_path: Path) -> None:
    """The error comes before the long work, and says what to put where."""
    checkpoint = tmp_path / "model.safetensors"
    save_file({key: value.contiguous() for key, value in published.state_dict().items()}, checkpoint)
    with pytest.raises(ModelError, match=rf"{re.escape(str(tmp_path))}/tokenizer\.json: .*put it into the same folder"):
        export_towers(checkpoint, tmp_path / "made" / "small.onnx", FAMILY.spec("clap"))
    assert not list((tmp_path / "made").glob("*"))
