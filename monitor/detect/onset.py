"""Finds the start of a sound in a window, to a hundredth of a second.

The model scores a whole window; the sharpest rise of the level in it marks the onset of the sound.
"""

import numpy as np

from monitor.messages import Samples

FRAME = 0.01
"""Seconds per level."""
RISE = 6.0
"""Smallest rise of the level that counts as an onset, decibels."""
FLOOR = -70.0
"""Levels below are noise of the room or of the converter, dBFS."""
RANGE = 40.0
"""Levels further below the loudest frame are ignored, decibels."""
BEFORE, AFTER = 10, 3
"""Number of frames averaged before and after a possible onset."""


def find_onset(samples: Samples, rate: int) -> int | None:
    """Return the index in float32[n] of the first sharp rise in level; None if there is no clear rise. `rate` in Hz."""
    frame = max(1, round(FRAME * rate))
    count = len(samples) // frame
    if count <= AFTER:
        return None
    power = np.square(samples[: count * frame].reshape(count, frame)).mean(axis=1)
    level = 10 * np.log10(power + 1e-12)
    level = np.maximum(level, max(FLOOR, float(level.max()) - RANGE))
    total = np.concatenate(([0.0], np.cumsum(level)))
    at = np.arange(1, count)
    first, last = np.maximum(0, at - BEFORE), np.minimum(count, at + AFTER)
    rise = (total[last] - total[at]) / (last - at) - (total[at] - total[first]) / (at - first)
    sharpest = float(rise.max())
    if sharpest < RISE:
        return None
    earliest = int(np.argmax(rise >= max(RISE, 0.7 * sharpest)))
    # the averages rise before the step itself: move on to the frame with the largest step
    steps = np.diff(level)[earliest : earliest + AFTER]
    return int(at[earliest] + np.argmax(steps)) * frame
