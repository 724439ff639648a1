"""The table as SVG: a bar per row from weft's time to that of the best peer, on a logarithmic axis.

    gelu          ▇▇▇▇▇▇▇▇▏ |        The bar ends at weft's share of the best peer's time, the tick is the promise;
    mlp           ▇▇▇▇▇▇▇▇▇▇|▇▇      beyond it the bar is orange, or yellow if by less than the spread.

It follows the reader's light or dark theme where the viewer tells of one, and is light elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.results import Measured
from benchmarks.table import promise, shown

LOW, HIGH = 0.02, 10.0  # of the axis
LEFT, WIDTH, RIGHT = 168.0, 420.0, 172.0
LINE, HEAD, GAP, FOOT = 16.0, 66.0, 9.0, 12.0
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

STYLE = """
  text { font: 11px ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 14px; font-weight: 600 }
  .quiet { fill: #59636e }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .page { fill: #ffffff }
  .grid { stroke: #d1d9e0 }
  .one { stroke: #59636e }
  .met { fill: #2da44e }
  .missed { fill: #d9730d }
  .near { fill: #d4a72c }
  .free { fill: #8c959f }
  .target { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .page { fill: #0d1117 }
    .grid { stroke: #2a313c }
    .one { stroke: #9198a1 }
    .met { fill: #3fb950 }
    .missed { fill: #e0823d }
    .near { fill: #bb8009 }
    .free { fill: #6e7681 }
    .target { stroke: #e6edf3 }
  }
"""


def draw(all_measured: Sequence[Measured], about: str) -> str:
    """The picture. about: a line on the machine. Rows without a ratio are left out, unless weft refused them."""
    parts: list[str] = []
    y = HEAD
    for group in dict.fromkeys(m.row.group for m in all_measured):
        rows = [m for m in all_measured if m.row.group == group and (m.relative or m.ratio or m.met is False)]
        for m in rows:
            parts.append(_row(m, y))
            y += LINE
        y += GAP if rows else 0
    height = y + FOOT
    axis = "".join(_tick(tick, HEAD - 8, y - GAP + 2) for tick in TICKS)
    width = LEFT + WIDTH + RIGHT
    judged = [m.met for m in all_measured if m.met is not None]
    heading = "weft's time (or memory) over the best peer's: shorter is better, the tick is what is promised"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}">',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width:g}" height="{height:g}" rx="6"/>',
            f'<text class="title" x="12" y="20">{escape(heading)}</text>',
            f'<text class="quiet" x="12" y="36">{escape(about)}; {sum(judged)} of {len(judged)} promises met</text>',
            axis,
            *parts,
            "</svg>",
            "",
        ]
    )


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return round(LEFT + WIDTH * share, 1)


def _tick(ratio: float, top: float, bottom: float) -> str:
    kind = "one" if ratio == 1 else "grid"
    return (
        f'<line class="{kind}" x1="{_x(ratio)}" x2="{_x(ratio)}" y1="{top:g}" y2="{bottom:g}"/>'
        f'<text class="quiet middle" x="{_x(ratio)}" y="{top - 3:g}">{ratio:g}</text>\n'
    )


def _row(m: Measured, y: float) -> str:
    """Of a row with a limit instead of peers the bar is relative to the limit."""
    ratio = m.ratio if m.row.limit is None else m.relative
    goal = 1.0 if m.row.limit is not None else m.row.target
    middle = y + LINE / 2
    out = [f'<text class="end" x="{LEFT - 8:g}" y="{middle + 4:g}">{escape(m.row.name)}</text>']
    if ratio is None:
        out.append(f'<text class="quiet" x="{LEFT + 4:g}" y="{middle + 4:g}">refused</text>')
    else:
        kind = "near" if m.near else {True: "met", False: "missed", None: "free"}[m.met]
        out.append(
            f'<rect class="{kind}" x="{LEFT:g}" y="{y + 3:g}" width="{_x(ratio) - LEFT:.1f}" height="{LINE - 6:g}"/>'
        )
        out.append(
            f'<text class="quiet" x="{LEFT + WIDTH + 10:g}" y="{middle + 4:g}">{escape(_beside(m, ratio))}</text>'
        )
    if goal is not None:
        out.append(f'<line class="target" x1="{_x(goal)}" x2="{_x(goal)}" y1="{y + 1:g}" y2="{y + LINE - 1:g}"/>')
    return "".join(out)


def _beside(m: Measured, ratio: float) -> str:
    if m.row.limit is not None:
        return f"{shown(m.row, m.ours.median)}, {promise(m.row)}" if m.ours else ""
    return f"{ratio:.2f} of {m.best.peer}" if m.best else ""
