"""aiomqtt's client, made safe for connections that break at any moment, and for messages of any size and number.

Everything that depends on the internals of aiomqtt 2.5 and paho-mqtt 2 is in this file; pyproject.toml bounds both.
Each use of a private name gives its reason.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiomqtt
import paho.mqtt.client as paho

MAX_PACKET = 1_000_000
"""Bytes of an incoming packet that are kept; the rest is read and discarded, so that its message ends early."""
CHUNK = 65_536
"""Most bytes that are read at once."""
INBOX, INBOX_BYTES = 10_000, 4_000_000
"""Most messages that wait to be read, and the bytes of their payloads from which no more are taken in."""
IN_FLIGHT = 100
"""Most published messages that await the broker's acknowledgement."""


class Inbox(asyncio.Queue[aiomqtt.Message]):
    """The incoming messages, bounded in number and size. aiomqtt discards what does not fit."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self.missed = 0
        """Number of discarded messages."""
        self._bytes = 0

    def full(self) -> bool:
        """Return whether the next message is discarded."""
        return self._bytes >= INBOX_BYTES or super().full()

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Add a message. Raises `asyncio.QueueFull`."""
        self.missed += self.full()
        super().put_nowait(item)

    def _put(self, item: aiomqtt.Message) -> None:
        self._bytes += len(item.payload)
        super()._put(item)

    def _get(self) -> aiomqtt.Message:
        item = super()._get()
        self._bytes -= len(item.payload)
        return item


class Client(aiomqtt.Client):
    """A client for one connection: `open` it, then `close` it or `hang_up`."""

    def __init__(self, hostname: str, port: int, **details: Any) -> None:
        """`details` are those of aiomqtt.

        `_sock_recv`: paho reads a packet of any size into memory. Its reading is replaced for this client.
        """
        super().__init__(
            hostname,
            port,
            queue_type=Inbox,
            max_queued_incoming_messages=INBOX,
            max_inflight_messages=IN_FLIGHT,
            **details,
        )
        self._sock_recv = self._client._sock_recv
        vars(self._client)["_sock_recv"] = self._read

    @property
    def missed(self) -> int:
        """Number of incoming messages that were discarded because too many waited."""
        return self._queue.missed if isinstance(self._queue, Inbox) else 0

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
        if (sock := self._socket()) is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):  # small packets must not wait for the acknowledgement of earlier ones
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

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
        """Shut the socket down."""
        if (sock := self._socket()) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _socket(self) -> socket.socket | None:
        """The connection's socket, if it is open.

        `_client`: aiomqtt gives no access to the socket. `_socket`: paho wraps the socket of a WebSocket.
        """
        sock = self._client.socket()
        sock = getattr(sock, "_socket", sock)
        return sock if isinstance(sock, socket.socket) else None

    def _read(self, most: int) -> bytes:
        """Read up to `most` bytes for paho; of a packet that is too long, hand on one byte of each chunk.

        `_in_packet`: the packet that paho is reading, and how many of its bytes are missing.
        """
        packet = self._client._in_packet
        data = self._sock_recv(min(most, CHUNK))
        if len(packet["packet"]) >= MAX_PACKET and data:
            packet["to_process"] -= len(data) - 1
            return data[-1:]
        return data

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
