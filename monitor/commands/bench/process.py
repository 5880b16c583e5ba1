"""One model in a process of its own: its memory is its own, and it runs only on request."""

import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from typing import Any, Self

from monitor.commands.bench.rounds import Loaded, Memory
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError, MonitorError


class ModelProcess:
    """The process of one model, seen from this one; it ends with the block that it is opened in."""

    def __init__(self, config: ModelConfig) -> None:
        self._name = config.name
        self._pipe, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"]
            # In a session of its own: Ctrl-C reaches this process, which then ends the other.
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)  # noqa: S603
        self._pipe.send(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.wait()

    def load(self) -> Loaded:
        """Load the model. Raises `ModelError`."""
        answer: Loaded = self._ask("load")
        return answer

    def run(self, batch: int) -> float:
        """Run one inference of `batch` windows; return its seconds. Raises `ModelError`."""
        answer: float = self._ask("run", batch)
        return answer

    def memory(self) -> Memory:
        """Return the memory that the model takes now."""
        answer: Memory = self._ask("memory")
        return answer

    def front_end(self) -> float | None:
        """Return the share of the front end."""
        answer: float | None = self._ask("front_end")
        return answer

    def _ask(self, *question: object) -> Any:
        try:
            self._pipe.send(question)
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            code = self._process.wait()
            raise ModelError(f"{self._name}: its process ended with status {code}; is there enough memory?") from None
        if isinstance(answer, MonitorError):
            raise answer
        return answer


def serve(descriptor: int) -> None:
    """Answer requests over this end of the pipe until the other process ends."""
    from monitor.commands.bench.subject import Subject

    pipe = Connection(descriptor)
    try:
        subject = Subject(pipe.recv())
        while True:
            question, *arguments = pipe.recv()
            try:
                pipe.send(getattr(subject, question)(*arguments))
            except MonitorError as error:
                pipe.send(error)
    except (EOFError, ConnectionError):
        return
