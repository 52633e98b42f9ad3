"""Waits before, during and after faults as a picture: a point for each request, and a band for each fault, in SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH, PLOT, LEFT, RIGHT, TOP, BOTTOM = 1000, 300, 64, 16, 120, 40
LEAST_MS, MAX_MS = 1.0, 10_000.0
TICKS_MS = (1, 10, 100, 1_000, 10_000)
POINT, LINE, GRID, TEXT = "#2563eb", "#0f172a", "#e2e8f0", "#334155"
SERVER, DATABASE = "#fde68a", "#fecaca"
BIN_SECONDS = 2.0


class Band(NamedTuple):
    """An event from one time to another, in seconds; `database` decides the colour."""

    name: str
    begin: float
    end: float
    database: bool = False


def svg(waits: Sequence[tuple[float, float]], bands: Sequence[Band], seconds: float) -> str:
    """The picture.

    Args:
        waits: When each request began, and how long it waited, in seconds.
        bands: The events meanwhile.
        seconds: How long the picture is.
    """
    height = TOP + PLOT + BOTTOM
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *_bands(bands, seconds),
            *_axes(seconds),
            f'<path d="{_points(waits, seconds)}" stroke="{POINT}" stroke-width="3" stroke-linecap="round" opacity="0.6"/>',
            f'<polyline points="{_medians(waits, seconds)}" fill="none" stroke="{LINE}" stroke-width="1.5"/>',
            "</svg>\n",
        ]
    )


def _x(at: float, seconds: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(0.0, at), seconds) / seconds


def _y(wait: float) -> float:
    """A logarithmic scale, because waits are between a millisecond and seconds."""
    milliseconds = min(max(1000 * wait, LEAST_MS), MAX_MS)
    return TOP + PLOT * (1 - math.log(milliseconds / LEAST_MS) / math.log(MAX_MS / LEAST_MS))


def _bands(bands: Sequence[Band], seconds: float) -> Iterator[str]:
    for band in bands:
        left, right = _x(band.begin, seconds), _x(band.end, seconds)
        colour = DATABASE if band.database else SERVER
        yield f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{PLOT}" fill="{colour}"/>'
        middle = (left + right) / 2
        turned = f'transform="translate({middle + 4:.1f} {TOP - 6}) rotate(-50)"'
        yield f'<text {turned} fill="{TEXT}">{escape(band.name)}</text>'


def _axes(seconds: float) -> Iterator[str]:
    for tick in TICKS_MS:
        y = _y(tick / 1000)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
        name = f"{tick} ms" if tick < 1000 else f"{tick // 1000} s"
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{TEXT}">{name}</text>'
    step = next(step for step in (10, 20, 30, 60, 120, 300, math.inf) if seconds / step <= 12)
    at = 0.0
    while at <= seconds:
        x, y = _x(at, seconds), TOP + PLOT
        yield f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 4}" stroke="{TEXT}"/>'
        yield f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle" fill="{TEXT}">{at:.0f} s</text>'
        at += step


def _points(waits: Sequence[tuple[float, float]], seconds: float) -> str:
    """Dots: lines without length and with round ends."""
    return "".join(f"M{_x(at, seconds):.1f} {_y(wait):.1f}h0" for at, wait in waits)


def _medians(waits: Sequence[tuple[float, float]], seconds: float) -> str:
    bins: dict[int, list[float]] = {}
    for at, wait in waits:
        bins.setdefault(int(at / BIN_SECONDS), []).append(wait)
    return " ".join(
        f"{_x((number + 0.5) * BIN_SECONDS, seconds):.1f},{_y(sorted(found)[len(found) // 2]):.1f}"
        for number, found in sorted(bins.items())
    )
