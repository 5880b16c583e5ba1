"""Audio files in any format that FFmpeg writes."""

from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from monitor.messages import Samples


def tone(seconds: float, rate: int, *pitches: float) -> Samples:
    """A channel for each pitch (Hertz), half of full scale: float32[n, channels]."""
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * pitch * t) for pitch in pitches], axis=1).astype(np.float32)


def write_audio(path: Path, samples: Samples, rate: int, codec: str) -> Path:
    """Encode float32[n, channels] into a file of the format that its suffix names."""
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"strict": "experimental"})
        assert isinstance(stream, AudioStream)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
