"""The panels of the display: scores, active sounds, level. Each redraws only if its content has changed."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from monitor.messages import Detection, Snapshot
from monitor.tui import draw


class ScoreList(Widget):
    """The highest scores of the chosen source; labels that are on are marked."""

    snapshot: reactive[Snapshot | None] = reactive(None)
    notice = reactive("")
    """Text in place of scores."""
    deaf = reactive(False, toggle_class="-deaf")
    """The notice is a problem."""

    def render(self) -> Text:
        width, height = self.content_size
        if self.notice or self.snapshot is None:
            return Text(draw.clean(self.notice), f"bold {draw.BAD}" if self.deaf else draw.MUTED)
        labels = self.snapshot.labels
        names = min(30, width * 2 // 5)
        spaced = (height + 1) // 2
        gap, room = ("\n\n", spaced) if spaced >= min(10, len(labels)) else ("\n", height)
        lines = []
        for score in labels[:room]:
            name = f"{'●' if score.active else ' '} {draw.fit(score.label, names)} "
            style = f"bold {draw.WARN}" if score.active else draw.TEXT if score.score >= 0.2 else draw.MUTED
            lines.append(
                Text.assemble(
                    (name, style), draw.bar(score.score, max(1, width - names - 9)), (f" {score.score:5.2f}", style)
                )
            )
        return Text(gap, no_wrap=True).join(lines)


class ActiveList(Widget):
    """Sounds that are on, of all sources, in two lines each."""

    rows: reactive[tuple[tuple[Detection, str], ...]] = reactive(())
    """Each with its duration so far, as text."""

    def render(self) -> Text:
        width, height = self.content_size
        if not self.rows:
            return Text("All quiet", draw.MUTED)
        room = len(self.rows) if 2 * len(self.rows) <= height else max(1, (height - 1) // 2)
        lines = []
        for detection, lasted in self.rows[:room]:
            since = detection.started_at.astimezone().strftime("%H:%M:%S")
            lines.append(_ends(f"● {detection.label}", lasted, width, f"bold {draw.WARN}"))
            peak = f"{'peak ' if width >= 36 else ''}{detection.peak:.2f}"
            lines.append(_ends(f"  {detection.source}  {since}", peak, width, draw.MUTED))
        if room < len(self.rows):
            lines.append(Text(f"  and {len(self.rows) - room} more", draw.MUTED))
        return Text("\n", no_wrap=True).join(lines)


class LevelMeter(Widget):
    """The level of the chosen source, with its held peak and its history."""

    levels: reactive[tuple[float, ...]] = reactive(())
    """Oldest first, dBFS."""
    peak = reactive(0.0)

    def render(self) -> Text:
        width, height = self.content_size
        if not self.levels:
            return Text("No level yet", draw.MUTED)
        numbers = f" {self.levels[-1]:6.1f}  peak {self.peak:6.1f} dBFS"
        across = max(1, width - len(numbers))
        lines = [draw.meter(self.levels[-1], self.peak, across) + Text(numbers, draw.TEXT)]
        if height >= 4:
            lines += [draw.scale(across), Text()]
        lines += draw.chart(self.levels, width, height - len(lines))
        return Text("\n", no_wrap=True).join(lines)


def _ends(left: str, right: str, width: int, style: str) -> Text:
    """Format one line with a text at either end; the left one is cut if necessary."""
    return Text(f"{draw.fit(left, width - len(right) - 1)} {right}", style)
