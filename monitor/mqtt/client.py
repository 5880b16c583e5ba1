"""aiomqtt's client, made fit for lines that break at any moment. All that reaches into its inside stands here."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiomqtt
import paho.mqtt.client as paho


class Client(aiomqtt.Client):
    """Use `open` and `close`, or `hang_up`; once closed it is not opened again."""

    async def open(self) -> None:
        """Connect. Raises `aiomqtt.MqttError`, `OSError` or `ValueError`.

        aiomqtt connects in a thread that cannot be cancelled: what that still opens is closed behind it. And aiomqtt
        forgets a loss that comes together with the broker's welcome; here it is an error.
        """
        loss = self._disconnected
        opening = asyncio.ensure_future(self.__aenter__())
        try:
            await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda _: self._cut())
            raise
        if loss.done():
            raise aiomqtt.MqttError("lost at once") from loss.exception()

    async def close(self) -> None:
        """Say goodbye, if the line is still up."""
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)

    async def hang_up(self) -> None:
        """End without a goodbye, so that the broker publishes the Last Will."""
        self._cut()
        with suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(1):
                await self.lost()

    async def lost(self) -> None:
        """Discard what is received until the line is lost, and raise `aiomqtt.MqttError`."""
        async for _ in self.messages:
            pass

    def _cut(self) -> None:
        line = self._client.socket()
        line = getattr(line, "_socket", line)  # paho wraps what carries WebSockets
        if isinstance(line, socket.socket):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        """paho has something to write. By the time that the loop looks, the line may be closed."""

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), client.loop_write)

        self._loop.call_soon_threadsafe(register)
