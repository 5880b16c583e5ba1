"""Assembles the publisher of a monitor with all its companions."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from monitor.config.schema import MqttConfig
from monitor.control.settings import Settings
from monitor.hub import Hub
from monitor.messages import BrokerState, Detection, Health, Snapshot
from monitor.mqtt.announcement import Device
from monitor.mqtt.cleanup import Leftovers
from monitor.mqtt.control import RemoteControl, controls
from monitor.mqtt.home_assistant import HomeAssistant
from monitor.mqtt.publisher import Backlog, Publisher
from monitor.mqtt.topics import Topics

CAPACITY = 1000
"""Messages that the publisher's subscription holds."""


def publisher_for(
    config: MqttConfig,
    node: str,
    sources: Sequence[str],
    sounds: Mapping[str, Sequence[str]],
    settings: Settings,
    apply: Callable[[], Awaitable[None]],
    hub: Hub,
    backlog: Backlog,
    on_state: Callable[[BrokerState, str], None],
) -> Publisher:
    """The publisher of this node's messages, which takes commands and announces the monitor to Home Assistant.

    `sounds` maps each label to the model's classes that mean it. `apply` puts changed settings into force. `on_state`
    receives the state of the connection, with its detail.
    """
    topics = Topics(config.topic, node)
    device = Device(topics, sources, sounds, controls(topics, settings.labels, settings.profiles), config.level)
    subscription = hub.subscribe(Detection, Snapshot, Health, capacity=CAPACITY)
    publisher = Publisher(config, node, sources, settings.labels, subscription, backlog, on_state)
    publisher.add(RemoteControl(topics, device.controls, settings, apply))
    publisher.add(Leftovers(device))
    if config.discovery:
        publisher.add(HomeAssistant(device, config.discovery_prefix, publisher.repeat))
    return publisher
