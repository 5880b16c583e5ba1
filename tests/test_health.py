"""The state of the monitor in one line."""

from msgspec.structs import replace

from monitor.health import status_line
from monitor.messages import BrokerState, SourceState
from tests.mqtt.examples import health


def test_the_status_names_what_it_listens_to_and_what_fails() -> None:
    """A healthy monitor names its sources; each problem follows with its reason."""
    healthy = health()
    assert status_line(healthy) == "listening to hall"
    [hall] = healthy.sources
    lost = replace(hall, source="attic", state=SourceState.LOST, reason="unplugged\nSTATUS=fine")
    broken = replace(
        healthy,
        sources=(hall, lost),
        broker=BrokerState.FAILED,
        broker_detail="refused",
        log_problem="disk full",
    )
    expected = "listening to hall; attic is lost (unplugged STATUS=fine); MQTT: refused; event log: disk full"
    assert status_line(broken) == expected
    paused = replace(healthy, sources=(replace(hall, state=SourceState.PAUSED),))
    assert status_line(paused) == "not listening; hall is paused"
