"""One model in a process of its own: its memory is its own, and it only runs when it is asked to."""

import multiprocessing
import signal
from multiprocessing.connection import Connection
from typing import Any, Self

from monitor.commands.bench.figures import Loaded, Memory
from monitor.config import ModelConfig
from monitor.errors import ModelError, MonitorError


class Worker:
    """The other process, seen from this one; it ends with the block that it is opened in."""

    def __init__(self, config: ModelConfig) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = config.name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, config), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

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
            self._process.join()
            raise ModelError(
                f"{self._name}: its process has ended ({self._process.exitcode}); is there too little memory?"
            ) from None
        if isinstance(answer, MonitorError):
            raise answer
        return answer


def _serve(pipe: Connection, config: ModelConfig) -> None:
    """Answer until the asking process has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other, which ends this one
    try:
        from monitor.commands.bench.subject import Subject

        subject = Subject(config)
        while True:
            question, *arguments = pipe.recv()
            try:
                pipe.send(getattr(subject, question)(*arguments))
            except MonitorError as error:
                pipe.send(error)
    except (EOFError, ConnectionError):
        return
