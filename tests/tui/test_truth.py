"""What the display claims: silence only if it is known."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from monitor.messages import BrokerState, Health, Link, LinkState, Message, SourceState
from monitor.tui.app import MonitorApp
from monitor.tui.truth import QUIET, SILENT_FEED, Claim, claim, troubles
from tests.tui.feeds import NOON, ListFeed, after, health, reduced, snapshot, source
from tests.tui.test_app import until

SILENCE = re.compile("quiet|silen|nothing|no sound|calm|clear", re.IGNORECASE)
"""A claim that there is no sound."""
ATTACHED = Link(LinkState.ATTACHED, NOON)
FINE = health(source("kitchen"), source("garage"))


def one(changed: SourceState | None = None, **changes: object) -> Health:
    """The health of two sources, of which the second differs."""
    garage = source("garage", changed or SourceState.LISTENING, "a reason" if changed else "")
    return health(source("kitchen"), replace(garage, **changes))


UNKNOWN: dict[str, tuple[Sequence[Message | Link], str, str]] = {
    "no message yet": ([], "Waiting for the monitor's status", "WAITING"),
    "no status yet": ([snapshot()], "Waiting for the monitor's status", "WAITING"),
    "attaching": ([ATTACHED], "Waiting for the monitor's status", "WAITING"),
    "attached, status of old": ([ATTACHED, FINE], "Waiting for the monitor's status", "WAITING"),
    "no monitor": ([Link(LinkState.WAITING, NOON)], "Unknown since", "NO MONITOR"),
    "offline at first": ([Link(LinkState.OFFLINE, None)], "Unknown: the monitor is offline", "OFFLINE"),
    "offline": ([ATTACHED, FINE, Link(LinkState.OFFLINE, NOON)], "the monitor is offline", "OFFLINE"),
    "no connection": ([ATTACHED, FINE, Link(LinkState.DISCONNECTED, NOON)], "no connection", "NO CONNECTION"),
    "back, no status yet": ([ATTACHED, FINE, Link(LinkState.OFFLINE, NOON), ATTACHED], "Waiting for", "WAITING"),
    "no source": ([health()], "The monitor has no source", ""),
    "opening": ([one(SourceState.OPENING)], "garage is opening: no audio has arrived yet", "1 of 2 OPENING"),
    "lost": ([one(SourceState.LOST)], "garage is lost: not listening", "1 of 2 LOST"),
    "deaf": ([one(SourceState.DEAF)], "garage is deaf: it delivers no usable audio", "1 of 2 DEAF"),
    "paused": ([one(SourceState.PAUSED)], "garage is paused: not listening", "1 of 2 PAUSED"),
    "stalled": ([one(SourceState.STALLED)], "garage is stalled: its audio is not analysed", "1 of 2 STALLED"),
    "ended": ([one(SourceState.ENDED)], "garage has ended: not listening", "1 of 2 ENDED"),
    "behind": ([FINE, one(windows_dropped=7)], "garage is behind: 7 windows skipped", "1 of 2 BEHIND"),
    "late": ([one(lag=12.0)], "garage is behind: its scores are 12 s old", "1 of 2 BEHIND"),
    "starting": ([one(windows_done=0)], "garage is starting: no audio is analysed yet", "1 of 2 STARTING"),
    "demonstration": ([one(demonstration=True)], "garage is a demonstration", "1 of 2 DEMONSTRATION"),
    "switched off": ([replace(FINE, sounds_off=("Smoke alarm", "Dog"))], "Switched off: Smoke alarm, Dog", "2 off"),
    "changed": ([replace(FINE, sounds_changed=("Dog",))], "Threshold changed: Dog", "1 changed"),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_silence_is_not_claimed_unless_it_is_known(name: str) -> None:
    """Each state has its sentence in place of "All quiet" and its mark in the title; no panel claims silence."""
    messages, sentence, mark = UNKNOWN[name]
    state = reduced(*messages)
    known = claim(state, 0.0, NOON)
    assert not known.quiet
    assert sentence in " ".join(known.sentences)
    assert mark in " ".join(each.text for each in known.marks)
    app = MonitorApp(ListFeed(messages))
    async with app.run_test(size=(120, 36)) as pilot:
        words = sentence.split()[0], mark
        text = await until(pilot, app, lambda text: all(word in text for word in words))
    assert [word for word in words if word not in text] == []
    assert not SILENCE.search(text), text


def test_a_feed_without_messages_knows_nothing() -> None:
    """After some seconds without a message nothing of the present is known."""
    state = reduced(FINE)
    assert claim(state, SILENT_FEED - 0.1, NOON).quiet
    known = claim(state, SILENT_FEED, NOON)
    assert not known.current
    assert known.sentences == ("Unknown: the monitor sends no messages",)
    assert [trouble.text.split(" for ")[0] for trouble in troubles(state, SILENT_FEED, NOON)] == [
        "NO MESSAGES from the monitor"
    ]


@pytest.mark.parametrize("state", SourceState)
def test_only_listening_is_quiet(state: SourceState) -> None:
    """Any state of a source but listening has a sentence, also one of a later version."""
    known = claim(reduced(health(source(state=state))), 0.0, NOON)
    assert known.quiet is (state is SourceState.LISTENING)
    assert known.quiet or known.sentences[0].startswith("kitchen ")


def test_quiet_is_claimed_when_it_is_known() -> None:
    """All sources listen, and all sounds are detected as configured: it is quiet. A profile is named in the title."""
    assert claim(reduced(FINE), 0.0, NOON) == Claim((QUIET,), ())
    night = claim(reduced(ATTACHED, replace(FINE, profile="night"), snapshot("kitchen")), 0.0, NOON)
    assert night.quiet
    assert [mark.text for mark in night.marks] == ["profile night"]
    assert claim(reduced(replace(FINE, profile="default")), 0.0, NOON).marks == ()


def test_since_when_is_said_if_it_is_known() -> None:
    """A source that was seen to change has the time of the change in its sentence."""
    now = after(3600)
    known = claim(reduced(FINE, one(SourceState.LOST)), 0.0, now)
    at = datetime.fromtimestamp(after(60).timestamp(), UTC).astimezone()
    assert known.sentences == (f"garage is lost since {at:%H:%M:%S}: not listening",)


@pytest.mark.parametrize("state", [LinkState.WAITING, LinkState.OFFLINE, LinkState.DISCONNECTED])
def test_a_lost_link_is_one_line(state: LinkState) -> None:
    """Without messages all other troubles are old: the banner has one line, with the time of the last status."""
    lost = one(SourceState.LOST)
    found = list(troubles(reduced(ATTACHED, lost, Link(state, after(70), "refused")), 8.0, after(78)))
    assert len(found) == 1
    assert f"last status {after(60).astimezone():%H:%M:%S}" in found[0].text
    if state is LinkState.DISCONNECTED:
        assert found[0].text.startswith("No connection to the broker for 8.0 s (retrying)")
        assert found[0].text.endswith(": refused")


async def test_the_panels_dim_while_they_show_what_was() -> None:
    """Without a connection the panels keep their content, dimmed and under another title; sources are unknown."""
    feed = ListFeed([ATTACHED, FINE, snapshot("kitchen", Dog=0.9)])
    app = MonitorApp(feed)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, app, lambda text: "Dog" in text)
        assert app.scores.opacity == 1.0
        feed.send(Link(LinkState.DISCONNECTED, datetime.now(UTC), "refused"))
        text = await until(pilot, app, lambda text: "Heard last" in text)
        assert app.scores.opacity < 1.0
        for word in ("Dog", "? kitchen", "? unknown", "Active when last known"):
            assert word in text
        assert text.count("refused") == 1
        feed.send(ATTACHED)
        feed.send(FINE)
        feed.send(snapshot("kitchen", Dog=0.2))
        text = await until(pilot, app, lambda text: "Hearing now" in text and "All quiet" in text)
        assert "Nothing since" in text
        assert app.scores.opacity == 1.0


def test_a_demonstration_has_a_line() -> None:
    """The banner says which sources are not real, as long as they run."""
    (trouble,) = troubles(reduced(one(demonstration=True)), 0.0, NOON)
    assert trouble.text == "DEMONSTRATION  garage: its sounds are not real, and not in the event log"


def test_a_smoke_alarm_that_is_switched_off_is_a_trouble() -> None:
    """An alarm that is not detected is severe; other sounds are not worth a line."""
    (trouble,) = troubles(reduced(replace(FINE, sounds_off=("Dog", "Smoke alarm"))), 0.0, NOON)
    assert trouble.severe
    assert trouble.text == "SWITCHED OFF  Smoke alarm"
    assert list(troubles(reduced(replace(FINE, sounds_off=("Dog",))), 0.0, NOON)) == []


@pytest.mark.parametrize("deaf", [SourceState.DEAF, SourceState.LOST, SourceState.STALLED])
def test_a_deaf_lost_or_stalled_source_is_a_trouble(deaf: SourceState) -> None:
    """The banner, and the text in place of scores, have source, state and reason."""
    state = reduced(snapshot(), health(source(state=deaf, reason="the cable is out")))
    (trouble,) = troubles(state, 0, NOON)
    assert trouble.severe
    assert trouble.text == state.sources["kitchen"].notice == f"{deaf.upper()}  kitchen: the cable is out"


def test_troubles_of_the_monitor() -> None:
    """Overload, the event log and a broker failure are troubles; the last two are not severe."""
    broken = replace(
        health(source(dropped=7), broker=BrokerState.FAILED, broker_detail="refused"),
        log_problem="database is locked",
        log_waiting=3,
    )
    state = reduced(health(source(dropped=2)), broken)
    found = list(troubles(state, 0, NOON))
    assert [trouble.text.split()[0] for trouble in found] == ["TOO", "EVENT", "MQTT"]
    assert [trouble.severe for trouble in found] == [True, False, False]
    assert "5 windows skipped" in found[0].text
    assert "database is locked: 3 detections wait" in found[1].text
    assert "refused" in found[2].text


def test_only_newly_skipped_windows_are_a_trouble() -> None:
    """Windows that were skipped earlier, or before a restart, are no trouble."""
    state = reduced(health(source(dropped=9), uptime=50), health(source(dropped=9), uptime=51))
    assert list(troubles(state, 0, NOON)) == []
    state.apply(health(source(dropped=0), uptime=1))
    assert list(troubles(state, 0, NOON)) == []


def test_a_healthy_monitor_has_no_troubles() -> None:
    """A healthy monitor has no banner."""
    assert list(troubles(reduced(snapshot(), health(source())), SILENT_FEED - 1, NOON)) == []


async def test_lost_audio_and_gain_are_shown() -> None:
    """The status of a source has the seconds that it lost, and its gain, if there are any."""
    app = MonitorApp(ListFeed([ATTACHED, health(replace(source("kitchen"), lost=2.53, gain=30.2)), snapshot()]))
    async with app.run_test(size=(140, 36)) as pilot:
        text = await until(pilot, app, lambda text: "reopened" in text)
    assert "lost 2.5 s" in text
    assert "gain +30 dB" in text
