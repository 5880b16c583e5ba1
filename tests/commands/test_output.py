"""What commands print: tables, lines and paths."""

from pathlib import Path

import pytest

from monitor.commands.output import LinePrinter, csv_line, print_facts, print_table, short_path


def test_a_row_of_a_table_is_one_line_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal no row is folded, and no line ends with spaces."""
    print_table(("name", "text"), [("a", "word " * 100), ("long name", "")])
    heading, first, second = capsys.readouterr().out.splitlines()
    assert (heading, second) == ("name       text", "long name")
    assert first == f"a          {'word ' * 100}".rstrip()


def test_markup_in_a_table_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a name are not taken for a style."""
    print_facts([("name", "[bold]dog[/]")])
    assert capsys.readouterr().out == "name  [bold]dog[/]\n"


def test_lines_are_printed_below_one_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """The heading comes before the first item, whenever that is."""
    printer: LinePrinter[int] = LinePrinter(str, heading="number", nothing="none")
    printer.print([])
    assert capsys.readouterr().out == ""
    printer.print([1, 2])
    printer.print([3])
    printer.finish()
    assert capsys.readouterr().out == "number\n1\n2\n3\n"


def test_without_items_there_is_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """The first line is always printed, the heading only with an item, the last text only without one."""
    printer: LinePrinter[int] = LinePrinter(str, first="first", heading="number", nothing="none")
    printer.print([])
    printer.finish()
    assert capsys.readouterr().out == "first\nnone\n"


def test_csv_quotes_what_needs_it() -> None:
    """Commas, quotes and line breaks are quoted; None is empty."""
    assert csv_line(["a, b", 'say "x"', "two\nlines", None, 1.5]) == '"a, b","say ""x""","two\nlines",,1.5'


def test_paths_are_shown_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is relative to the working directory, else to the home directory, else absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert short_path(tmp_path / "a/b.onnx") == "a/b.onnx"
    assert short_path(Path("/home/me/b.onnx")) == "~/b.onnx"
    assert short_path(Path("/srv/b.onnx")) == "/srv/b.onnx"


def test_paths_are_shown_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home directory, as in a container, sees the whole path."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)  # has no entry in the password database
    assert short_path(Path("/srv/b.onnx")) == "/srv/b.onnx"
