"""The PANNs answer as their authors' code, from the published weights, for any batch and length."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from monitor.errors import ModelError
from monitor.zoo.build.export import export_network, sounds
from monitor.zoo.catalogue import load_family
from monitor.zoo.families.cnn14 import Cnn14, WavegramLogmelCnn14
from monitor.zoo.families.mobilenet import MobileNetV1, MobileNetV2
from monitor.zoo.families.panns import SHORTEST, Panns, fold_panns, load_panns
from monitor.zoo.metadata import metadata_for
from tests.zoo import published
from tests.zoo.seeded import GOLDEN, clip, golden_keys, state_dict

OFFICIAL = {
    "panns-cnn14": "Cnn14",
    "panns-wavegram-logmel-cnn14": "Wavegram_Logmel_Cnn14",
    "panns-mobilenetv1": "MobileNetV1",
    "panns-mobilenetv2": "MobileNetV2",
}


@dataclass(frozen=True)
class Small:
    """A narrow network of a family, and the same written independently."""

    make: Callable[[int], Panns]
    """From the number of classes."""
    truth: Callable[[published.State, Tensor], published.Answer]


BOTTLENECKS = ((1, 8, 1, 1), (3, 12, 2, 2), (3, 16, 2, 2), (3, 16, 1, 2), (3, 24, 1, 2))
SMALL = {
    "cnn14": Small(lambda classes: Cnn14(classes, (8, 8, 16, 16, 24, 24)), published.cnn14),
    "wavegram": Small(
        lambda classes: WavegramLogmelCnn14(classes, (8, 8, 16, 16, 24, 24), (8, 8, 16, 64)),
        published.wavegram_logmel_cnn14,
    ),
    "mobilenetv1": Small(
        lambda classes: MobileNetV1(classes, ((8, 2), (16, 1), (16, 2), (24, 2), (24, 2), (32, 2))),
        lambda state, waveform: published.mobilenetv1(state, waveform, (2, 1, 2, 2, 2, 2)),
    ),
    "mobilenetv2": Small(
        lambda classes: MobileNetV2(classes, 8, BOTTLENECKS, 40, 32),
        lambda state, waveform: published.mobilenetv2(state, waveform, (1, 2, 1, 2, 1, 2, 2)),
    ),
}


def loaded(small: Small, salt: int) -> tuple[Panns, published.State]:
    """The network with seeded weights, and these."""
    network = small.make(527)
    state = state_dict({key: tuple(value.shape) for key, value in network.state_dict().items()}, salt)
    return load_panns(small.make, state), state


@pytest.mark.parametrize("name", OFFICIAL)
@torch.no_grad()
def test_a_full_size_network_gives_the_official_answer(name: str) -> None:
    """The keys of the official state dict match exactly, and the answers agree before and after folding."""
    golden = np.load(GOLDEN / f"{OFFICIAL[name]}.1.npz")
    family = load_family(name)
    network = family.build(state_dict(golden_keys(OFFICIAL[name])), family.window)
    waveforms = torch.from_numpy(np.stack([clip(1), clip(2)]))
    for alike in (network, family.fold(network)):
        probabilities, embedding = alike(waveforms)
        assert probabilities.numpy() == pytest.approx(golden["probabilities"], abs=5e-5)
        assert embedding.numpy() == pytest.approx(golden["embedding"], abs=5e-4)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("salt", [2, 3])
@torch.no_grad()
def test_a_narrow_network_answers_as_the_description_says(name: str, salt: int) -> None:
    """Weights other than the golden ones agree, also at a length at which the pools leave a remainder."""
    network, state = loaded(SMALL[name], salt)
    waveforms = torch.from_numpy(sounds(5, 320 * 66))
    expected, features = SMALL[name].truth(state, waveforms)
    for alike in (network, fold_panns(network)):
        probabilities, embedding = alike(waveforms)
        torch.testing.assert_close(probabilities.double(), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(embedding.double(), features, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_the_file_answers_each_row_as_if_alone(name: str, tmp_path: Path) -> None:
    """Any batch agrees, also with silent rows, and from the shortest window up if the family allows it."""
    network, state = loaded(SMALL[name], 4)
    window = 320 * 34
    variable = name != "wavegram"
    metadata = metadata_for(name, family=name, sample_rate=32_000, window=window, labels=["a"], licence="l", source="s")
    path = tmp_path / "small.onnx"
    shortest = SHORTEST if variable else None
    assert export_network(network, path, metadata, window=window, shortest=shortest, fold=fold_panns) < 1e-5
    session = onnxruntime.InferenceSession(str(path))
    for samples in (SHORTEST, 320 * 40 + 17) if variable else (window,):
        waveforms = sounds(3, samples)
        answer, _ = session.run(None, {"waveform": waveforms})
        with torch.no_grad():
            expected, _ = SMALL[name].truth(state, torch.from_numpy(waveforms))
        assert answer == pytest.approx(expected.numpy(), abs=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_folding_leaves_the_exact_network_alone(name: str) -> None:
    """The exact network is the reference for the folded one."""
    network, _ = loaded(SMALL[name], 5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold_panns(network)
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in folded.modules())


def test_the_published_front_end_is_ignored() -> None:
    """The published files contain constants of the log-mel among the weights."""
    network, state = loaded(SMALL["cnn14"], 6)
    constants = {
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": torch.zeros(513, 1, 1024),
        "logmel_extractor.melW": torch.zeros(513, 64),
    }
    assert load_panns(SMALL["cnn14"].make, {**state, **constants}).state_dict().keys() == network.state_dict().keys()


def test_the_namesake_for_another_rate_is_refused() -> None:
    """Its weights have the same names and shapes, but its front end differs."""
    _, state = loaded(SMALL["cnn14"], 6)
    namesake = {**state, "spectrogram_extractor.stft.conv_real.weight": torch.zeros(257, 1, 512)}
    with pytest.raises(ModelError, match="only the networks for 32000 Hz"):
        load_panns(SMALL["cnn14"].make, namesake)


def test_the_checkpoint_of_another_family_is_refused() -> None:
    """The message names keys of both families."""
    with pytest.raises(ModelError, match=r"lacks conv_block1\.conv1\.weight.* also holds features\.0\.0\.weight"):
        load_family("panns-cnn14").build(state_dict(golden_keys("MobileNetV1")), 320_000)


def test_a_window_that_does_not_fit_the_wavegram_is_refused() -> None:
    """The window is checked before any weight is read."""
    with pytest.raises(ModelError, match=r"multiples of 640 \(20 ms"):
        load_family("panns-wavegram-logmel-cnn14").build({}, 32_000 - 320)
