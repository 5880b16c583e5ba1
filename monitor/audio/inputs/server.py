"""What PulseAudio, or PipeWire in its place, says about a recording: which of its sources the samples come from.

ALSA and PortAudio know only that they record from a sound server, which may move a recording to another source at any
time. This asks `pactl`, of PulseAudio 16 or newer, about the server that programs use by default.
"""

import json
import os
import shutil
import subprocess
from typing import Any

SUSPENDED = " (suspended)"
"""End of the description of a source that the server has suspended."""
TIMEOUT = 1.0
"""Seconds to wait for an answer of the server."""


def recorded_source(pid: int) -> str:
    """Return a description of the source that this process records from; empty if it is unknown."""
    for output in _listed("source-outputs"):
        if output.get("properties", {}).get("application.process.id") == str(pid):
            for source in _listed("sources"):
                if source["index"] == output["source"]:
                    return _description(source)
    return ""


def _description(source: dict[str, Any]) -> str:
    text = str(source["description"] or source["name"])
    return f"{text}{SUSPENDED}" if source["state"] == "SUSPENDED" else text


def _listed(what: str) -> list[dict[str, Any]]:
    if (pactl := shutil.which("pactl")) is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [pactl, "--format=json", "list", what],
            env=os.environ | {"LC_ALL": "C"},  # else its numbers may have a decimal comma, which is not JSON
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        listed: list[dict[str, Any]] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return listed
