"""A real Mosquitto on the loopback interface, with passwords, TLS, power cuts and black holes."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/sbin")


class Broker:
    """Mosquitto with its files in `folder`. Keeps its ports over a restart; skips the test if Mosquitto is missing.

    With `tls` it also listens on `tls_port`, with a certificate for 127.0.0.1 signed by the authority in `ca_file`;
    `client.crt` and `client.key` beside it are signed by the same authority. With `web` it takes
    WebSockets on `web_port`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        passwords: Mapping[str, str] | None = None,
        tls: bool = False,
        client_certificate: bool = False,
        persistence: bool = False,
        web: bool = False,
    ) -> None:
        if MOSQUITTO is None:
            pytest.skip("needs the mosquitto broker (apt install mosquitto)")
        self.port = _free_port()
        self.tls_port = _free_port()
        self.web_port = _free_port()
        self.ca_file = folder / "ca.crt"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        lines = ["log_dest stderr", "log_type all"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes the user mosquitto and cannot read these files
        lines += _passwords(folder, passwords) if passwords else ["allow_anonymous true"]
        if persistence:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
            lines += ["autosave_on_changes true"]
        lines += [f"listener {self.port} 127.0.0.1"]
        self._last_port = self.web_port if web else self.port
        if web:
            lines += [f"listener {self.web_port} 127.0.0.1", "protocol websockets"]
        if tls:
            _certificates(folder)
            lines += [f"listener {self.tls_port} 127.0.0.1", f"cafile {self.ca_file}"]
            lines += [f"certfile {folder}/server.crt", f"keyfile {folder}/server.key"]
            lines += [f"require_certificate {str(client_certificate).lower()}"]
        self._accounts = _accounts(folder) if passwords else {}
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start or restart it; return when connections are accepted."""
        with (self._folder / "log").open("ab") as log:
            command = [str(MOSQUITTO), "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._last_port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError(f"mosquitto does not start:\n{(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """Terminate it if it is running."""
        if self._process is not None:
            self.thaw()
            self._process.terminate()
            self._process.wait(10)

    def kill9(self) -> None:
        """Kill it, as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """Stop the process, a black hole: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def admit(self, *users: str) -> None:
        """Accept only these users, and disconnect the others."""
        lines = self._accounts.items()
        (self._folder / "passwords").write_text("".join(line for user, line in lines if user in users))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _passwords(folder: Path, passwords: Mapping[str, str]) -> list[str]:
    file = folder / "passwords"
    file.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
    file.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True)
    return ["allow_anonymous false", f"password_file {file}"]


def _accounts(folder: Path) -> dict[str, str]:
    """Each user's line in the password file."""
    lines = (folder / "passwords").read_text().splitlines(keepends=True)
    return {line.split(":")[0]: line for line in lines}


def _certificates(folder: Path) -> None:
    """Make a certificate authority, and certificates of a server and a client that it signed."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    authority = ["req", "-x509", *key, "-days", "2", "-subj", "/CN=Test CA", *usage]
    _openssl(folder, *authority, "-keyout", "ca.key", "-out", "ca.crt")
    for name, extensions in (
        ("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
        ("client", "extendedKeyUsage=clientAuth\n"),
    ):
        (folder / f"{name}.ext").write_text(f"{extensions}basicConstraints=CA:FALSE\n")
        _openssl(folder, "req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        _openssl(folder, *sign, "-days", "2", "-out", f"{name}.crt", "-extfile", f"{name}.ext")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
