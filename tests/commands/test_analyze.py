"""`analyze`, called as from a shell."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.parts.cli import Program, ended
from tests.parts.slow_model import write_slow_model
from tests.parts.sounds import RATE, bursts, room, write_wav


def test_a_table_for_people(program: Program) -> None:
    """A table has times in minutes and seconds, and one heading for all files."""
    done = program.run("analyze", "burst.wav", "burst.wav")
    assert (done.code, done.err) == (0, "")
    heading, first, second = done.out.splitlines()
    assert heading.split() == ["start", "end", "label", "score", "peak", "file"]
    assert first == second
    start, end, label, score, peak, file = first.split()
    assert re.fullmatch(r"0:0[01]\.\d\d", start)
    assert re.fullmatch(r"0:0[12]\.\d\d", end)
    assert (label, score, peak, file) == ("Loud", "1.00", "1.00", "burst.wav")


def test_only_a_table_says_that_nothing_was_detected(program: Program) -> None:
    """Only a table says that nothing was detected; other formats stay empty, except for the heading of CSV."""
    write_wav(program.folder / "quiet.wav", room(2))
    assert program.run("analyze", "quiet.wav").out == "nothing detected\n"
    assert program.run("analyze", "quiet.wav", "--format", "jsonl").out == ""
    assert program.run("analyze", "quiet.wav", "--format", "audacity").out == ""
    assert program.run("analyze", "quiet.wav", "--format", "csv").out == "file,label,start,end,score,peak,model\n"


def test_lines_of_json(program: Program) -> None:
    """JSON has one object for each sound, with the onset within 0.1 s."""
    done = program.run("analyze", "burst.wav", "--format", "jsonl")
    assert done.code == 0
    found = json.loads(done.out)
    assert found.keys() == {"file", "label", "start", "end", "score", "peak", "model"}
    assert found["start"] == pytest.approx(0.5, abs=0.1)
    assert found["end"] == pytest.approx(1.1, abs=0.5)
    assert (found["file"], found["label"], found["model"]) == ("burst.wav", "Loud", "tiny")


def test_csv(program: Program) -> None:
    """CSV has one row for each sound, and quotes names where needed."""
    (program.folder / "burst.wav").rename(program.folder / 'a, "b".wav')
    done = program.run("analyze", 'a, "b".wav', "--format", "csv")
    [row] = csv.DictReader(io.StringIO(done.out))
    assert row["file"] == 'a, "b".wav'
    assert float(row["start"]) == pytest.approx(0.5, abs=0.1)


def test_labels_for_audacity(program: Program) -> None:
    """Audacity's format has start, end and label separated by tabs."""
    done = program.run("analyze", "burst.wav", "--format", "audacity")
    start, end, label = done.out.rstrip("\n").split("\t")
    assert float(start) == pytest.approx(0.5, abs=0.1)
    assert float(end) > float(start)
    assert label == "Loud"


def test_one_bad_file_does_not_stop_the_others(program: Program) -> None:
    """Each bad file is named with its problem and counted, the good ones are analysed, and the exit code is 69."""
    (program.folder / "empty.wav").touch()
    (program.folder / "garbage.wav").write_bytes(b"garbage" * 1000)
    done = program.run("analyze", "none.wav", "burst.wav", "empty.wav", "garbage.wav", "burst.wav", "--format", "jsonl")
    assert done.code == 69
    assert len(done.out.splitlines()) == 2
    assert done.err.splitlines() == [
        "sound-monitor: none.wav: No such file or directory",
        "sound-monitor: empty.wav: is empty",
        "sound-monitor: garbage.wav: not audio in a known format, or damaged",
        "sound-monitor: 5 files: 3 could not be read, 0 only in part",
    ]


def test_nothing_is_claimed_about_files_that_could_not_be_read(program: Program) -> None:
    """Without any readable file there is no table and no "nothing detected"."""
    done = program.run("analyze", "none.wav")
    assert (done.code, done.out) == (69, "")


