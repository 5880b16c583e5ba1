"""From a published checkpoint to a verified model file."""
