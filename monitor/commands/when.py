"""Moments, as a person writes them on the command line."""

import re
from datetime import date, datetime, time, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = "2h, 3d, today, yesterday, 2026-05-17 or 2026-05-17T08:30"


def parse_when(text: str, now: datetime) -> datetime:
    """The moment that `text` means at `now`, which carries this machine's zone. Raises `ValueError`.

    A number with s, m, h, d or w is so long ago; a day is its first moment; a time without a zone is local.
    """
    try:
        if match := re.fullmatch(r"(\d+)([smhdw])", text):
            return now - timedelta(**{UNITS[match[2]]: int(match[1])})
        if text == "today":
            return _midnight(now.date())
        if text == "yesterday":
            return _midnight(now.date() - timedelta(days=1))
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; write it like {FORMS}") from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()
