"""What faults of a sound server do to a monitor with two microphones: `python -m tests.soak.microphones [FAULT...]`.

Each microphone has a PulseAudio of its own, and records noise. The faults befall the second one; the first one must not
notice. Prints a line for each fault: seconds until `offline` and until the first scores after the return, changes of
the problem state, the longest time without scores of the first microphone, and processor time, memory, threads and
descriptors of the monitor with its recorders.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiomqtt
import numpy as np

from tests.parts.broker import Broker
from tests.parts.virtual_mic import VirtualMic

CONFIG = """
node: soak
sources: [{{input: mic:first, name: first}}, {{input: mic:second, name: second}}]
mqtt: {{host: 127.0.0.1, port: {port}, live_interval: 0.25, discovery: false}}
events: {{path: {folder}/events.db}}
"""
FAULTS: dict[str, tuple[Callable[[VirtualMic], None], Callable[[VirtualMic], None]]] = {
    "suspend": (lambda mic: mic.suspend(True), lambda mic: mic.suspend(False)),
    "unplug": (VirtualMic.unplug, VirtualMic.replug),
    "kill": (VirtualMic.stop, VirtualMic.start),
    "freeze": (VirtualMic.freeze, VirtualMic.thaw),
}


class Tree:
    """The monitor and its recorders, by the accounts of the kernel."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def members(self) -> Iterator[Path]:
        """The folders of the processes."""
        yield Path(f"/proc/{self.pid}")
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield Path(f"/proc/{child}")

    def seconds(self) -> float:
        """Processor time of the living members, and of those that have ended."""
        ticks = 0
        for number, member in enumerate(self.members()):
            with contextlib.suppress(OSError):
                fields = (member / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:13] if number else fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def size(self) -> str:
        """Memory (proportional), threads and descriptors of the monitor, and of all its recorders."""
        parts = []
        for member in self.members():
            with contextlib.suppress(OSError):
                pss = int((member / "smaps_rollup").read_text().split("Pss:")[1].split()[0]) / 1024
                threads, files = (len(list((member / name).iterdir())) for name in ("task", "fd"))
                parts.append(f"{pss:.0f} MB/{threads} threads/{files} files")
        return " + ".join(parts)


class Witness:
    """What the monitor has published, with the time of arrival."""

    def __init__(self) -> None:
        self.got: list[tuple[float, str, bytes]] = []

    async def listen(self, port: int) -> None:
        """Collect messages until cancelled."""
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("sound-monitor/soak/#")
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                topic = str(message.topic).removeprefix("sound-monitor/soak/")
                self.got.append((time.monotonic(), topic, message.payload))

    def times(self, topic: str, since: float, payload: bytes | None = None) -> list[float]:
        """When messages with this topic (and payload) came."""
        return [at for at, name, data in self.got if name == topic and at >= since and payload in (None, data)]

    async def first(self, topic: str, since: float, seconds: float) -> float | None:
        """Seconds from `since` to the first message of the topic; None if none comes in time."""
        for _ in range(round(seconds / 0.05)):
            if found := self.times(topic, since):
                return found[0] - since
            await asyncio.sleep(0.05)
        return None


async def suffer(fault: str, second: VirtualMic, tree: Tree, witness: Witness, hold: float) -> None:
    """Cause one fault, undo it after `hold` seconds, and print what came of it."""
    cause, undo = FAULTS[fault]
    begun, used = time.monotonic(), tree.seconds()
    await asyncio.to_thread(cause, second)
    await asyncio.sleep(hold)
    load = 100 * (tree.seconds() - used) / (time.monotonic() - begun)
    offline = witness.times("second/availability", begun, b"offline")
    await asyncio.to_thread(undo, second)
    ended = time.monotonic()
    online_meanwhile = [at for at in witness.times("second/availability", begun, b"online") if at < ended - 1]
    live = await witness.first("second/live", ended, 60)
    await asyncio.sleep(6)
    problems = [data.decode() for at, name, data in witness.got if name == "second/problem/state" and at >= begun]
    first = [begun, *witness.times("first/live", begun), time.monotonic()]
    print(
        f"{fault:8} {hold:4.1f} s: offline after {offline[0] - begun if offline else float('nan'):.2f} s, "
        f"online meanwhile {len(online_meanwhile)} times, live {live if live is None else round(live, 2)} s after the "
        f"return, problem {' '.join(problems) or '-'}; first microphone: longest gap "
        f"{max(b - a for a, b in itertools.pairwise(first)):.2f} s, "
        f"offline {len(witness.times('first/availability', begun, b'offline'))} times; "
        f"CPU {load:.1f} % of a core; {tree.size()}",
        flush=True,
    )


