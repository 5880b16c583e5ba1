"""The live view in a terminal, which depends on messages only."""
