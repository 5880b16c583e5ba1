"""The MQTT side: topics, the publisher, and the feed that a display attaches to."""
