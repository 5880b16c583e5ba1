"""The display, driven by keys on a virtual terminal."""

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from monitor.errors import BrokerError
from monitor.messages import Message, SourceState
from monitor.tui.app import MonitorApp, Output
from monitor.tui.widgets import Help
from tests.tui.feeds import ListFeed, ended, health, snapshot, source, started

SIZES = [(80, 24), (120, 36), (200, 60)]
EVERYTHING = (
    "a list", "pi", "● kitchen", "● garage", "● Dog", "Speech", "● Glass", "Doorbell", "-31.4  peak  -31.4 dBFS",
    "listening", "kitchen microp", "lag 0.12 s", "overflows 0", "reopened 0", "drops 0+0", "lean-int8 on CPU",
    "load 12%", "18/24 ms", "MQTT connected broker:1883", "q Quit", "p Freeze", "tab 1-9 Source", "? Help",
)  # fmt: skip


def screen(app: MonitorApp) -> list[str]:
    """The lines on the terminal."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


async def until(pilot: Pilot[None], app: MonitorApp, seen: Callable[[str], bool]) -> str:
    """The screen as soon as the condition is true, at most ten seconds later."""
    for _ in range(200):
        if seen("\n".join(screen(app))):
            break
        await pilot.pause(0.05)
    return "\n".join(screen(app))


def display(*messages: Message, failure: Exception | None = None) -> tuple[MonitorApp, ListFeed]:
    """A display and its feed."""
    feed = ListFeed(messages, failure)
    return MonitorApp(feed), feed


@pytest.mark.parametrize("size", SIZES)
async def test_shows_everything_at_every_size(size: tuple[int, int]) -> None:
    """Scores, active sounds, level, events and health fit on small and large terminals."""
    app, _ = display(
        health(source("kitchen"), source("garage")),
        snapshot("kitchen", level=-31.4, Dog=0.87, Speech=0.33),
        ended("1", "Doorbell", source="garage", at=-60, lasted=75),
        started("2", "Glass breaking", peak=0.93),
    )
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, app, lambda text: all(word in text for word in EVERYTHING))
        lines = text.splitlines()
    assert len(lines) == size[1]
    dog, speech = (next(line for line in lines if f" {name} " in line) for name in ("Dog", "Speech"))
    assert "● Dog" in dog
    assert "0.87" in dog
    assert dog.count("█") > 2 * speech.count("█") > 0
    assert any("Doorbell" in line and "garage" in line and "1m 15s" in line and "0.90" in line for line in lines)
    assert any("● Glass" in line and "kitchen" in line and " on " in line and "0.93" in line for line in lines)
    assert [word for word in EVERYTHING if word not in text] == []


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (1, 1), (300, 100)])
async def test_survives_odd_sizes(size: tuple[int, int]) -> None:
    """The display works again after any size of the terminal."""
    app, feed = display(health(source(state=SourceState.DEAF)), snapshot(Dog=0.9), started("1"))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.3)
        feed.send(health(source()))
        await pilot.pause(0.3)
        await pilot.resize_terminal(80, 24)
        assert "Dog" in await until(pilot, app, lambda text: "Dog" in text)


@pytest.mark.parametrize("size", [(60, 14), (60, 30), (120, 14)])
async def test_the_least_size_shows_what_matters(size: tuple[int, int]) -> None:
    """Scores, active sounds and events are there; lines of facts are cut from the right, not wrapped."""
    app, _ = display(health(source("kitchen")), snapshot("kitchen", Dog=0.87), started("2", "Glass", peak=0.93))
    words = ("pi", "● kitchen", "● Dog", "0.87", "● Glass", "0.93", "q Quit")
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, app, lambda text: all(word in text for word in words) and text.count("Glass") == 2)
    assert [word for word in words if word not in text] == []
    assert text.count("Glass") == 2
    if size[1] >= 20:
        assert "listening" in text
        assert "MQTT connected" in text


@pytest.mark.parametrize("size", [(59, 14), (60, 13)])
async def test_below_the_least_size_it_says_so(size: tuple[int, int]) -> None:
    """There are no panels; the title, with its marks, stays."""
    app, _ = display(health(source(state=SourceState.LOST)), started("1"))
    words = ("Needs 60 columns and 14 lines", "LOST")
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, app, lambda text: all(word in text for word in words))
        assert [word for word in words if word not in text] == []
        assert "Dog" not in text
        await pilot.resize_terminal(60, 14)
        assert "Needs" not in await until(pilot, app, lambda text: "Needs" not in text)


async def test_silence_and_scores_of_zero_are_no_rows() -> None:
    """Only what may be a sound has a row; a sound that is on always has."""
    app, feed = display(snapshot(Silence=0.4, Dog=0.3, Cat=0.004))
    async with app.run_test() as pilot:
        text = await until(pilot, app, lambda text: "Dog" in text)
        assert "Silence" not in text
        assert "Cat" not in text
        feed.send(snapshot(Silence=0.4, Cat=0.004))
        assert "All scores are below 0.01" in await until(pilot, app, lambda text: "below" in text)


async def test_an_empty_display_has_texts() -> None:
    """Without messages each panel has a text."""
    app, _ = display()
    async with app.run_test() as pilot:
        words = (
            "Events will appear here",
            "Waiting for the first window",
            "Waiting for the monitor's status",
            "No level yet",
        )
        text = await until(pilot, app, lambda text: all(word in text for word in words))
    assert [word for word in words if word not in text] == []


async def test_an_ended_sound_is_no_longer_active() -> None:
    """An ended sound moves from the active sounds to the events, with its duration."""
    app, feed = display(health(source()), started("1", "Dog"))
    async with app.run_test() as pilot:
        await until(pilot, app, lambda text: text.count("● Dog") == 2)
        feed.send(ended("1", "Dog", lasted=12.0))
        text = await until(pilot, app, lambda text: "All quiet" in text)
    assert "● Dog" not in text
    assert "12 s" in text


async def test_hidden_active_sounds_are_counted() -> None:
    """The panel says how many active sounds do not fit."""
    app, _ = display(*(started(f"{n}", f"Sound{n}", at=n) for n in range(9)))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, app, lambda text: "more" in text)
    assert "and 6 more" in text


async def test_sources_are_chosen_by_number_and_tab() -> None:
    """Number keys and tab change the source of scores, level and status."""
    app, _ = display(
        health(source("kitchen"), source("garage"), source("attic")),
        snapshot("kitchen", Dog=0.4),
        snapshot("garage", level=-22.2, Drill=0.4),
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, app, lambda text: "Dog" in text)
        await pilot.press("2")
        text = await until(pilot, app, lambda text: "Drill" in text)
        assert "Dog" not in text
        assert "-22.2" in text
        assert "garage microphone" in text
        await pilot.press("tab", "tab")
        assert "Dog" in await until(pilot, app, lambda text: "Dog" in text)
        await pilot.press("shift+tab", "9")
        text = await until(pilot, app, lambda text: "attic microphone" in text)
        assert "▸3 ● attic" in text


async def test_a_deaf_source_has_a_banner() -> None:
    """A banner names the source and the reason, for any chosen source, until the source recovers."""
    deaf = source("garage", SourceState.DEAF, "only digital silence")
    app, feed = display(health(source("kitchen"), deaf), snapshot("kitchen", Dog=0.3))
    async with app.run_test() as pilot:
        text = await until(pilot, app, lambda text: "DEAF  garage" in text)
        assert "▲ DEAF  garage: only digital silence" in text
        await pilot.press("2")
        text = await until(pilot, app, lambda text: text.count("only digital silence") == 2)
        assert text.count("DEAF  garage: only digital silence") == 2
        feed.send(health(source("kitchen"), source("garage")))
        assert "DEAF" not in await until(pilot, app, lambda text: "DEAF" not in text)


async def test_a_silent_monitor_has_a_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A banner appears if the feed has no messages, until the next one."""
    monkeypatch.setattr("monitor.tui.truth.SILENT_FEED", 0.5)
    app, feed = display(health(source()))
    async with app.run_test() as pilot:
        assert "NO MESSAGES from the monitor" in await until(pilot, app, lambda text: "NO MESSAGES from" in text)
        feed.send(health(source()))
        assert "NO MESSAGES" not in await until(pilot, app, lambda text: "NO MESSAGES" not in text)


