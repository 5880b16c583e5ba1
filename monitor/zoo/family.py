"""What the zoo knows about a family of networks, beside the network itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.export import metadata_for
from monitor.zoo.quantization import Quantization

StateDict = Mapping[str, Tensor]


def as_it_is(network: nn.Module) -> nn.Module:
    """The fold of a network that has nothing to fold."""
    return network


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture whose published weights can be imported."""

    name: str

    sample_rate: int
    """Hertz"""

    window: int
    """Samples a window, as published."""

    shortest: int
    """Samples of the shortest window that the architecture takes; equal to `window` where it is fixed."""

    labels: Callable[[], tuple[str, ...]]

    build: Callable[[StateDict, int], nn.Module]
    """State dict and samples a window to the exact network, in eval mode.

    Raises `ModelError` that names keys that are missing, unexpected or of another shape. The network has its front end
    in a module called `frontend`, and maps float32[batch, samples] in [-1, 1] to probabilities float32[batch, classes]
    in [0, 1] and embeddings float32[batch, dims].
    """

    licence: str
    source: str
    description: str

    read: Callable[[Path], StateDict] = read_checkpoint
    """A published file to the state dict that `build` takes. Raises `ModelError`."""

    fold: Callable[[nn.Module], nn.Module] = as_it_is
    """The network that `build` made to an equivalent one that runs faster; the one that is exported."""

    variable: bool = False
    """Whether one exported file takes windows of any length from `shortest` on."""

    quantization: Quantization = field(default_factory=Quantization)

    def metadata(self, name: str, window: int, licence: str, source: str) -> dict[str, str]:
        """What a model file of this family says about itself; `window` in samples.

        One without classes of its own says that it needs prompts instead.
        """
        labels = self.labels()
        metadata = metadata_for(
            name,
            family=self.name,
            sample_rate=self.sample_rate,
            window=window,
            labels=labels,
            licence=licence,
            source=source,
            description=self.description,
            quantization=self.quantization,
        )
        if not labels:
            del metadata["labels"]
            metadata["prompts"] = "required"
        return metadata
