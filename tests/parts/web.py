"""A local web server that can break connections and resume downloads."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """The files of the server, and the requests that it received."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path, such as /model.pth."""
    tag: str | None = '"first"'
    """The version of all files."""
    limit: int | None = None
    """Bytes after which a connection breaks, once for each file."""
    broken: set[str] = field(default_factory=set)
    ranges: list[str | None] = field(default_factory=list)
    """The Range of each request."""
    address: str = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve the site at `site.address` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.ranges.append(self.headers["Range"])
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            begin = 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            if asked and self.headers["If-Range"] == site.tag:
                begin = int(asked[1])
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            if site.tag:
                self.send_header("ETag", site.tag)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            rest = content[begin:]
            if site.limit is not None and self.path not in site.broken:
                site.broken.add(self.path)
                rest = rest[: site.limit]
                self.close_connection = True
            with suppress(ConnectionError):  # the client may be gone
                self.wfile.write(rest)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
