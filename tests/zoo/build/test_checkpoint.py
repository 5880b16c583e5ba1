"""Files of weights that are read, and files that are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from monitor.errors import ModelError
from monitor.zoo.build.checkpoint import load_strict, read_checkpoint

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, 2.0])}


class Evil:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


SAMPLER = {"indexes": np.arange(5), "share": np.array([0.5], np.float32), "pointer": np.int64(4)}
"""Values that training code saves beside the weights."""


def assert_is_state(state: dict[str, Tensor]) -> None:
    """The weights are those of `STATE`."""
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize("zipped", [True, False], ids=["new format", "format before PyTorch 1.6"])
@pytest.mark.parametrize(
    "content",
    [STATE, {"model": STATE, "iteration": 600_000}, {"model": STATE, "sampler": SAMPLER}],
    ids=["bare", "under model", "beside arrays"],
)
def test_reads_published_layouts(tmp_path: Path, content: object, zipped: bool) -> None:
    """Both formats of PyTorch are read, with a bare state dict or one under the key `model`."""
    torch.save(content, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    assert_is_state(read_checkpoint(tmp_path / "weights.pth"))


def test_reads_safetensors(tmp_path: Path) -> None:
    """The weights of a safetensors file are read."""
    save_file(STATE, tmp_path / "weights.safetensors")
    assert_is_state(read_checkpoint(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    """Code in a pickled file does not run, and the file is refused."""
    content = {"model": STATE, "optimizer": Evil(tmp_path / "broken-in")}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="code, which is never run"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "broken-in").exists()


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "weights.safetensors"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    """For a download that broke off anywhere, the message says to repeat it."""
    state = {"weight": torch.zeros(1000)}
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name == "new.pth")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match="download it again"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["page.pth", "page.safetensors"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    """A web page instead of weights is refused."""
    (tmp_path / name).write_text("<!doctype html><title>Not found</title>" * 10)
    with pytest.raises(ModelError, match="download it again"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("content", [torch.zeros(3), {}, {"epoch": 3}, [STATE], {"model": {"layers": 3}}], ids=str)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    """A file with values other than named tensors is refused."""
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="no state dict"):
        read_checkpoint(tmp_path / "weights.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A missing file is named in the error."""
    with pytest.raises(ModelError, match=r"nowhere\.pth: no such file"):
        read_checkpoint(tmp_path / "nowhere.pth")


def test_loads_every_key() -> None:
    """All weights are loaded, ignored prefixes are skipped, and the counters of batch norms may be missing."""
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = {key: torch.ones_like(value) for key, value in network.state_dict().items() if "num_batches" not in key}
    load_strict(network, {**state, "stft.window": torch.zeros(4)}, ignore_prefixes=["stft."])
    assert all(bool((network.state_dict()[key] == 1).all()) for key in state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": STATE["weight"]}, "lacks bias"),
        ({**STATE, "scale": torch.zeros(1)}, "also holds scale"),
        ({"gain": torch.zeros(1)}, "lacks weight, bias and also holds gain"),
        ({**STATE, "bias": torch.zeros(3)}, r"bias is \[3\], not \[2\]"),
        ({**STATE, **{f"layer{n}": torch.zeros(1) for n in range(9)}}, "layer4 and 4 more"),
    ],
)
def test_another_networks_state_is_refused(state: dict[str, Tensor], message: str) -> None:
    """The message names a few of the keys that are missing, unexpected, or of another shape."""
    with pytest.raises(ModelError, match=message):
        load_strict(nn.Linear(3, 2), state)
