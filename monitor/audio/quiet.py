"""Keeps what C libraries print off a terminal that others draw on."""

import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from monitor.stderr import swapping

logger = logging.getLogger(__name__)

PORTAUDIO_NOISE = re.compile(rb"ALSA lib |Expression '|jack|cannot connect to server|connect\(2\)|\s*$", re.IGNORECASE)


@contextmanager
def quiet() -> Iterator[None]:
    """Catch what arrives on file descriptor 2; the audio libraries' part goes to the log, the rest on to stderr."""
    with swapping, tempfile.TemporaryFile() as caught:
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            for line in caught:
                if PORTAUDIO_NOISE.match(line):
                    logger.debug("%s", line.decode(errors="replace").strip())
                else:
                    os.write(2, line)
