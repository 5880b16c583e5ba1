"""`models pull` and `models export`, from a web server on this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.commands.models import export, pull
from monitor.zoo import catalogue
from monitor.zoo.catalogue import CHECKPOINTS, FAMILIES, Checkpoint
from monitor.zoo.make import BuildPlan
from tests.commands.models.conftest import Command
from tests.parts.small_ced import SECOND, write_small_ced
from tests.parts.web import Site, serving


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Publishes a model called small, and one called wrong whose digest does not match."""
    content = write_small_ced(tmp_path / "published.pth").read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    with serving(Site({"/small.pth": content, "/wrong.pth": content, "/words.json": b"{}"})) as site:
        entries = [
            Checkpoint(
                name=name,
                family="ced",
                address=f"{site.address}/{name}.pth",
                file=f"{name}.pth",
                licence="CC0-1.0",
                source="the tests",
                beside=(f"{site.address}/words.json",),
                digest=f"md5:{digest if name == 'small' else 32 * '0'}",
            )
            for name in ("small", "wrong", "gone")
        ]
        monkeypatch.setattr(catalogue, "CHECKPOINTS", {entry.name: entry for entry in entries})
        yield site


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[BuildPlan, Path]]:
    """The models that would be made, with their checkpoints; making them takes too long here."""
    made: list[tuple[BuildPlan, Path]] = []
    for module in (pull, export):
        monkeypatch.setattr(module, "build_and_print", lambda plan, checkpoint: made.append((plan, checkpoint)))
    return made


def test_a_published_model_is_pulled(
    command: Command, site: Site, plans: list[tuple[BuildPlan, Path]], models: Path, tmp_path: Path
) -> None:
    """A model is downloaded over a connection that breaks, once, and made under its publisher's licence."""
    site.limit = 100_000
    assert command("pull", "small", "--window", "1").code == 0
    assert site.ranges == [None, None, "bytes=100000-"]
    [(plan, checkpoint)] = plans
    assert (plan.target, plan.spec.window, plan.spec.licence) == (models / "small.onnx", SECOND, "CC0-1.0")
    assert checkpoint.with_name("words.json").read_bytes() == b"{}"
    assert checkpoint.read_bytes() == (tmp_path / "published.pth").read_bytes()
    site.files.clear()
    assert command("pull", "small").code == 0
    assert plans[1][1] == checkpoint


def test_export_takes_what_was_pulled(
    command: Command, site: Site, plans: list[tuple[BuildPlan, Path]], models: Path
) -> None:
    """A pulled checkpoint is exported with another window and name; without it the error says how to get it."""
    done = command("export", "small", "--window", "1", "--name", "short")
    assert done.code == 65
    assert "small.pth does not exist: download it with `sound-monitor models pull small`" in done.err
    command("pull", "small")
    assert command("export", "small", "--window", "1", "--name", "short").code == 0
    (pulled, checkpoint), (exported, same) = plans
    assert same == checkpoint
    assert (exported.spec.window, exported.target) == (SECOND, models / "short.onnx")
    assert exported.spec.licence == pulled.spec.licence


def test_a_file_other_than_the_published_one_is_refused(command: Command, site: Site, tmp_path: Path) -> None:
    """The download is refused and removed."""
    done = command("pull", "wrong")
    assert done.code == 65
    assert ": not the published file: its md5 is " in done.err
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["words.json"]


def test_an_alternative_is_offered_for_a_missing_file(command: Command, site: Site) -> None:
    """For a missing file the error suggests importing a copy."""
    done = command("pull", "gone")
    assert done.code == 69
    assert "the server answered 404 Not Found" in done.err
    assert "sound-monitor models import FILE --family ced --name gone" in done.err


def test_an_unknown_name(command: Command, site: Site) -> None:
    """The nearest name is suggested before anything is downloaded."""
    done = command("pull", "small", "wrnog")
    assert (done.code, done.err) == (
        2,
        "sound-monitor: unknown published model 'wrnog'; did you mean 'wrong'?\n",
    )
    assert site.ranges == []


def test_published_models_are_listed(command: Command) -> None:
    """Without a name all checkpoints are listed; each belongs to a known family."""
    done = command("pull")
    assert [line.split()[0] for line in done.out.splitlines()] == ["name", *CHECKPOINTS]
    assert {checkpoint.family for checkpoint in CHECKPOINTS.values()} == set(FAMILIES)
