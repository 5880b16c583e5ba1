"""Keeps docs/mqtt.md up to date: `python -m tests.mqtt.reference` regenerates its tables from the code.

Only the text between `<!-- NAME -->` and `<!-- end -->` is generated; the rest is written by hand.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

from monitor import messages
from monitor.config.schema import DEFAULT_RULES
from monitor.mqtt.announcement import Device, components
from monitor.mqtt.control import Role, controls
from monitor.mqtt.outbox import FRESH
from monitor.mqtt.topics import ANY_SOUND, OFF, OFFLINE, ON, ONLINE, PROBLEM, Topics

PAGE = Path(__file__).parents[2] / "docs" / "mqtt.md"

TOPICS = Topics("sound-monitor", "<node>")
EXAMPLE = Device(
    topics := Topics("sound-monitor", "hallway"),
    ("mic",),
    {**{rule.label: rule.classes for rule in DEFAULT_RULES}, "Washing machine": ("Beep, bleep",)},
    controls(topics, [], ["default", "night"]),
)
"""The monitor that the page's automations are written for."""

PAYLOADS = {
    Role.PAUSE: "`ON` or `OFF`",
    Role.PROFILE: "the name of a profile",
    Role.ENABLED: "`ON` or `OFF`",
    Role.THRESHOLD: "a number from 0 to 1",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table of topics."""

    topic: str
    payload: type[msgspec.Struct] | str
    """The type that is encoded as JSON, or a description of the payload."""
    retained: bool
    note: str


def entries() -> tuple[Entry, ...]:
    """Every topic that the monitor publishes, without the settings."""
    source, sound, either = "<source>", "<sound>", "{} or {}"
    online = either.format(*(f"`{word.decode()}`" for word in (ONLINE, OFFLINE)))
    on_or_off = either.format(*(f"`{word.decode()}`" for word in (ON, OFF)))
    once = f"Never more than {FRESH:g} s late: an event that cannot be published at once is dropped."
    return (
        Entry(TOPICS.availability, online, True, "The broker publishes `offline` if the monitor dies."),
        Entry(TOPICS.health, messages.Health, True, "Every few seconds."),
        Entry(TOPICS.log, messages.LoggedDetection, False, "Each start and each end, at least once, in order."),
        Entry(TOPICS.source_availability(source), online, True, ""),
        Entry(TOPICS.event(source), messages.DetectionEvent, False, once),
        Entry(TOPICS.live(source), messages.Snapshot, False, "At most one each `mqtt.live_interval`; QoS 0."),
        Entry(TOPICS.level(source), "a number, dBFS", True, "On each change, if `mqtt.level` is set."),
        Entry(TOPICS.state(source, sound), on_or_off, True, ""),
        Entry(TOPICS.attributes(source, sound), messages.DetectionAttributes, True, ""),
        Entry(TOPICS.state(source, ANY_SOUND), on_or_off, True, "Whether any sound is heard."),
        Entry(TOPICS.attributes(source, ANY_SOUND), messages.DetectionAttributes, True, ""),
        Entry(TOPICS.state(source, PROBLEM), on_or_off, True, "`ON` while the source is deaf, lost or stalled."),
        Entry(TOPICS.attributes(source, PROBLEM), messages.ProblemAttributes, True, ""),
    )


def topics_table() -> Iterator[str]:
    """The table of topics."""
    meanings = _meanings()
    for entry in entries():
        payload = entry.payload if isinstance(entry.payload, str) else _link(entry.payload)
        note = " ".join(filter(None, (meanings.get(entry.topic, ""), entry.note)))
        yield _row(f"`{entry.topic}`", payload, "yes" if entry.retained else "no", note)


def payloads_list() -> Iterator[str]:
    """Each payload type, with a table of its fields."""
    for kind in _types(entry.payload for entry in entries()):
        yield f"### {kind.__name__}\n\n{inspect.getdoc(kind)}\n\n| Field | JSON | Meaning |\n|---|---|---|"
        docs = {name: text for base in reversed(kind.__mro__) for name, text in _docs(base).items()}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield _row(f"`{name}`", _json_type(hint), docs.get(name, ""))
        yield ""


def commands_table() -> Iterator[str]:
    """The table of commands."""
    roles = _docs(Role)
    for control in controls(TOPICS, ["sound"], ["one", "two"]):
        command, state = (
            topic.replace("/sound/", "/<sound>/") for topic in (control.command_topic, control.state_topic)
        )
        yield _row(f"`{command}`", f"`{state}`", PAYLOADS[control.role], roles[control.role.name])


def entities_table() -> Iterator[str]:
    """The table of the example's entities in Home Assistant."""
    for entity in components(EXAMPLE).values():
        yield _row(f"`{entity['default_entity_id']}`", str(entity["name"]), f"`{entity['state_topic']}`")


def render(page: str) -> str:
    """The page with its generated parts replaced."""
    made = {
        "topics": ("| Topic | Payload | Retained | Meaning |", "|---|---|---|---|", *topics_table()),
        "payloads": tuple(payloads_list()),
        "commands": ("| Command | State, retained | Payload | Meaning |", "|---|---|---|---|", *commands_table()),
        "entities": ("| Entity | Name | Topic |", "|---|---|---|", *entities_table()),
    }
    for name, lines in made.items():
        before, begin, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        text = "\n".join(lines).strip()
        page = f"{before}{begin}\n{text}\n\n{end}{after}"
    return page


def _meanings() -> dict[str, str]:
    """The docstring of each topic, from `Topics`."""
    found = {}
    for name, member in vars(Topics).items():
        if isinstance(member, property):
            found[str(getattr(TOPICS, name))] = inspect.getdoc(member) or ""
        elif inspect.isfunction(member) and not name.startswith("_"):
            arguments = [f"<{argument}>" for argument in list(inspect.signature(member).parameters)[1:]]
            found[member(TOPICS, *arguments)] = inspect.getdoc(member) or ""
    return found


def _docs(kind: type) -> dict[str, str]:
    """The string below each field of a class, or each value of an enumeration."""
    if not kind.__module__.startswith("monitor."):
        return {}
    [tree] = ast.parse(inspect.getsource(kind)).body
    found, name = {}, ""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
    return found


def _types(payloads: Iterable[object]) -> Sequence[type[msgspec.Struct]]:
    """These types and those of their fields, each once."""
    found: dict[type[msgspec.Struct], None] = {}
    waiting = list(payloads)
    while waiting:
        kind = waiting.pop(0)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found[kind] = None
            waiting += get_type_hints(kind).values()
        waiting += [part for part in get_args(kind) if part not in found]
    return list(found)


def _json_type(hint: object) -> str:
    """The type of a field in JSON."""
    names = {str: "string", float: "number", int: "integer", bool: "`true` or `false`", type(None): "`null`"}
    if hint == messages.Utc:
        return "time, ISO 8601, UTC"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return ", ".join(f"`{value.value}`" for value in hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _link(hint)
    if get_origin(hint) is tuple:
        return f"list of {_json_type(get_args(hint)[0])}"
    if get_origin(hint) is Annotated or hint not in names:
        return " or ".join(_json_type(part) for part in get_args(hint))
    return names[hint]


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
