"""What commands print: tables and lines on stdout, progress and the log on stderr."""

import csv
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from monitor.files import expand_home
from monitor.stdio import LineOutlet, OutletHandler

UNFOLDED = 10_000
"""Width, in characters, at which no row is folded."""
OK, FAILED = Text("✓", "green"), Text("✗", "red")
"""Marks for the first column of a table of checks."""

Item = TypeVar("Item")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table: on a terminal folded to its width, elsewhere with each row on one line."""
    _print(Table(*headings, box=None, pad_edge=False), rows)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print a name and its value in each row, laid out like `print_table`."""
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.columns[0].no_wrap = True
    _print(table, [(Text(name, "bold"), value) for name, value in facts])


def _print(table: Table, rows: Sequence[Sequence[str | Text]]) -> None:
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console = Console(width=None if sys.stdout.isatty() else UNFOLDED)
    with console.capture() as printed:  # rich itself would exit when the reader is gone
        console.print(table)
    print(re.sub(r" +$", "", printed.get(), flags=re.MULTILINE), end="")


class LinePrinter(Generic[Item]):
    """Prints a line for each item as soon as it is known."""

    def __init__(self, line: Callable[[Item], str], *, first: str = "", heading: str = "", nothing: str = "") -> None:
        """`first` is printed at once, `heading` before the first item, `nothing` at the end if there was no item."""
        self._line, self._heading, self._nothing = line, heading, nothing
        if first:
            print(first)

    def print(self, items: Iterable[Item]) -> None:
        """Print and flush the lines of these items."""
        for item in items:
            if self._heading:
                print(self._heading)
            self._heading = self._nothing = ""
            print(self._line(item))
        sys.stdout.flush()

    def finish(self) -> None:
        """Tell a person that there was nothing."""
        if self._nothing:
            print(self._nothing)


def csv_line(values: Iterable[object]) -> str:
    """One row of CSV, without the end of the line."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().removesuffix("\n")


def print_error(error: object) -> None:
    """Print an error on stderr, as the program prints the one that ends it."""
    print(f"sound-monitor: {error}", file=sys.stderr)


def short_path(path: Path) -> str:
    """The path relative to the working directory or to the home directory if it is below one of them."""
    here, home = Path.cwd(), expand_home("~")
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal's stderr that work is in progress; yields a function that changes the text."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(escape(text)) as status:
        yield lambda text: status.update(escape(text))


@contextmanager
def progress_bar(text: str, *columns: ProgressColumn) -> Iterator[Callable[[float, float | None], None]]:
    """Show a bar on a terminal's stderr; yields a function of what is done and of the total, None while unknown.

    `columns` are shown between the bar and the remaining time.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(text, total=None)

        def advance(done: float, total: float | None) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def log_to_stderr(level: str) -> LineOutlet:
    """Send log records to stderr without ever waiting for its reader; returns the outlet, to flush at the end."""
    outlet = LineOutlet(2)
    handler = OutletHandler(outlet)
    service = "JOURNAL_STREAM" in os.environ  # the journal has its own clock
    handler.setFormatter(
        logging.Formatter("%(levelname)s: %(message)s" if service else "%(asctime)s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return outlet
