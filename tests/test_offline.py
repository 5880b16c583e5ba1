"""Offline analysis of files, with a real model and real decoding."""

import os
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.audio.inputs.media import Media
from monitor.audio.timeline import TimedBlock
from monitor.classify.classifier import Classifier
from monitor.classify.model import NativeModel
from monitor.config.schema import DetectionConfig, RuleConfig
from monitor.detect.rules import resolve
from monitor.errors import SourceError
from monitor.messages import Rule
from monitor.offline import Analysis, Listening, analyze
from tests.parts.audio_file import write_audio
from tests.parts.sounds import RATE, bursts, room, write_wav
from tests.parts.tiny_model import write_tiny_model

WINDOW, HOP = 15_600, 4_000


@pytest.fixture
async def classifier(tmp_path: Path) -> AsyncIterator[Classifier]:
    """Open the tiny model, with a batch size that fits no number of windows here."""
    classifier = Classifier(NativeModel(write_tiny_model(tmp_path / "tiny.onnx")), batch=7)
    yield classifier
    classifier.close()


def rules(classifier: Classifier) -> tuple[Rule, ...]:
    """Return a rule that detects loud sounds."""
    card = classifier.card
    return resolve(
        DetectionConfig(rules=(RuleConfig(label="Loud", preset="impulsive"),)),
        card.labels,
        card.window / RATE,
        HOP / RATE,
    )


async def analysed(classifier: Classifier, path: Path, *, keep_scores: bool = False) -> Analysis:
    """Analyse a file."""
    return await analyze(str(path), classifier, rules(classifier), HOP / RATE, lambda *_: None, keep_scores=keep_scores)


def starts(analysis: Analysis) -> Sequence[float]:
    """Return the start of each sound, seconds."""
    return [found.start for found in analysis.found]


async def test_sounds_are_found_where_they_are(classifier: Classifier, tmp_path: Path) -> None:
    """Each start is right within 0.1 s, each end within a window, in order, with the names of file and model."""
    path = write_wav(tmp_path / "night.wav", bursts(20, 2.0, 7.33, 13.77))
    analysis = await analysed(classifier, path)
    assert starts(analysis) == pytest.approx([2.0, 7.33, 13.77], abs=0.1)
    for found in analysis.found:
        assert found.end - found.start == pytest.approx(0.6, abs=0.5)
        assert (found.file, found.label, found.model) == (str(path), "Loud", "tiny")
        assert 0.9 < found.score <= found.peak <= 1.0


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
async def test_other_rates_and_formats_give_the_same(classifier: Classifier, tmp_path: Path, rate: int) -> None:
    """Stereo FLAC at another rate gives the times of the file."""
    audio = bursts(8, 5.0)
    at = np.arange(8 * rate) * RATE // rate
    path = write_audio(tmp_path / "night.flac", np.stack((audio[at], audio[at]), axis=1), rate, "flac")
    assert starts(await analysed(classifier, path)) == pytest.approx([5.0], abs=0.1)


async def test_a_file_shorter_than_a_window_is_analysed(classifier: Classifier, tmp_path: Path) -> None:
    """Silence completes the window; all times stay within the file."""
    [found] = (await analysed(classifier, write_wav(tmp_path / "a.wav", bursts(0.5, 0.2, length=0.3)))).found
    assert found.start == pytest.approx(0.2, abs=0.1)
    assert found.end == 0.5
    [found] = (await analysed(classifier, write_wav(tmp_path / "b.wav", bursts(0.05, 0.0, length=0.05)))).found
    assert 0.0 <= found.start <= found.end <= 0.05


async def test_a_sound_that_lasts_to_the_end_ends_with_the_file(classifier: Classifier, tmp_path: Path) -> None:
    """A sound that lasts to the end of the file ends with its last sample."""
    path = write_wav(tmp_path / "a.wav", np.repeat(bursts(4, 3.2, length=0.8), 3), 3 * RATE)
    [found] = (await analysed(classifier, path)).found
    assert found.start == pytest.approx(3.2, abs=0.1)
    assert found.end == 4.0


