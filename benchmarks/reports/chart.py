"""The comparison as a picture: a panel of bars for each of a few figures, in SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.reports.results import Results
from benchmarks.reports.samples import short

PANELS = (
    ("Blocking requests/s, 32 at a time", "blocking chat 32"),
    ("Burst streams/s, 100 events each", "burst chat"),
    ("Processor ms per 1,000 events at 3,000 a second", "paced cpu"),
    ("Delay of an event, 64 paced streams, p50, ms", "delay 64 p50"),
)
WIDTH, LEFT, RIGHT, TITLE, BAR, GAP = 760, 160, 90, 34, 18, 6
HIGHLIGHTED, OTHERS = "#2563eb", "#94a3b8"
LEFT_OUT = "direct"


def svg(results: Results) -> str:
    """The picture."""
    gateways = [name for name in results.figures if name != LEFT_OUT]
    panels: list[str] = []
    top = 10
    for title, figure in PANELS:
        bars = [(name, found.median) for name in gateways if (found := results.of(name, figure))]
        if bars:
            panels += _panel(title, bars, top, 1000 if figure.endswith("cpu") else 1)
            top += TITLE + len(bars) * (BAR + GAP) + GAP
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>',
            *panels,
            "</svg>\n",
        ]
    )


def _panel(title: str, bars: list[tuple[str, float]], top: int, unit: float) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="{top + 20}" font-weight="600" fill="#0f172a">{escape(title)}</text>'
    most = max(value for _, value in bars) or 1
    for number, (name, value) in enumerate(bars):
        y = top + TITLE + number * (BAR + GAP)
        width = max(1, round((WIDTH - LEFT - RIGHT) * max(0, value) / most))
        colour = HIGHLIGHTED if name.startswith("AI Bridge") else OTHERS
        middle = y + BAR - 5
        yield f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end" fill="#0f172a">{escape(name)}</text>'
        yield f'<rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" rx="2" fill="{colour}"/>'
        yield f'<text x="{LEFT + width + 6}" y="{middle}" fill="#334155">{short(unit * value)}</text>'
