"""The front end in the graph hears what a plain NumPy spectrogram hears."""

import importlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
frontend = importlib.import_module("models.train.networks.frontend")


def mel(hertz: float) -> float:
    """HTK's formula."""
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def reference(waveform: np.ndarray) -> np.ndarray:
    """Log-mel [64, 64] by the book: periodic Hann, FFT, power, mel triangles (half of the bins above 1.5 kHz), log."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    frames = np.stack([waveform[240 * i : 240 * i + 480] for i in range(64)]) * hann
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.linspace(mel(60.0), mel(7_800.0), 66)
    bins = [mel(16_000 / 480 * k) for k in range(241)]
    bank = np.stack([np.interp(bins, edges[i : i + 3], (0.0, 1.0, 0.0)) for i in range(64)], axis=1)
    bank[46::2] *= 2.0  # every second bin stands for two
    bank[47::2] = 0.0
    return np.asarray(np.log(power @ bank + 1e-6))


def log_mel(waveforms: np.ndarray) -> np.ndarray:
    return np.asarray(frontend.LogMel()(torch.from_numpy(waveforms.astype(np.float32))).numpy())


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3])
def test_noise_is_heard_as_by_the_book(level: float) -> None:
    """Every row of a batch, loud or quiet."""
    waveforms = level * np.random.default_rng(1).standard_normal((3, 15_600)).clip(-1, 1)
    answer = log_mel(waveforms)
    assert answer.shape == (3, 64, 64)
    np.testing.assert_allclose(answer, np.stack([reference(row) for row in waveforms]), atol=2e-4)


def test_each_sample_has_its_place_in_time() -> None:
    """A click is heard in the two frames that it lies in, weighed by the window there."""
    for place in (0, 1, 119, 120, 121, 239, 240, 7_777, 15_599):
        waveform = np.zeros(15_600)
        waveform[place] = 1.0
        np.testing.assert_allclose(log_mel(waveform[None])[0], reference(waveform), atol=2e-4)


def test_silence_is_the_log_of_the_offset() -> None:
    np.testing.assert_allclose(log_mel(np.zeros((1, 15_600))), np.log(1e-6), atol=1e-5)


def test_a_square_wave_at_full_scale_is_finite_and_right() -> None:
    square = np.sign(np.sin(np.arange(15_600) * 0.3) + 1e-9)
    np.testing.assert_allclose(log_mel(square[None])[0], reference(square), atol=1e-2)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    waveforms = np.random.default_rng(2).standard_normal((3, 15_600)) * np.array([[1e-4], [1.0], [0.0]])
    for row, answer in zip(waveforms, log_mel(waveforms), strict=True):
        np.testing.assert_allclose(log_mel(row[None])[0], answer, atol=1e-5)


@pytest.mark.parametrize("hertz", [200.0, 1_000.0, 3_100.0, 7_000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(15_600) / 16_000)
    band = int(log_mel(tone[None]).mean(axis=1).argmax())
    edges = np.linspace(mel(60.0), mel(7_800.0), 66)
    assert edges[band] < mel(hertz) < edges[band + 2]


def test_a_tone_is_as_loud_on_a_bin_that_is_read_as_between_two() -> None:
    """Within what the sides of a Hann window make up for: 3 dB of one tone's power in its bands."""
    level = []
    for bin_number in (92, 92.5, 93, 93.5):
        tone = 0.1 * np.sin(2 * np.pi * bin_number * 16_000 / 480 * np.arange(15_600) / 16_000)
        level.append(10 * np.log10(np.exp(log_mel(tone[None])[0]).sum(axis=1).mean()))
    assert np.ptp(level) < 3.1
