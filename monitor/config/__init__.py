"""The configuration: what can be configured, how files are read, where files live."""
