"""The documentation is true: links resolve, commands parse, configurations load, tables are complete."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
import yaml

from monitor.classify.card import REQUIRED
from monitor.classify.foreign_card import ForeignCard
from monitor.classify.open import open_model
from monitor.commands import command_line
from monitor.config.load import parse_config, parse_section
from monitor.config.schema import DEFAULT_RULES, Config, RuleConfig, Section
from monitor.detect.rules import PRESETS, resolve
from monitor.messages import DetectionAttributes, ProblemAttributes
from monitor.mqtt.announcement import Device, components
from monitor.mqtt.control import controls
from monitor.mqtt.topics import Topics
from monitor.zoo.catalogue import CHECKPOINTS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "systemd/*.md", "models/*.md", "monitor/**/*.md")
    for page in ROOT.glob(pattern)
)
GUIDES = [page for page in PAGES if page.parent == ROOT or page.parent.name in {"docs", "systemd"}]

PROGRAMS = {"sound-monitor", ".venv/bin/sound-monitor", "/opt/sound-monitor/.venv/bin/sound-monitor"}
OTHERS = re.compile(
    r"""(\.venv/bin/)?(pip|python|python3|codespell|ruff|lint-imports|mypy|pytest|pre-commit)
    | cd | cp | sed | git | install | rm | sudoedit | apt-get | pipx | uv | arecord | mosquitto_(pub|sub)
    | systemctl | systemd-(sysusers|tmpfiles) | userdel""",
    re.VERBOSE,
)
SECTIONS = set(Config.__struct_fields__)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks(language: str, pages: list[Path]) -> list[Block]:
    """All blocks of a language."""
    return [
        Block(str(page.relative_to(ROOT)), language, text)
        for page in pages
        for text in re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    ]


def without_code(text: str) -> str:
    """A page's prose: no blocks, no code in a line."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The page's headings as links name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """Each link to a file of the repository names one that exists, and each anchor a heading of it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.is_relative_to(ROOT) or not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_spans_exist(page: Path) -> None:
    """Each path and each module of the repository that a page names is there, also when it is no link."""
    paths = re.findall(r"`((?:\.github|docs|models|monitor|script|systemd|tests)/[\w./-]*)`", page.read_text())
    modules = re.findall(r"python -m ((?:models|monitor|tests)\.[\w.]+\b)", page.read_text())
    paths += [f"{module.replace('.', '/')}.py" for module in modules]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def commands() -> Iterator[tuple[str, list[str]]]:
    """The page and the words of each command: in blocks of shell commands, and of `sound-monitor` in prose too."""
    for block in blocks("sh", GUIDES):
        text = re.sub(r"\"\n.*?\n\"", '""', block.text.replace("\\\n", " "), flags=re.DOTALL)
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("|") if "|" in words else len(words)
                yield block.page, words[:end]
                words = words[end + 1 :]
    for page in GUIDES:
        for span in re.findall(r"`(sound-monitor [^`…]*)`", page.read_text()):
            yield str(page.relative_to(ROOT)), shlex.split(span)


def plain(words: list[str]) -> list[str]:
    """The words of a command without sudo and without the redirection of its output."""
    words = words[1:] if words[0] == "sudo" else words
    end = next((at for at, word in enumerate(words) if word.startswith(">")), len(words))
    return words[:end]


@pytest.mark.parametrize(
    ("page", "words"), list(commands()), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_commands_are_ones_that_exist(page: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line of `sound-monitor` parses, one of `script/` names a script, and any other starts with a known program."""
    program, *arguments = plain(words)
    if program.removeprefix("/opt/sound-monitor/").startswith("script/"):
        script = program.removeprefix("/opt/sound-monitor/")
        assert (ROOT / script).is_file()
        program, arguments = ("sound-monitor", ["run", *arguments]) if script == "script/run" else (program, arguments)
    elif program not in PROGRAMS:
        assert OTHERS.fullmatch(program), f"{page}: {program}"
    if program in PROGRAMS:
        assert parses(arguments), capsys.readouterr().err


def parses(arguments: list[str]) -> bool:
    """Whether the command line accepts these; `--help` and `--version` exit with 0."""
    try:
        command_line().parse_args(arguments)
    except SystemExit as ended:
        return ended.code == 0
    return True


def top_keys(block: Block) -> set[str]:
    """The keys at the top of a YAML block."""
    document = yaml.safe_load(block.text)
    return set(document) if isinstance(document, dict) else set()


YAML = blocks("yaml", GUIDES)
CONFIGURATIONS = [block for block in YAML if top_keys(block) <= SECTIONS]
AUTOMATIONS = [block for block in YAML if "triggers" in top_keys(block)]
CARDS = [block for block in YAML if "sample_rate" in top_keys(block)]


def test_yaml_blocks_are_of_a_known_kind() -> None:
    """Each is a configuration, an automation of Home Assistant, or a model's card."""
    assert [block for block in YAML if block not in CONFIGURATIONS + AUTOMATIONS + CARDS] == []


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_configuration_examples_load(block: Block) -> None:
    """The program accepts each example, and the rules of those for the bundled model can fire."""
    config = parse_config(block.text)
    if not config.model.prompts:
        card = open_model(config.model).card
        assert resolve(config.detection, card.labels, card.window / card.sample_rate, config.model.hop)


@pytest.mark.parametrize("block", CARDS, ids=str)
def test_example_cards_of_models_load(block: Block) -> None:
    """The program accepts the card of a foreign model."""
    assert parse_section(ForeignCard, block.text, "card.yaml").name