async def test_freeze_misses_no_messages() -> None:
    """Messages during a freeze appear afterwards; the source can be changed meanwhile."""
    app, feed = display(health(source("kitchen"), source("garage")), snapshot(Dog=0.3), snapshot("garage", Drill=0.3))
    async with app.run_test() as pilot:
        await until(pilot, app, lambda text: "Dog" in text)
        await pilot.press("p")
        feed.send(snapshot(Cat=0.3))
        feed.send(started("1", "Knock"))
        await pilot.pause(0.5)
        text = "\n".join(screen(app))
        assert "FROZEN" in text
        assert "Dog" in text
        assert "Knock" not in text
        await pilot.press("2")
        assert "Drill" in await until(pilot, app, lambda text: "Drill" in text)
        await pilot.press("1", "p")
        text = await until(pilot, app, lambda text: "Cat" in text)
        assert "FROZEN" not in text
        assert "Knock" in text


async def test_the_event_list_scrolls_and_stays_in_place() -> None:
    """New events do not move a scrolled list."""
    app, feed = display(*(ended(f"{n:02}", f"Sound{n:02}", at=n) for n in range(40)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, app, lambda text: "Sound39" in text and app.event_list.allow_vertical_scroll)
        await pilot.press("down")
        await until(pilot, app, lambda text: "Sound39" not in text)
        await pilot.press("down")
        text = await until(pilot, app, lambda text: "Sound38" not in text)
        assert "Sound37" in text
        feed.send(ended("99", "Knock", at=99))
        await pilot.pause(0.5)
        text = "\n".join(screen(app))
        assert "Knock" not in text
        assert "Sound37" in text
        assert "Sound38" not in text
        await pilot.press("home")
        assert "Knock" in await until(pilot, app, lambda text: "Knock" in text)


async def test_help_opens_and_closes() -> None:
    """The display updates below the help page."""
    app, feed = display(snapshot(Dog=0.3))
    async with app.run_test() as pilot:
        await pilot.press("question_mark")
        assert "choose a source" in await until(pilot, app, lambda text: "choose" in text)
        feed.send(snapshot(Cat=0.3))
        await pilot.press("question_mark")
        assert "Cat" in await until(pilot, app, lambda text: "Cat" in text)
        assert not isinstance(app.screen, Help)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quits(key: str) -> None:
    """Each key quits, also from the help page."""
    app, _ = display()
    async with app.run_test() as pilot:
        await pilot.press("question_mark", key)
        await pilot.pause()
        assert not app.is_running
    assert app.failure is None


async def test_ends_with_its_feed() -> None:
    """The display exits when its feed ends."""
    app, feed = display()
    async with app.run_test() as pilot:
        feed.close()
        await until(pilot, app, lambda _: not app.is_running)
        assert not app.is_running
    assert app.failure is None


async def test_a_failure_of_the_feed_is_kept() -> None:
    """The display exits, and its caller gets the exception."""
    app, feed = display(failure=BrokerError("gone"))
    async with app.run_test() as pilot:
        feed.close()
        await until(pilot, app, lambda _: not app.is_running)
    assert str(app.failure) == "gone"


async def test_a_stalled_terminal_is_not_drawn() -> None:
    """A stalled terminal gets no output, and the newest state afterwards."""
    state = Output.STALLED
    feed = ListFeed([snapshot(Dog=0.3)])
    app = MonitorApp(feed, lambda: state)
    async with app.run_test() as pilot:
        await pilot.pause(0.5)
        assert "Dog" not in "\n".join(screen(app))
        state = Output.READY
        assert "Dog" in await until(pilot, app, lambda text: "Dog" in text)
