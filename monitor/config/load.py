"""Read the configuration and other YAML files: text in, a checked section out, or an error with file, line and key."""

import re
import reprlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
import yaml

from monitor.config.schema import LABEL, NAME, TOPIC, Config, Section
from monitor.errors import ConfigError, suggestion

LIMIT = 128 * 1024
"""Bytes; a longer file is no configuration, but for example a recording."""

NULL, TEXT, LIST, SECTION = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "str", "seq", "map"))

WORDS = {
    f"str` matching regex {NAME!r}": "letters, digits, - and _ only",
    f"str` matching regex {LABEL!r}": "a name without control characters",
    f"str` matching regex {TOPIC!r}": "a topic without + and #, and no / at its ends",
    "str | array`": "text or a list",
    "float`": "a number",
    "int`": "a whole number",
    "bool`": "true or false",
    "str`": "text",
    "array`": "a list",
    "object`": "keys with values",
    "null`": "nothing",
}
"""Plain words for the types in msgspec's messages."""


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that a configuration cannot contain."""


class _Loader(yaml.SafeLoader):
    """Reads every scalar as text, which the key's type converts: a password of digits keeps its zeros, and `on` and
    `no` are words. Refuses aliases, because nested ones grow without bound, and duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way
    yaml_constructors = {  # noqa: RUF012
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in (NULL, TEXT, LIST, SECTION, None)
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _refusal("an alias (*name) is not supported here; write out what it stands for", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _refusal("expected keys with values", node.start_mark)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != TEXT:
                raise _refusal("a key must be a word", key.start_mark)
            if key.value in seen:
                raise _refusal(f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def refuse_tag(self, node: yaml.Node) -> None:
        """Refuse a tag such as Home Assistant's `!secret`."""
        advice = "use password_file for the broker's password, or write the value itself"
        raise _refusal(f"{node.tag!r} is not supported here; {advice}", node.start_mark)


_Loader.add_constructor(None, _Loader.refuse_tag)
_Loader.add_implicit_resolver(NULL, re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


SomeSection = TypeVar("SomeSection", bound=Section)


def load_config(path: str) -> Config:
    """Read and check a configuration file; `-` is stdin. Raises `ConfigError`."""
    return load_section(Config, path)


def load_section(kind: type[SomeSection], path: str) -> SomeSection:
    """Read and check a file that holds a section of this kind; `-` is stdin. Raises `ConfigError`."""
    origin = "stdin" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(LIMIT + 1) if sys.stdin else b""
        else:
            with Path(path).open("rb") as file:
                data = file.read(LIMIT + 1)
        text = data.decode()
    except OSError as error:
        raise ConfigError(f"cannot read configuration {origin}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{origin}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    if len(data) > LIMIT:
        raise ConfigError(f"{origin}: longer than {LIMIT // 1024} KiB; is this a configuration file?")
    return parse_section(kind, text, origin)


def parse_config(text: str, origin: str = "config.yaml") -> Config:
    """Convert YAML text to a `Config`; `origin` names the text in errors. Raises `ConfigError`."""
    return parse_section(Config, text, origin)


def parse_section(kind: type[SomeSection], text: str, origin: str) -> SomeSection:
    """Convert YAML text to a section of this kind; `origin` names the text in errors. Raises `ConfigError`."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        what = "" if isinstance(error, _RefusedError) else "invalid YAML: "
        raise ConfigError(f"{origin}{line}: {what}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: invalid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ConfigError(f"{origin}: nested too deeply") from error
    try:
        return msgspec.convert(_without_blanks({} if data is None else data, kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), origin, root, kind)) from error


def _without_blanks(data: Any, section: type[Section] | None) -> Any:
    """Leave out known keys without a value, so that they have their default."""
    if isinstance(data, list):
        return [_without_blanks(item, section) for item in data]
    if not isinstance(data, dict) or section is None:
        return data
    known = section.__struct_fields__
    return {
        key: _without_blanks(value, _section_below(section, key) if key in known else None)
        for key, value in data.items()
        if value is not None or key not in known
    }


def _section_below(section: type[Section], key: str) -> type[Section] | None:
    """The kind of section that a key holds, alone or in a list; None if it holds a plain value."""
    hint = get_type_hints(section)[key]
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def _explain(problem: str, origin: str, root: yaml.Node | None, kind: type[Section]) -> str:
    """Rewrite msgspec's message as `file:line: key: what was expected`."""
    what, *where = re.split(r" - at `(?:key` in `)?\$", problem, maxsplit=1)
    path = [part for part in re.split(r"[.\[\]]+", "".join(where).rstrip("`")) if part]
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    if unknown:
        path.append(unknown[1])
    line, node = _find(root, path)
    if unknown:
        what = f"unknown key; {_place(kind, path) or suggestion(unknown[1], _known(_section_at(kind, path[:-1])))}"
    elif what.startswith("Invalid enum value"):
        field = next(part for part in reversed(path) if not part.isdigit())
        choices = _choices(get_type_hints(_section_at(kind, path))[field])
        what = f"expected one of {', '.join(choices)}{_not(node)}"
    elif what.startswith("Expected"):
        what = _in_words(what) + _not(node) + _as_item(kind, path, node)
    else:
        what = what.replace("`", "").replace("Object missing required field", "missing key")
    return f"{origin}{f':{line}' if line else ''}: {'.'.join(path) or 'top level'}: {what}"


def _in_words(what: str) -> str:
    what = re.sub(r", got .*", "", what).replace(" | null`", "`").replace("Expected `", "expected ")
    for term, word in WORDS.items():
        what = what.replace(term, word)
    return what


def _not(node: yaml.Node | None) -> str:
    return f", not {reprlib.repr(node.value)}" if isinstance(node, yaml.ScalarNode) else ""


def _known(section: type[Section]) -> list[str]:
    return sorted(section.__struct_fields__)


def _place(kind: type[Section], path: list[str]) -> str:
    """Where a key at the wrong place belongs, if another section knows it."""
    places = [place for place, section in _sections(kind) if path[-1] in section.__struct_fields__]
    below = "indent it under" if len(path) == 1 else "it belongs under"
    return f"{below} {' or '.join(places)}" if places else ""


def _sections(kind: type[Section], above: str = "") -> Iterator[tuple[str, type[Section]]]:
    """The path and the kind of each section in a section, without those in lists."""
    for name, hint in get_type_hints(kind).items():
        if isinstance(hint, type) and issubclass(hint, Section):
            yield above + name, hint
            yield from _sections(hint, f"{above}{name}.")


def _as_item(kind: type[Section], path: list[str], node: yaml.Node | None) -> str:
    """How to write a plain value as the item of a list of sections, such as `- input: mic`."""
    if not path or not path[-1].isdigit() or not isinstance(node, yaml.ScalarNode):
        return ""
    section = _section_at(kind, path)
    required = [field.name for field in msgspec.structs.fields(section) if field.required]
    return f"; write `- {required[0]}: {node.value}`" if required and "\n" not in node.value else ""


def _choices(hint: Any) -> list[str]:
    """The values of all `Literal`s in a type."""
    return [word for part in get_args(hint) for word in ([part] if isinstance(part, str) else _choices(part))]


def _section_at(section: type[Section], path: list[str]) -> type[Section]:
    """The innermost kind of section on this path."""
    for part in path:
        if not part.isdigit():
            section = _section_below(section, part) or section
    return section


def _find(node: yaml.Node | None, path: list[str]) -> tuple[int | None, yaml.Node | None]:
    """The line, from 1, and the node at this path; those of the last part that exists."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return line, None
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line, node


def _refusal(problem: str, place: Any) -> _RefusedError:
    return _RefusedError(problem=problem, problem_mark=place)
