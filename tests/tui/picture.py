"""Render `docs/live.svg`, the README's picture, from the built-in demonstration: `python -m tests.tui.picture`."""

import asyncio
import re
import tempfile
from pathlib import Path

from monitor.config.schema import Config, EventsConfig, SourceConfig
from monitor.messages import Feed
from monitor.service import Service
from monitor.tui.app import MonitorApp

PICTURE = Path(__file__).parents[2] / "docs/live.svg"
MOMENT = 29.0
"""Seconds into the demonstration: during the siren, after the smoke alarm."""


async def picture(feed: Feed) -> None:
    """Show the feed on a virtual terminal, and save a screenshot."""
    app = MonitorApp(feed)
    async with app.run_test(size=(120, 32)):
        await asyncio.sleep(MOMENT)
        svg = app.export_screenshot(title="sound-monitor")
        svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)  # a picture should not load fonts from the web
        PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


def main() -> None:
    """Run the monitor with the screenshot as its display."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            node="hall",
            sources=(SourceConfig(input="demo"),),
            events=EventsConfig(path=f"{folder}/events.db"),
        )
        asyncio.run(Service(config).run(picture))


if __name__ == "__main__":
    main()
