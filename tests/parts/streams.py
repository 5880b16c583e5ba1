"""Audio servers on the loopback interface: files and endless streams over HTTP, and a camera over RTSP."""

import http.server
import mimetypes
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitor.messages import Samples


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """A server on a free port, as `127.0.0.1:PORT`; its connections end with their handlers."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def web(
    body: bytes,
    *,
    length: bool = True,
    hold: threading.Event | None = None,
    burst: int = 4096,
    pace: int | None = None,
    disturbance: tuple[int, float, bool] = (0, 0.0, False),
    sent: Callable[[int, float], None] = lambda at, now: None,
) -> type[http.server.BaseHTTPRequestHandler]:
    """Answers every path with `body`. Without `length` the body ends with the connection, after `hold`.

    With a `pace`, in bytes per second, it takes its time after a `burst` of bytes. A `disturbance` at a byte holds the
    data back for some seconds; then it is lost, or follows as fast as it can. `sent` gets the position of each piece of
    a twentieth of a second, and the monotonic time at which it was due.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/missing":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", mimetypes.guess_type(self.path)[0] or "text/html")
            if length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body if pace is None else body[:burst])
                if pace is not None:
                    self._take_time(burst, pace)
                if hold is not None:
                    hold.wait(20)
            except OSError:
                pass  # the client has disconnected

        def _take_time(self, at: int, pace: int) -> None:
            due, piece = time.monotonic(), pace // 20
            start, seconds, lossy = disturbance
            while at < len(body):
                due += piece / pace
                sent(at, due)
                held = start <= at < start + seconds * pace
                if not held:
                    time.sleep(max(0.0, due - time.monotonic()))
                elif at - piece < start:
                    time.sleep(seconds)
                if not (held and lossy):
                    self.wfile.write(body[at : at + piece])
                at += piece

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    return Handler


def camera(samples: Samples, rate: int) -> type[socketserver.StreamRequestHandler]:
    """An RTSP server that plays float32[n] once in real time, interleaved in its TCP connection, and closes it."""
    payload = (samples * 32767).astype(">i2").tobytes()
    sdp = (
        f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/{rate}/1\r\n"
    )
    replies = {
        "OPTIONS": "Public: DESCRIBE, SETUP, PLAY\r\n\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
        "PLAY": "Session: 1\r\n\r\n",
    }

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method = ""
            while method != "PLAY":
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += self.rfile.readline() or b"\r\n\r\n"
                method = request.split()[0].decode() if request.strip() else "PLAY"
                number = next(line for line in request.decode().splitlines() if line.startswith("CSeq"))
                self.wfile.write(f"RTSP/1.0 200 OK\r\n{number}\r\n{replies[method]}".encode())
            frames = rate // 50
            for sequence in range(len(payload) // (2 * frames)):
                data = payload[2 * frames * sequence : 2 * frames * (sequence + 1)]
                rtp = struct.pack(">BBHII", 0x80, 96, sequence, sequence * frames, 1) + data
                try:
                    self.wfile.write(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
                except OSError:
                    return  # the client has disconnected
                time.sleep(0.02)

    return Handler
