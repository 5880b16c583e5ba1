"""Recordings are found by the manifest, decoded once, and kept out whole."""

import importlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the training recipe needs torch; the bundled model does not")
soundfile = pytest.importorskip("soundfile", reason="the training recipe needs soundfile")
corpus = importlib.import_module("models.train.data.corpus")
EVENT_NAMES = importlib.import_module("models.train.data.events").EVENT_NAMES

ROWS = (
    "a.wav,games,share/siren.wav,CC0-1.0,,train,0,0.5",
    "b.wav,ESC-50,1-1-A-0.ogg,CC-BY-3.0,dog,train,2,0.25",
    "c.wav,tools,x.wav,GPL-2+,,val,,0.5",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three recordings of half a second: one at 16 kHz, one short, and one at 48 kHz whose channels differ.

    That one has a tone in it which would be heard an octave lower if it were not filtered away.
    """
    folder = tmp_path / "data"
    folder.mkdir()
    header = "path,source,original_path,licence,label,split,fold,seconds"
    (folder / "manifest.csv").write_text("\n".join((header, *ROWS)) + "\n", encoding="utf-8")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 16_000)
    soundfile.write(folder / "a.wav", tone, 16_000)
    soundfile.write(folder / "b.wav", tone[:4_000], 16_000)
    time = np.arange(24_000) / 48_000
    high = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.4 * np.sin(2 * np.pi * 12_000 * time)
    soundfile.write(folder / "c.wav", high[:, None] * [1.0, 0.0], 48_000)
    return folder


def test_recordings_are_decoded_to_16_khz_mono(data: Path, tmp_path: Path) -> None:
    loaded = corpus.load(data, tmp_path)
    assert loaded.bounds.tolist() == [0, 8_000, 12_000, 20_000]
    assert np.abs(loaded.samples(0)).max() == pytest.approx(0.5, abs=1e-3)
    assert np.abs(loaded.samples(2)[100:-100]).max() == pytest.approx(0.25, abs=0.01)
    assert loaded.seconds("train") == 0.75


def test_a_slice_ends_with_its_recording(data: Path, tmp_path: Path) -> None:
    loaded = corpus.load(data, tmp_path)
    assert len(loaded.slice(1, 3_000, 5_000)) == 1_000
    np.testing.assert_array_equal(loaded.slice(0, 100, 50), loaded.samples(0)[100:150])


def test_a_clip_knows_its_event(data: Path) -> None:
    found = [clip.event for clip in corpus.read_manifest(data)]
    assert found == [EVENT_NAMES.index("Emergency siren"), EVENT_NAMES.index("Dog barking"), -1]


@pytest.mark.parametrize(
    ("keep_out", "splits"),
    [((), "train train val"), (("games",), "val train val"), (("2",), "train val val"), (("0",), "val train val")],
)
def test_what_is_kept_out_is_not_trained_on(data: Path, keep_out: tuple[str, ...], splits: str) -> None:
    """A source, or a fold."""
    assert " ".join(clip.split for clip in corpus.read_manifest(data, keep_out)) == splits


def test_audio_is_decoded_once(data: Path, tmp_path: Path) -> None:
    first = corpus.load(data, tmp_path)
    (data / "a.wav").unlink()
    again = corpus.load(data, tmp_path, ("games",))
    np.testing.assert_array_equal(first.audio, again.audio)
    assert again.digest == first.digest
    assert again.clips[0].split == "val"
    assert list(tmp_path.glob("*.part*")) == []


def test_another_manifest_is_another_corpus(data: Path, tmp_path: Path) -> None:
    first = corpus.load(data, tmp_path)
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(ROWS[0] + "\n", ""), encoding="utf-8")
    again = corpus.load(data, tmp_path)
    assert len(again.audio) == 12_000
    assert again.digest != first.digest


def test_the_same_recordings_are_read_at_another_rate(data: Path, tmp_path: Path) -> None:
    narrow, wide = corpus.load(data, tmp_path), corpus.load(data, tmp_path, rate=32_000)
    assert wide.bounds.tolist() == (2 * narrow.bounds).tolist()
    assert wide.rate == 32_000
    np.testing.assert_allclose(wide.samples(0)[400:-400:2], narrow.samples(0)[200:-200], atol=2e-3)


def test_rooms_for_a_home_begin_with_their_direct_sound_and_do_not_ring_for_long(data: Path) -> None:
    assert corpus.rooms(data, 16_000) == []
    answer = np.zeros(8_000)
    answer[1_000], answer[1_500] = 0.9, 0.4
    for name in ("small", "hall"):
        soundfile.write(data / f"{name}.wav", answer, 16_000)
    listed = "path,rt60_s\nsmall.wav,0.4\nhall.wav,3.5\n"
    (data / "rooms.csv").write_text(listed, encoding="utf-8")
    (small,) = corpus.rooms(data, 16_000)
    assert int(np.abs(small).argmax()) == 16
    assert len(small) == 7_016
