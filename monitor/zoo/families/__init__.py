"""The published networks, one family a module."""