def test_a_file_name_that_is_not_utf8_works(program: Program) -> None:
    """A file name that is not UTF-8 works, and is shown with replacement characters."""
    name = os.fsencode(program.folder) + b"/caf\xe9.wav"
    Path(os.fsdecode(name)).write_bytes((program.folder / "burst.wav").read_bytes())
    for form in ("table", "jsonl", "csv"):
        done = program.run("analyze", os.fsdecode(name), "--format", form)
        assert done.code == 0
        assert "caf\ufffd.wav" in done.out


def test_scores_are_saved(program: Program) -> None:
    """The file of scores has times that increase by the hop up to the last window, and a label for each column."""
    done = program.run("analyze", "burst.wav", "--scores", "deep/scores")
    assert done.code == 0
    with np.load(program.folder / "deep/scores/burst.npz") as saved:
        assert set(saved) == {"times", "probabilities", "embeddings", "labels"}
        times, probabilities, embeddings = saved["times"], saved["probabilities"], saved["embeddings"]
        assert list(saved["labels"]) == ["Loud", "Quiet"]
    assert (times.dtype, probabilities.dtype, embeddings.dtype) == (np.float64, np.float32, np.float32)
    np.testing.assert_allclose(np.diff(times), 0.25)
    assert times[0] == 15_600 / RATE
    assert times[-2] <= 3.0 <= times[-1]
    assert (probabilities.shape, embeddings.shape) == ((len(times), 2), (len(times), 4))
    assert probabilities[:, 0].max() > 0.9
    assert list((program.folder / "deep/scores").iterdir()) == [program.folder / "deep/scores/burst.npz"]


def test_files_whose_scores_would_overwrite_each_other_are_refused(program: Program) -> None:
    """Two files with the same stem are refused before anything is analysed."""
    done = program.run("analyze", "a/night.wav", "b/night.flac", "--scores", "scores")
    assert (done.code, done.out) == (2, "")
    assert "a/night.wav and b/night.flac would both be saved as night.npz; analyse them separately" in done.err
    assert not (program.folder / "scores").exists()


def test_a_folder_for_scores_that_cannot_be_created_is_an_early_error(program: Program) -> None:
    """A folder for scores that cannot be created is an error before the analysis."""
    done = program.run("analyze", "burst.wav", "--scores", "burst.wav")
    assert (done.code, done.out) == (74, "")
    assert done.err == "sound-monitor: cannot create folder burst.wav: File exists\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_for_scores_is_an_early_error(program: Program) -> None:
    """A read-only folder for scores is an error before the analysis."""
    (program.folder / "scores").mkdir(mode=0o500)
    done = program.run("analyze", "burst.wav", "--scores", "scores")
    assert (done.code, done.out) == (74, "")
    assert done.err == "sound-monitor: cannot write into folder scores: permission denied\n"


def test_a_reader_that_closes_the_pipe_ends_it_quietly(program: Program) -> None:
    """A reader that closes the pipe, as `head` does, gives exit code 141 and nothing on stderr."""
    process = program.start("analyze", *["burst.wav"] * 500, "--format", "jsonl")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["label"] == "Loud"
    process.stdout.close()
    process.stdout = None
    done = ended(process)
    assert (done.code, done.err) == (141, "")


def test_a_full_disk_is_reported(program: Program) -> None:
    """Output to a full disk gives exit code 74 and a message."""
    with Path("/dev/full").open("wb") as full:
        done = ended(program.start("analyze", "burst.wav", stdout=full))
    assert done.code == 74
    assert done.err == "sound-monitor: cannot write the output: No space left on device\n"


def test_a_program_without_stdout_works(program: Program) -> None:
    """With closed standard streams the scores are written whole: no file gets the number of a stream."""
    command = f'"{sys.executable}" -m monitor analyze burst.wav --scores scores >&- 2>&- <&-'
    assert subprocess.run(["sh", "-c", command], cwd=program.folder, env=program.environment).returncode == 0
    with np.load(program.folder / "scores/burst.npz") as saved:
        assert len(saved["times"])


