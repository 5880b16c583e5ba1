"""The MQTT side: topics, the publisher with its companions, Home Assistant, and the feed that a display attaches to."""
