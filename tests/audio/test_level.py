"""Level in dBFS."""

import numpy as np
import pytest

from monitor.audio.level import dbfs
from monitor.messages import SILENCE_DBFS


def test_level_is_in_dbfs_with_a_floor() -> None:
    """Full scale is 0 dBFS, half of it -6, silence and an empty block -120."""
    assert dbfs(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert dbfs(np.full(100, 0.5, np.float32)) == pytest.approx(-6.02, abs=0.01)
    assert dbfs(np.zeros(100, np.float32)) == SILENCE_DBFS
    assert dbfs(np.zeros(0, np.float32)) == SILENCE_DBFS
