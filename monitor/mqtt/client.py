"""aiomqtt's client, made safe for connections that break at any moment.

Everything that depends on the internals of aiomqtt 2.5 and paho-mqtt 2 is in this file; pyproject.toml bounds both.
Each use of a private name gives its reason.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiomqtt
import paho.mqtt.client as paho


class Client(aiomqtt.Client):
    """A client for one connection: `open` it, then `close` it or `hang_up`."""

    async def open(self) -> None:
        """Connect. Raises `aiomqtt.MqttError`, `OSError` or `ValueError`.

        aiomqtt connects in a thread that cannot be cancelled. When this call is, the connection that the thread still
        opens is closed.

        `_disconnected`: `__aenter__` replaces this future, so a loss that arrives together with the broker's
        acknowledgement would go unnoticed. The future from before is checked instead.
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
        """Disconnect, if the connection is still up."""
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)

    async def hang_up(self) -> None:
        """End without a DISCONNECT packet, so that the broker publishes the Last Will."""
        self._cut()
        with suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(1):
                await self.lost()

    async def lost(self) -> None:
        """Discard messages until the connection is lost, then raise `aiomqtt.MqttError`."""
        async for _ in self.messages:
            pass

    def _cut(self) -> None:
        """Shut the socket down.

        `_client`: aiomqtt gives no access to the socket. `_socket`: paho wraps the socket of a WebSocket.
        """
        sock = self._client.socket()
        sock = getattr(sock, "_socket", sock)
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        """paho has something to write.

        Overridden because aiomqtt registers the socket in a later turn of the loop (`_loop`), when it may be closed
        already: the loop would log a traceback. Otherwise as in aiomqtt.
        """

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # whatever it is, the connection is broken
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)
