"""Windows cut from recordings."""

from pathlib import Path

import numpy as np
import pytest

from monitor.zoo.build import recordings
from monitor.zoo.build.recordings import windows_of
from tests.parts.sounds import RATE, bursts, write_wav


def test_windows_stand_side_by_side(tmp_path: Path) -> None:
    """Windows are adjacent and whole, with the samples of the file."""
    sound = bursts(2.5, 0.5)
    file = write_wav(tmp_path / "sound.wav", sound)
    windows = windows_of([str(file)], RATE, RATE)
    assert len(windows) == 2
    np.testing.assert_allclose(np.concatenate(windows), sound[: 2 * RATE], atol=1e-4)


def test_a_short_file_is_padded(tmp_path: Path) -> None:
    """A file shorter than a window is padded with silence at the model's rate."""
    file = write_wav(tmp_path / "short.wav", bursts(0.5, 0.1))
    [window] = windows_of([str(file)], 2 * RATE, 2 * RATE)
    assert window.shape == (2 * RATE,)
    assert np.abs(window[:RATE]).max() > 0.3
    assert not window[RATE:].any()


def test_each_file_gives_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file gives the same number of windows from its beginning, and no more files are read than necessary."""
    monkeypatch.setattr(recordings, "MOST", 4)
    loud, quiet = (write_wav(tmp_path / f"{onset}.wav", bursts(3, onset, length=3 - onset)) for onset in (0, 2))
    windows = windows_of([str(loud), str(quiet)], RATE, RATE)
    assert [bool(np.abs(window).max() > 0.3) for window in windows] == [True, True, False, False]
    assert len(windows_of([str(loud)] * 3 + [str(quiet)] + ["not read"], RATE, RATE)) == 4
