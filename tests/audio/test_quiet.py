"""What C libraries print."""

import logging
import os

import pytest

from monitor.audio.quiet import quiet


def test_noise_goes_to_the_log_and_the_rest_to_stderr(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The audio libraries' lines are logged for debugging; what others write arrives whole."""
    caplog.set_level(logging.DEBUG)
    with quiet():
        os.write(2, b"ALSA lib pcm.c:1: Unknown PCM\nExpression 'ret' failed\nWARNING: disk full\nJackShm: no\n\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "WARNING: disk full\nafter\n"
    assert "Unknown PCM" in caplog.text


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """An exception in the block leaves stderr as it was."""
    with pytest.raises(ValueError, match="no"), quiet():
        raise ValueError("no")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
