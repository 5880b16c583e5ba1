"""MQTT: topics, the publisher with its companions, Home Assistant, and the feed for a remote display."""
