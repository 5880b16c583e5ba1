"""Tables on stdout, for people and for `grep`."""

import re
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

ENDLESS = 10_000
"""Characters of a line that nothing is cut off from."""


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table, on a terminal folded to its width, elsewhere with each row on one line."""
    table = Table(*headings, box=None, pad_edge=False)
    _print(table, rows)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print what each thing is, a row each, laid out as tables are."""
    table = Table("", "", box=None, pad_edge=False, show_header=False)
    table.columns[0].no_wrap = True
    _print(table, [(Text(thing, "bold"), text) for thing, text in facts])


def _print(table: Table, rows: Sequence[Sequence[str | Text]]) -> None:
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console = Console(width=None if sys.stdout.isatty() else ENDLESS)
    with console.capture() as printed:  # rich itself would end the program when the reader has gone
        console.print(table)
    print(re.sub(r" +$", "", printed.get(), flags=re.MULTILINE), end="")  # noqa: T201
