"""File descriptor 2: C libraries print on it at will, and two parts of the program point it elsewhere at times."""

import threading

swapping = threading.Lock()
"""Held while descriptor 2 is looked at and replaced, or is replaced for a short while: who comes between would put back
the wrong file."""