def rows(page: str) -> dict[str, str]:
    """First and second cell of the table rows of a page, by the name of the heading above and the first cell."""
    found: dict[str, str] = {}
    for heading, text in re.findall(
        r"^#+ (.*?)\n(.*?)(?=^#+ |\Z)", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    ):
        for names, second in re.findall(r"^\| (`[^|]*?) \| (.*?) \|", text, re.MULTILINE):
            found |= {f"{heading}.{name}": second for name in re.findall(r"`(.*?)`", names)}
    return found


def section_in(hint: Any) -> type[Section] | None:
    """The section that a key holds, alone or in a list."""
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def keys() -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """The heading of each section in the page, and each key below it, those of nested sections included."""
    sections: dict[str, type[Section]] = {"Top level": Config, "rules": RuleConfig}
    sections |= {name: section for name, hint in get_type_hints(Config).items() if (section := section_in(hint))}
    for heading, section in sections.items():
        for field in msgspec.structs.fields(section):
            yield heading, field
            inner = section_in(field.type)
            if inner is not None and heading not in {"Top level", "detection"}:
                yield from ((heading, each) for each in msgspec.structs.fields(inner))


@pytest.mark.parametrize(
    ("heading", "field"), list(keys()), ids=lambda value: value if isinstance(value, str) else value.name
)
def test_every_key_is_documented_with_its_default(heading: str, field: msgspec.structs.FieldInfo) -> None:
    """`docs/configuration.md` has a row for each key of the schema; a plain default in it is the schema's."""
    shown = rows("docs/configuration.md")[f"{heading}.{field.encode_name}"]
    assert (shown == "required") == field.required
    if isinstance(field.default, (bool, int, float, str)):
        assert shown == f"`{field.default}`".replace("True", "true").replace("False", "false")


def test_the_table_of_presets_is_the_code_s() -> None:
    """Each preset's values in `docs/configuration.md` are the ones that rules get."""
    names = ("on", "off", "strong", "smoothing", "votes", "min_duration", "hold", "cooldown")
    page = (ROOT / "docs/configuration.md").read_text()
    for preset, defaults in PRESETS.items():
        [cells] = re.findall(rf"^\| `{preset}` \| [^|]* \| (.*) \|$", page, re.MULTILINE)
        assert cells.split(" | ") == [str(getattr(defaults, name)) for name in names]


def test_the_readme_names_the_default_rules() -> None:
    """All of them, in order, and no other."""
    [names] = re.findall(r"^By default: \*\*(.*?)\*\*", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert " ".join(names.split()).split(", ") == [rule.label for rule in DEFAULT_RULES]


def test_the_readme_s_rules_are_default_rules() -> None:
    """Each rule to copy is a default rule, but for another threshold."""
    blocks = [
        parse_config(block.text) for block in CONFIGURATIONS if block.page == "README.md" and "rules:" in block.text
    ]
    rules = [msgspec.structs.replace(rule, on=None) for config in blocks for rule in config.detection.rules]
    assert [rule.label for rule in rules if rule not in DEFAULT_RULES] == []
    assert rules != []


def test_the_model_format_is_complete() -> None:
    """`docs/models.md` lists each key that a model file must have, and each that a foreign card may have."""
    listed = rows("docs/models.md")
    assert {key for key in REQUIRED if not listed[f"The model file, format 1.{key}"].startswith("yes")} == set()
    nested = {"input": "InputSpec", "output": "OutputSpec"}
    for field in msgspec.structs.fields(ForeignCard):
        if field.name not in nested:
            assert f"A model of another project.{field.name}" in listed
        else:
            inner: Any = field.type
            for each in msgspec.structs.fields(inner):
                assert f"A model of another project.{field.name}.{each.name}" in listed


def test_every_published_model_is_listed() -> None:
    """The table in `docs/models.md` has each name of `models pull`, with its family and the licence of the weights."""
    page = (ROOT / "docs/models.md").read_text()
    for checkpoint in CHECKPOINTS.values():
        start, end = f"| `{checkpoint.name}` | `{checkpoint.family}` |", f"| {checkpoint.licence} |"
        assert [line for line in page.splitlines() if line.startswith(start) and line.endswith(end)] != []


def test_home_assistant_s_entities_exist() -> None:
    """`docs/home-assistant.md` names only entities and attributes that its example configuration has."""
    page = (ROOT / "docs/home-assistant.md").read_text()
    topics = Topics("sound-monitor", "hallway")
    sounds = {rule.label: rule.classes for rule in DEFAULT_RULES}
    device = Device(topics, ["mic"], sounds, controls(topics, list(sounds), ["default", "night"]))
    entities = {entity["default_entity_id"] for entity in components(device).values()}
    assert set(re.findall(r"\b\w+\.hallway_\w+", page)) - entities == set()
    fields = {"problem": ProblemAttributes.__struct_fields__, "smoke_alarm": DetectionAttributes.__struct_fields__}
    read = re.findall(r"state_attr\('binary_sensor\.hallway_mic_(\w+)', '(\w+)'\)", page)
    assert [(sound, name) for sound, name in read if name not in fields[sound]] == []
    assert read != []


def test_the_architecture_lists_every_part() -> None:
    """Each module and folder directly in `monitor/` has a row, and no row is of one that is gone."""
    listed = {key.removeprefix("Layout.").rstrip("/") for key in rows("docs/architecture.md")}
    there = {
        path.name for path in (ROOT / "monitor").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__.py"} - listed == set()
    assert {name for name in listed if name.endswith(".py")} - there == set()


def test_the_architecture_has_the_layers_of_the_import_contract() -> None:
    """The list in `docs/architecture.md` is that of `pyproject.toml`."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    listed = re.findall(r"^\d+\. (`.*`)$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", line)) for line in listed] == [set(re.findall(r"\w+", line)) for line in layers]
