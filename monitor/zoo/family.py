"""What the zoo knows about a family of networks beside the network itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias

from torch import Tensor, nn

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import read_checkpoint
from monitor.zoo.build.export import NetworkT, export_network
from monitor.zoo.metadata import Quantization, metadata_for

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model file is to be."""

    name: str
    window: int
    """Samples."""
    licence: str
    source: str
    half: bool = False
    """Weights and activations in float16."""
    labels: tuple[str, ...] | None = None
    """The classes in the order of the outputs; None for those of the family."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What is known of a model file that has just been written."""

    difference: float
    """Largest difference of its answers from those of the published network."""
    remark: str = ""
    """What the user should know about it."""


def unfolded(network: nn.Module) -> nn.Module:
    """The fold of a network that has nothing to fold."""
    return network


@dataclass(frozen=True, slots=True)
class Family(Generic[NetworkT]):
    """One architecture whose published weights can be imported."""

    name: str

    sample_rate: int
    """Hertz."""

    window: int
    """Samples in a window, as published."""

    shortest: int
    """Samples of the shortest window that the architecture takes; equal to `window` if the window is fixed."""

    labels: Callable[[], tuple[str, ...]]
    """The classes of the published weights; a checkpoint may have others."""

    head: str | None
    """Path of the linear layer in the network that has an output for each class; None without classes."""

    build: Callable[[StateDict, int], NetworkT]
    """Make the exact network, in eval mode, from a state dict and the number of samples in a window.

    Raises `ModelError` that names keys that are missing, unexpected or of another shape. The network has its front end
    in a module called `frontend`, and maps float32[batch, samples] in [-1, 1] to probabilities float32[batch, classes]
    in [0, 1] and embeddings float32[batch, dims].
    """

    licence: str
    source: str
    description: str

    read: Callable[[Path], StateDict] = read_checkpoint
    """Read the state dict that `build` takes from a published file. Raises `ModelError`."""

    fold: Callable[[NetworkT], nn.Module] = unfolded
    """Make an equivalent network that runs faster, the one to export, from the one that `build` made."""

    variable: bool = False
    """Whether one exported file takes windows of any length from `shortest` up."""

    quantization: Quantization = field(default_factory=Quantization)

    def export(self, checkpoint: Path, target: Path, spec: ModelSpec) -> Exported:
        """Write a published checkpoint as the model file `target`.

        Raises `ModelError`, and leaves what was there, if the file does not answer as the network does, and if the
        checkpoint has another number of classes than the labels.
        """
        difference = export_network(
            self._checked(self.build(self.read(checkpoint), spec.window), spec),
            target,
            self.metadata(spec),
            window=spec.window,
            shortest=self.shortest if self.variable else None,
            half=spec.half,
            fold=self.fold,
        )
        return Exported(difference)

    def _checked(self, network: NetworkT, spec: ModelSpec) -> NetworkT:
        """Return the network if it has an output for each label."""
        if self.head is None:
            return network
        classes, labels = network.get_submodule(self.head).out_features, spec.labels or self.labels()
        if classes == len(labels):
            return network
        if spec.labels:
            raise ModelError(f"the checkpoint has {classes} classes, but --labels names {len(labels)}")
        raise ModelError(
            f"the checkpoint has {classes} classes of its own, not the {len(labels)} of {self.name}: name them with "
            "--labels FILE, one a line, in the order of its outputs"
        )

    def metadata(self, spec: ModelSpec) -> dict[str, str]:
        """Return the metadata of a model file of this family.

        A file without classes of its own says that it requires prompts instead.
        """
        labels = spec.labels or self.labels()
        metadata = metadata_for(
            spec.name,
            family=self.name,
            sample_rate=self.sample_rate,
            window=spec.window,
            labels=labels,
            licence=spec.licence,
            source=spec.source,
            description=self.description,
            quantization=self.quantization,
        )
        if not labels:
            del metadata["labels"]
            metadata["prompts"] = "required"
        return metadata | ({"precision": "half"} if spec.half else {})

    def spec(self, name: str, window: int | None = None) -> ModelSpec:
        """Describe a model under the family's own licence; `window` in samples, by default as published."""
        return ModelSpec(name, self.window if window is None else window, self.licence, self.source)


AnyFamily: TypeAlias = Family[Any]
