"""Where in a window a sound began, to the hundredth of a second.

The model answers for a whole window; the sharpest rise of the level inside it tells when the sound set in.
"""

import numpy as np

from monitor.messages import Samples

FRAME = 0.01
"""Seconds between two looks at the level."""
RISE = 6.0
"""Decibels that a level must rise by to count as an onset."""
FLOOR = -70.0
"""dBFS: what is below is the noise of the room or of the converter."""
RANGE = 40.0
"""Decibels below the loudest frame that still matter."""
BEFORE, AFTER = 10, 3
"""Frames averaged before and after a possible onset."""


def find_onset(samples: Samples, rate: int) -> int | None:
    """Index in float32[n] of the earliest of the sharpest rises in level; None where the level has no clear rise."""
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
    # the rise begins where the averages straddle the step: go on to the frame that takes the largest step
    steps = np.diff(level)[earliest : earliest + AFTER]
    return int(at[earliest] + np.argmax(steps)) * frame