async def test_a_quiet_file_has_nothing_in_it(classifier: Classifier, tmp_path: Path) -> None:
    """A quiet file has no detections, and no scores unless they are requested."""
    analysis = await analysed(classifier, write_wav(tmp_path / "a.wav", room(3)))
    assert (analysis.found, analysis.scores) == ([], None)


async def test_scores_are_the_models_own(classifier: Classifier, tmp_path: Path) -> None:
    """Each window on the hop grid has one row, equal to what the model returns for its samples alone."""
    audio = bursts(3.1, 1.0)
    path = write_wav(tmp_path / "a.wav", audio)
    scores = (await analysed(classifier, path, keep_scores=True)).scores
    assert scores is not None
    assert scores.embeddings is not None
    windows = 10  # 9 whole ones, and one for the rest
    assert (scores.times.shape, scores.times.dtype.name) == ((windows,), "float64")
    assert (scores.probabilities.shape, scores.probabilities.dtype.name) == ((windows, 2), "float32")
    assert (scores.embeddings.shape, scores.embeddings.dtype.name) == ((windows, 4), "float32")
    np.testing.assert_allclose(scores.times, (WINDOW + HOP * np.arange(windows)) / RATE)
    filled = np.concatenate((np.trunc(audio * 32767) / 32768, np.zeros(WINDOW))).astype(np.float32)
    alone = np.stack([filled[HOP * k : HOP * k + WINDOW] for k in range(windows)])
    expected, statistics = NativeModel(Path(classifier.card.path)).run(alone)
    assert statistics is not None
    np.testing.assert_allclose(scores.probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(scores.embeddings, statistics, atol=1e-4)


async def test_progress_grows_to_the_length_of_the_file(classifier: Classifier, tmp_path: Path) -> None:
    """Progress reports the seconds done, and the duration that the file claims."""
    heard: list[tuple[float, float | None]] = []
    path = write_wav(tmp_path / "a.wav", room(5))
    await analyze(str(path), classifier, rules(classifier), 0.25, lambda *progress: heard.append(progress))
    done = [seconds for seconds, _ in heard]
    assert done == sorted(done)
    assert done[-1] >= 5.0
    assert {total for _, total in heard} == {5.0}


async def test_a_pipe_gives_what_the_file_gives(classifier: Classifier, tmp_path: Path) -> None:
    """A WAV file that arrives through a FIFO has the same detections as the file."""
    path, fifo = write_wav(tmp_path / "a.wav", bursts(8, 5.0)), tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(path.read_bytes()))
    writer.start()
    assert starts(await analysed(classifier, fifo)) == starts(await analysed(classifier, path))
    writer.join()


async def test_raw_samples_have_the_rate_and_channels_of_their_name(classifier: Classifier, tmp_path: Path) -> None:
    """`pcm:PATH@RATExCHANNELS` reads 16-bit samples from a file."""
    audio = np.repeat(bursts(8, 5.0), 3)
    (tmp_path / "a.raw").write_bytes((np.stack((audio, audio), axis=1) * 32767).astype("<i2").tobytes())
    name = f"pcm:{tmp_path}/a.raw@{3 * RATE}x2"
    analysis = await analyze(name, classifier, rules(classifier), HOP / RATE, lambda *_: None)
    assert starts(analysis) == pytest.approx([5.0], abs=0.1)


async def test_an_invalid_raw_format_is_a_source_error(classifier: Classifier) -> None:
    """The message gives the form to use, in one line."""
    with pytest.raises(SourceError, match=r"^'pcm:a@1' has a rate outside .*; use pcm:PATH\[@RATE\[xCHANNELS\]\].*$"):
        await analyze("pcm:a@1", classifier, rules(classifier), HOP / RATE, lambda *_: None)


