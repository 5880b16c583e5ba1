"""One model in a process of its own: its memory is its own, and it only runs when it is asked to."""

import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from typing import Any, Self

from monitor.commands.bench.figures import Loaded, Memory
from monitor.config.schema import ModelConfig
from monitor.errors import ModelError, MonitorError


class Worker:
    """The other process, seen from this one; it ends with the block that it is opened in."""

    def __init__(self, config: ModelConfig) -> None:
        self._name = config.name
        self._pipe, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"]
            # In a session of its own: Ctrl-C is for this process, which ends the other.
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
        return self._ask("load")  # type: ignore[no-any-return]

    def run(self, batch: int) -> float:
        """Seconds of one inference of `batch` windows. Raises `ModelError`."""
        return self._ask("run", batch)  # type: ignore[no-any-return]

    def memory(self) -> Memory:
        """What the model takes by now."""
        return self._ask("memory")  # type: ignore[no-any-return]

    def front_end(self) -> float | None:
        """The share of the front end."""
        return self._ask("front_end")  # type: ignore[no-any-return]

    def _ask(self, *question: object) -> Any:
        try:
            self._pipe.send(question)
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            code = self._process.wait()
            raise ModelError(f"{self._name}: its process has ended ({code}); is there too little memory?") from None
        if isinstance(answer, MonitorError):
            raise answer
        return answer


def serve(descriptor: int) -> None:
    """Answer over this end of the pipe until the asking process has gone."""
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
