"""Models: the description in a file, and inference from windows to scores."""
