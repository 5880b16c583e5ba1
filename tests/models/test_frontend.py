"""The front end in the graph hears what a plain NumPy spectrogram hears."""

import importlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
frontend = importlib.import_module("models.train.frontend")


def reference(waveform: np.ndarray) -> np.ndarray:
    """Log-mel [96, 64] by the book: windowed frames, FFT, magnitude, mel bank, log."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([waveform[160 * i : 160 * i + 400] for i in range(96)]) * hann
    return np.asarray(np.log(np.abs(np.fft.rfft(frames, 512)) @ frontend.mel_bank() + 0.001))


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-4])
def test_noise_matches_the_reference_to_a_thousandth(level: float) -> None:
    waveform = (level * np.random.default_rng(1).standard_normal((2, 15_600))).astype(np.float32)
    logmel = frontend.LogMel()(torch.from_numpy(waveform)).numpy()
    expected = np.stack([reference(row.astype(np.float64)) for row in waveform])
    assert logmel.shape == (2, 96, 64)
    np.testing.assert_allclose(logmel, expected, atol=1e-3)


def test_silence_is_the_log_of_the_offset() -> None:
    logmel = frontend.LogMel()(torch.zeros(1, 15_600)).numpy()
    np.testing.assert_allclose(logmel, np.log(0.001), atol=1e-5)


@pytest.mark.parametrize("hertz", [200.0, 1_000.0, 3_100.0, 7_000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hertz: float) -> None:
    time = np.arange(15_600) / 16_000
    tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)[None]
    band = int(frontend.LogMel()(torch.from_numpy(tone)).mean(1).argmax())
    low, high = (float(mel) for mel in frontend.hertz_to_mel(np.array([125.0, 7_500.0])))
    edges = np.linspace(low, high, 66)
    mel = float(frontend.hertz_to_mel(np.array([hertz]))[0])
    assert edges[band] < mel < edges[band + 2]