async def main() -> None:
    """Run the faults in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", help=f"some of: {', '.join(FAULTS)}, absent; by default all")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds for which a fault lasts")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--random", type=float, metavar="MINUTES", help="faults at random, of half a second to 20 s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkout", default=".", help="the version to run")
    arguments = parser.parse_args()
    faults = arguments.faults or ["absent", *FAULTS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("home", "a", "b", "broker"):
            (folder / part).mkdir()
        first, second = VirtualMic(folder / "a"), VirtualMic(folder / "b")
        (folder / "home/.asoundrc").write_text(
            "".join(
                f'pcm.{pcm} {{ type pulse server "{mic.environment["PULSE_SERVER"]}" '
                f'hint {{ show on description "{pcm}" }} }}\n'
                for pcm, mic in (("first", first), ("second", second))
            )
        )
        with first, Broker(folder / "broker") as broker:
            if "absent" not in faults:
                second.start()
            try:
                await watch(folder, broker.port, arguments, faults, first, second)
            finally:
                second.thaw()
                second.stop()


async def make_noise(mic: VirtualMic) -> None:
    """Play noise into the microphone for as long as its server takes it, and again when it is back."""
    samples = (0.003 * np.random.default_rng(0).standard_normal(16_000 * 20)).astype("<f4").tobytes()
    while True:
        player = await asyncio.create_subprocess_exec(
            "pacat", "--playback", "--raw", "--format=float32le", "--channels=1", "--rate=16000", "--device=speaker",
            env=os.environ | mic.environment,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await player.communicate(samples)
        finally:
            with contextlib.suppress(ProcessLookupError):
                player.kill()
        await asyncio.sleep(1)


async def watch(
    folder: Path, port: int, arguments: argparse.Namespace, faults: list[str], first: VirtualMic, second: VirtualMic
) -> None:
    """Run the monitor through the faults."""
    (folder / "config.yaml").write_text(CONFIG.format(port=port, folder=folder))
    witness = Witness()
    listener = asyncio.create_task(witness.listen(port))
    monitor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "run", "--no-tui", "-c", str(folder / "config.yaml"),
        cwd=arguments.checkout,
        env=os.environ | first.environment | {"HOME": str(folder / "home")},
        stderr=(folder / "stderr").open("wb"),
    )  # fmt: skip
    tree, begun = Tree(monitor.pid), time.monotonic()
    noise = [asyncio.create_task(make_noise(mic)) for mic in (first, second)]
    print(f"first microphone live after {await witness.first('first/live', begun, 60)} s", flush=True)
    if "absent" in faults:
        await asyncio.sleep(arguments.hold)
        await asyncio.to_thread(second.start)
        print(f"absent: live {await witness.first('second/live', time.monotonic(), 60)} s after it appeared")
        faults = [fault for fault in faults if fault != "absent"]
    else:
        await witness.first("second/live", begun, 60)
    await asyncio.sleep(5)
    used, begun = tree.seconds(), time.monotonic()
    await asyncio.sleep(20)
    print(f"two microphones: CPU {100 * (tree.seconds() - used) / (time.monotonic() - begun):.2f} %; {tree.size()}")
    if arguments.random:
        dice, end = random.Random(arguments.seed), time.monotonic() + 60 * arguments.random
        while time.monotonic() < end:
            fault, hold = dice.choice(list(FAULTS)), round(0.5 * 40 ** dice.random(), 1)
            await suffer(fault, second, tree, witness, hold)
    else:
        for fault in faults * arguments.rounds:
            await suffer(fault, second, tree, witness, arguments.hold)
    for task in (listener, *noise):
        task.cancel()
    if monitor.returncode is None:
        monitor.send_signal(signal.SIGTERM)
    print(f"exit code {await monitor.wait()}; {(folder / 'stderr').read_text().count(chr(10))} lines on stderr")
    print((folder / "stderr").read_text()[-1500:])


if __name__ == "__main__":
    asyncio.run(main())
