"""Models: what a file says about itself, and windows in, scores out."""
