"""Settings that the tests of the zoo share."""

import importlib
import importlib.util
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Run PyTorch on one thread: small networks gain nothing from more, which wait for each other on a busy machine."""
    if importlib.util.find_spec("torch") is None:  # some tests need none
        yield
        return
    torch = importlib.import_module("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
