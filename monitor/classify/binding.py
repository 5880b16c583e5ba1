"""I/O binding: runs on buffers that stay on the device, made once for each shape of the inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.messages import Samples
from monitor.onnx import ort

Arrays = Mapping[str, NDArray[np.generic]]
"""By the name of the input."""


@dataclass(frozen=True, slots=True)
class _Buffers:
    """One set, on the device."""

    binding: ort.IOBinding
    inputs: Mapping[str, ort.OrtValue]
    outputs: Sequence[ort.OrtValue]


class BoundRunner:
    """Runs one session. Each new shape allocates, so callers keep to few."""

    def __init__(self, session: ort.InferenceSession, device: str) -> None:
        """`device`: where the buffers lie, as ONNX Runtime calls it: cuda, cpu."""
        self._session = session
        self._device = device
        self._made: dict[tuple[object, ...], _Buffers] = {}

    def run(self, outputs: Sequence[str], feeds: Arrays, options: ort.RunOptions) -> list[Samples]:
        """The outputs, in this order, copied from the device."""
        key = (*outputs, *(array.shape for array in feeds.values()))
        buffers = self._made.get(key)
        if buffers is None:
            buffers = self._made[key] = self._make(outputs, feeds, options)
        for name, array in feeds.items():
            buffers.inputs[name].update_inplace(array)
        self._session.run_with_iobinding(buffers.binding, options)
        return [np.array(value.numpy()) for value in buffers.outputs]

    def _make(self, outputs: Sequence[str], feeds: Arrays, options: ort.RunOptions) -> _Buffers:
        """Allocate the inputs; the first run allocates the outputs, of which only it tells the shapes."""
        binding = self._session.io_binding()
        inputs: dict[str, ort.OrtValue] = {}
        for name, array in feeds.items():
            inputs[name] = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, self._device, 0)
            inputs[name].update_inplace(array)
            binding.bind_ortvalue_input(name, inputs[name])
        for name in outputs:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding, options)
        values = binding.get_outputs()
        binding.clear_binding_outputs()
        for name, value in zip(outputs, values, strict=True):
            binding.bind_ortvalue_output(name, value)
        return _Buffers(binding, inputs, values)
