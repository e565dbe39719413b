# SPDX-License-Identifier: Apache-2.0
"""A drawing of lines, boxes and words as SVG, the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

Point = tuple[float, float]
_FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
INK, FAINT = "#222222", "#999999"


def css(color: tuple[int, int, int]) -> str:
    """RGB of 0..255 as SVG writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


class Drawing:
    """Shapes are painted in the order of the calls, on white."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._parts = [f'<rect width="{width}" height="{height}" fill="white"/>']

    def line(
        self, points: Sequence[Point], color: str = INK, width: float = 1.5, dashes: str = ""
    ) -> None:
        """Through all points."""
        path = " ".join(f"{_shown(x)},{_shown(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"'
            f' stroke-linejoin="round"{dashed}/>'
        )

    def arrow(self, start: Point, end: Point, color: str = INK, width: float = 1.5) -> None:
        """A line with a head at its end."""
        (x0, y0), (x1, y1) = start, end
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        dx, dy = (x1 - x0) / length * 9, (y1 - y0) / length * 9
        self.line([start, (x1 - dx / 2, y1 - dy / 2)], color, width)
        self.shape(
            [end, (x1 - dx - dy / 2, y1 - dy + dx / 2), (x1 - dx + dy / 2, y1 - dy - dx / 2)],
            color,
        )

    def shape(self, points: Sequence[Point], fill: str) -> None:
        """A filled polygon."""
        path = " ".join(f"{_shown(x)},{_shown(y)}" for x, y in points)
        self._parts.append(f'<polygon points="{path}" fill="{fill}"/>')

    def box(self, corner: Point, size: Point, fill: str, edge: str = INK, radius: int = 8) -> None:
        """A rectangle with round corners."""
        self._parts.append(
            f'<rect x="{_shown(corner[0])}" y="{_shown(corner[1])}" width="{_shown(size[0])}"'
            f' height="{_shown(size[1])}" rx="{radius}" fill="{fill}" stroke="{edge}"/>'
        )

    def dot(self, at: Point, radius: float, fill: str, edge: str = INK) -> None:
        """A circle."""
        self._parts.append(
            f'<circle cx="{_shown(at[0])}" cy="{_shown(at[1])}" r="{radius:g}" fill="{fill}"'
            f' stroke="{edge}" stroke-width="0.8"/>'
        )

    def text(
        self,
        at: Point,
        words: str,
        size: float = 13,
        *,
        anchor: str = "start",
        color: str = INK,
        bold: bool = False,
    ) -> None:
        """One line; ``anchor`` is start, middle or end."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{_shown(at[0])}" y="{_shown(at[1])}" font-size="{size:g}" fill="{color}"'
            f' text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def write(self, path: Path) -> None:
        """The file."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" font-family="{_FONT}">'
        )
        path.write_text("\n".join([head, *self._parts, "</svg>\n"]), encoding="utf-8")


def _shown(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