def on_a_terminal(program: Program, *arguments: str, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a command on a terminal, with Ctrl-C once `interrupt_at` is shown; returns the exit code and the output."""
    ours, theirs = pty.openpty()
    process = program.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, TERM="xterm")
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
            if interrupt_at is not None and interrupt_at.encode() in shown:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
    except OSError:  # a terminal without a writer ends with this error
        pass
    finally:
        os.close(ours)
    return ended(process).code, shown.decode()


def left_on_screen(shown: str) -> str:
    """The text that a terminal shows at the end, without lines that were cleared and without styles."""
    lines = [""]
    for part in re.split(r"(\r\n|\r|\x1b\[[0-9?]*[A-Za-z])", shown):
        if part == "\r\n":
            lines.append("")
        elif part == "\x1b[1A":
            lines.pop()
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif part != "\r" and not part.startswith("\x1b"):
            lines[-1] += part
    return "\n".join(lines)


def test_results_do_not_run_into_the_progress_bar(program: Program) -> None:
    """At the end the terminal shows results and errors, and nothing of the progress bar."""
    code, shown = on_a_terminal(program, "analyze", "burst.wav", "none.wav", "burst.wav")
    assert code == 69
    assert "1/3 burst.wav" in shown
    heading, first, error, second, counted, rest = left_on_screen(shown).split("\n")
    assert counted == "sound-monitor: 3 files: 1 could not be read, 0 only in part"
    assert heading.split() == ["start", "end", "label", "score", "peak", "file"]
    assert first == second
    assert first.endswith("Loud                          1.00  1.00  burst.wav")
    assert error == "sound-monitor: none.wav: No such file or directory"
    assert rest == ""
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_ctrl_c_ends_it_at_once_and_leaves_a_clean_line(program: Program) -> None:
    """Ctrl-C during a long inference gives exit code 130 without a traceback, and restores the terminal."""
    write_slow_model(program.models / "slow.onnx")
    write_wav(program.folder / "loud.wav", np.ones(2 * RATE, np.float32))
    command = ("analyze", "loud.wav", "--model", "slow")
    code, shown = on_a_terminal(program, *command, interrupt_at="1/1 loud.wav")
    assert code == 130
    assert left_on_screen(shown).replace("^C", "") == ""
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_rule_for_an_unknown_class_is_refused(program: Program) -> None:
    """A class that the model lacks gives exit code 78 and the nearest class."""
    (program.folder / "config.yaml").write_text("model: {name: tiny}\ndetection: {rules: [{label: Lout}]}")
    done = program.run("analyze", "burst.wav")
    assert (done.code, done.out) == (78, "")
    assert done.err == "sound-monitor: detection.rules: 'Lout': the model has no class 'Lout'; did you mean 'Loud'?\n"


def test_many_sounds_in_a_long_file(program: Program) -> None:
    """Each sound in a long file is found once, in order, across all batches."""
    onsets = [10.0 * k + 0.06 * (k % 3) for k in range(1, 12)]
    write_wav(program.folder / "long.wav", bursts(125, *onsets))
    done = program.run("analyze", "long.wav", "--format", "jsonl")
    assert [json.loads(line)["start"] for line in done.out.splitlines()] == pytest.approx(onsets, abs=0.1)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--gain", "loud", "neither auto nor a number of decibels"),
        ("--gain", "61", "neither auto nor a number of decibels"),
        ("--channel", "0", "not mix, left, right, loudest or a number from 1 to 32"),
        ("--channel", "middle", "not mix, left, right, loudest or a number from 1 to 32"),
        ("--track", "0", "not a whole number from 1"),
    ],
)
def test_an_invalid_choice_of_the_signal_is_refused(program: Program, option: str, value: str, message: str) -> None:
    """The message names what is possible, and nothing is analysed."""
    done = program.run("analyze", "burst.wav", option, value)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_channel_gain_and_track_are_options(program: Program) -> None:
    """A mono file has a first channel and a first track; ten decibels less are still loud."""
    done = program.run("analyze", "burst.wav", "--channel", "1", "--gain", "-10", "--track", "1", "--format", "jsonl")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