async def test_a_file_that_is_not_audio_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    """A file that is not audio, and a missing file, raise a `SourceError`."""
    (tmp_path / "a.wav").write_bytes(b"no audio" * 100)
    with pytest.raises(SourceError, match="not audio in a known format"):
        await analysed(classifier, tmp_path / "a.wav")
    with pytest.raises(SourceError, match="No such file"):
        await analysed(classifier, tmp_path / "b.wav")


async def test_sounds_on_both_sides_of_a_change_of_format_are_found(classifier: Classifier, tmp_path: Path) -> None:
    """Two MP3 files in one, of other rates: each sound has its time, and scores exist for both parts."""
    first = write_audio(tmp_path / "a.mp3", bursts(6, 2.0)[:, None], RATE, "libmp3lame")
    audio = np.repeat(bursts(6, 3.0), 3)[:, None]
    second = write_audio(tmp_path / "b.mp3", np.hstack((audio, audio)), 3 * RATE, "libmp3lame")
    first.write_bytes(first.read_bytes() + second.read_bytes())
    analysis = await analysed(classifier, first, keep_scores=True)
    assert starts(analysis) == pytest.approx([2.0, 9.0], abs=0.2)
    assert analysis.failure is None
    assert analysis.scores is not None
    assert analysis.scores.times[-1] > 11.5
    assert (np.diff(analysis.scores.times) > 0).all()


async def test_a_very_quiet_file_is_a_warning_and_found_with_gain(
    classifier: Classifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At -30 dB nothing is found, which a warning explains; with `auto` the sound is where it is."""
    audio = (bursts(8, 5.0) * 0.03).astype(np.float32)[:, None]
    path = write_audio(tmp_path / "a.wav", audio, RATE, "pcm_f32le")
    assert starts(await analysed(classifier, path)) == []
    assert "a.wav: very quiet, at most -36 dBFS" in caplog.text
    caplog.clear()
    loud = await analyze(
        str(path), classifier, rules(classifier), HOP / RATE, lambda *_: None, listen=Listening(gain="auto")
    )
    assert starts(loud) == pytest.approx([5.0], abs=0.1)
    assert caplog.text == ""


async def test_what_was_found_before_an_error_stays(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that fails midway has its sounds up to there, and the failure."""
    timed = Media.timed

    def breaking(media: Media) -> Generator[TimedBlock, None, None]:
        for block in timed(media):
            if block.at > 5:
                raise SourceError("torn at 0:05")
            yield block

    monkeypatch.setattr(Media, "timed", breaking)
    analysis = await analysed(classifier, write_wav(tmp_path / "a.wav", bursts(8, 2.0, 7.0)))
    assert starts(analysis) == pytest.approx([2.0], abs=0.1)
    assert str(analysis.failure) == "torn at 0:05"


async def test_a_single_sample_is_analysed(classifier: Classifier, tmp_path: Path) -> None:
    """A file of one sample, which resampling may remove, has no detections."""
    path = write_wav(tmp_path / "a.wav", np.zeros(1, np.float32), rate=48_000)
    analysis = await analysed(classifier, path, keep_scores=True)
    assert analysis.found == []
    assert analysis.scores is not None
    assert analysis.scores.probabilities.shape == (len(analysis.scores.times), 2)


async def test_a_channel_can_be_chosen_and_must_exist(classifier: Classifier, tmp_path: Path) -> None:
    """Each channel has its own sounds; a number that the file does not have is an error."""
    audio = np.stack((bursts(8, 2.0), bursts(8, 5.0)), axis=1)
    path = write_wav(tmp_path / "a.wav", audio)
    for channel, expected in ((1, 2.0), (2, 5.0)):
        analysis = await analyze(
            str(path), classifier, rules(classifier), HOP / RATE, lambda *_: None, listen=Listening(channel=channel)
        )
        assert starts(analysis) == pytest.approx([expected], abs=0.1)
    with pytest.raises(SourceError, match=r"a.wav: no channel 3 from 0:00.00, only 2"):
        await analyze(
            str(path), classifier, rules(classifier), HOP / RATE, lambda *_: None, listen=Listening(channel=3)
        )
