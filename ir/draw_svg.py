"""A graph as SVG, without graphviz: `draw` says what there is to draw, `layout` where.

      │       │         A group is laid out first, with a port in its upper edge for each value that enters
    ╭─┴───────┴─────╮   and one in its lower edge for each that leaves; from then on it is one large box. So
    │k0  mul   tanh │   groups nest, and a value's way into one is several links, one after another.
    ╰─────┬─────────╯
          │ f32[4]      A value's type stands where its links begin.

The picture follows the reader's light or dark theme where the viewer tells of one, and is light elsewhere.
"""

from __future__ import annotations

import unicodedata
from html import escape

from weft.ir.draw import Picture, picture
from weft.ir.graph import Graph
from weft.ir.layout import Box, Layout, Link, Point, arrange
from weft.ir.records import dataclass, field

LETTER = 0.605  # width of a letter in the widest of the usual monospace fonts, in font sizes
TITLE, SMALL = 12.0, 10.0  # font sizes: of an op; of names and types
PAD, LINE = 9.0, 14.0  # beside the text of a box; height of a line of it
LABEL = 13.0  # height of the type below a box
MARGIN, INSET, BELOW = 16.0, 10.0, 2.0  # around the picture; inside a group's frame, right, and above and below
LONGEST = 32  # letters of a name: the tip has all of it

STYLE = """
  text { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
  .title { font-size: 12px; text-anchor: middle }
  .name { font-size: 10px; text-anchor: middle; fill: #59636e }
  .type { font-size: 10px; fill: #59636e; paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
  .inner .type { stroke: #f3f5f8 }
  .group text { font-size: 10px; font-weight: bold; fill: #59636e }
  .page { fill: #ffffff }
  .group rect { fill: #f3f5f8; stroke: #d1d9e0 }
  .edge { fill: none; stroke: #8c959f; stroke-width: 1.2 }
  .head { fill: #8c959f }
  .node rect { fill: #ffffff; stroke: #afb8c1 }
  .movement rect, .source rect { stroke-dasharray: 3 2 }
  .dot rect { fill: #ddf4ff; stroke: #54aeff }
  .reduce rect { fill: #fff8c5; stroke: #d4a72c }
  .input rect { fill: #dafbe1; stroke: #4ac26b }
  .output rect { fill: #fbefff; stroke: #c297ff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .name, .type, .group text { fill: #9198a1 }
    .page { fill: #0d1117 }
    .group rect { fill: #1a212b; stroke: #3d444d }
    .edge { stroke: #6e7681 }
    .head { fill: #6e7681 }
    .type { stroke: #0d1117 }
    .inner .type { stroke: #1a212b }
    .node rect { fill: #0d1117; stroke: #656c76 }
    .dot rect { fill: #10243e; stroke: #1f6feb }
    .reduce rect { fill: #2a2211; stroke: #9e6a03 }
    .input rect { fill: #12261e; stroke: #238636 }
    .output rect { fill: #271f3d; stroke: #8957e5 }
  }
"""


def print_svg(graph: Graph) -> str:
    """The picture of a graph as an SVG document."""
    drawn = picture(graph)
    artist = _Artist(drawn)
    frame = artist.frame(-1)
    artist.draw(frame, MARGIN, MARGIN)
    width, height = frame.layout.width + 2 * MARGIN, frame.layout.height + 2 * MARGIN
    parts = "\n".join([*artist.groups, *artist.edges, *artist.nodes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">\n<title>{_text(drawn.name)}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="page" width="100%" height="100%" rx="6"/>\n{parts}\n</svg>\n'
    )


@dataclass
class _Frame:
    """A group, laid out: its boxes (nodes by index, inner frames, ports as None), and where a source's value
    enters or leaves it, in x."""

    group: int
    layout: Layout
    boxes: list[int | _Frame | None]
    links: list[Link]
    left: float = 0.0  # of what is in it
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0
    enters: dict[int, float] = field(default_factory=dict)
    leaves: dict[int, float] = field(default_factory=dict)


class _Artist:
    def __init__(self, drawn: Picture) -> None:
        self.drawn = drawn
        self.groups: list[str] = []
        self.edges: list[str] = []
        self.nodes: list[str] = []
        self.operands: list[list[int]] = [[] for _ in drawn.nodes]
        for source, target in drawn.edges:
            self.operands[target].append(source)
        self.read = {source for source, _ in drawn.edges}

    def frame(self, group: int) -> _Frame:
        """Lay out a group (-1: all) and the groups in it."""
        return _Framer(self, group).frame

    def size(self, i: int) -> tuple[float, float]:
        """Of a node's box."""
        node = self.drawn.nodes[i]
        width = max(_width(_short(node.title), TITLE), _width(_short(node.name), SMALL)) + 2 * PAD
        return width, LINE * (2 if node.name else 1) + 8

    def box(self, i: int) -> Box:
        """A node with the type of its value, which stands below its box to the right of the link."""
        node = self.drawn.nodes[i]
        width, height = self.size(i)
        if i not in self.read:
            return Box(width, height, free=node.free)
        return Box(max(width, width / 2 + 5 + _width(node.type, SMALL)), height + LABEL, free=node.free)

    def draw(self, frame: _Frame, x: float, y: float) -> None:
        """Draw what is in a frame whose upper left corner is at (x, y)."""
        if frame.group >= 0:
            title = _text(self.drawn.groups[frame.group].title)
            self.groups.append(
                f'<g class="group"><rect {_rect(x, y, frame.width, frame.height)} rx="8"/>'
                f'<text x="{x + 7:.1f}" y="{y + 15:.1f}">{title}</text></g>'
            )
        x, y = x + frame.left, y + frame.top
        for box, (bx, by) in zip(frame.boxes, frame.layout.corners, strict=True):
            if isinstance(box, _Frame):
                self.draw(box, x + bx, y + by)
            elif box is not None:
                self.node(box, x + bx, y + by)
        for link, route in zip(frame.links, frame.layout.routes, strict=True):
            self.edge(frame, link, [(x + px, y + py) for px, py in route])

    def node(self, i: int, x: float, y: float) -> None:
        node = self.drawn.nodes[i]
        width, height = self.size(i)
        round_ = height / 2 if node.kind in ("input", "output") else 4
        middle = x + width / 2
        where = " inner" if node.group >= 0 else ""
        parts = [
            f'<g class="node {node.kind}{where}"><title>{_text(node.tip)}</title>',
            f'<rect {_rect(x, y, width, height)} rx="{round_:.1f}"/>',
            f'<text class="title" x="{middle:.1f}" y="{y + 15:.1f}">{_text(_short(node.title))}</text>',
        ]
        if node.name:
            parts.append(f'<text class="name" x="{middle:.1f}" y="{y + 28:.1f}">{_text(_short(node.name))}</text>')
        if i in self.read:
            parts.append(f'<text class="type" x="{middle + 5:.1f}" y="{y + height + 10:.1f}">{_text(node.type)}</text>')
        self.nodes.append("".join([*parts, "</g>"]))

    def edge(self, frame: _Frame, link: Link, route: list[Point]) -> None:
        """From a box, beside its type, or from the frame, through the layers, and on to a box or to the frame."""
        source, target = frame.boxes[link.source], frame.boxes[link.target]
        (x, y), (ex, ey) = route[0], route[-1]
        if isinstance(source, int):
            y -= LABEL
        elif source is None:
            y -= frame.top
        if target is None:
            route = [*route, (ex, ey + BELOW)]
        path = f"M{x:.1f} {y:.1f}"
        for to, down in route:
            middle = (y + down) / 2
            straight = abs(to - x) < 0.05
            path += f"V{down:.1f}" if straight else f"C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {down:.1f}"
            x, y = to, down
        self.edges.append(f'<path class="edge" d="{path}"/>')
        if isinstance(target, int):
            self.edges.append(f'<path class="head" d="M{ex:.1f} {ey:.1f}l-3.2 -6h6.4z"/>')


class _Framer:
    """Lays out one group: its nodes, the groups in it, and its ports."""

    def __init__(self, artist: _Artist, group: int) -> None:
        self.artist = artist
        self.group = group
        self.boxes: list[int | _Frame | None] = []
        self.sizes: list[Box] = []
        self.links: dict[tuple[int, int, float, float], Link] = {}
        self.nodes: dict[int, int] = {}  # node -> its box
        self.inner: dict[int, int] = {}  # group directly inside -> its box
        self.ports: dict[tuple[str, int], int] = {}  # ("first" or "last", source) -> its box
        drawn = artist.drawn
        for i, node in enumerate(drawn.nodes):
            if node.group == group:
                self.nodes[i] = self._add(i, artist.box(i))
        for g, inner in enumerate(drawn.groups):
            if inner.parent == group:
                frame = artist.frame(g)
                self.inner[g] = self._add(frame, Box(frame.width, frame.height))
        for target, sources in enumerate(artist.operands):
            for k, source in enumerate(sources):
                self._link(source, target, (k + 1) / (len(sources) + 1))
        links = list(self.links.values())
        self.frame = _Frame(group, arrange(self.sizes, links), self.boxes, links)
        self._close()

    def _add(self, box: int | _Frame | None, size: Box) -> int:
        self.boxes.append(box)
        self.sizes.append(size)
        return len(self.boxes) - 1

    def _link(self, source: int, target: int, part: float) -> None:
        """What there is in this group of the way from a node to a part of another's upper edge."""
        out, into = self._holder(source), self._holder(target)
        if (out is None and into is None) or (out == into and out is not None):
            return  # elsewhere, or farther inside
        out = self._port("first", source) if out is None else out
        into = self._port("last", source) if into is None else into
        leaving, entering = self.boxes[out], self.boxes[into]
        leaves = enters = 0.0
        if isinstance(leaving, _Frame):
            leaves = leaving.leaves[source]
        elif leaving is not None:
            leaves = self.artist.size(leaving)[0] / 2
        if isinstance(entering, _Frame):
            enters = entering.enters[source]
        elif entering is not None:
            enters = self.artist.size(entering)[0] * part
        self.links[out, into, leaves, enters] = Link(out, into, leaves, enters)

    def _holder(self, node: int) -> int | None:
        """The box of this group that is or holds a node; None for a node outside."""
        if node in self.nodes:
            return self.nodes[node]
        chain = self.artist.drawn.chain(self.artist.drawn.nodes[node].group)
        return next((self.inner[g] for g in chain if g in self.inner), None)

    def _port(self, pin: str, source: int) -> int:
        if (pin, source) not in self.ports:
            self.ports[pin, source] = self._add(None, Box(0.0, 0.0, pin))
        return self.ports[pin, source]

    def _close(self) -> None:
        """Put a frame around what was laid out, with room for its title at the left."""
        frame, layout = self.frame, self.frame.layout
        if self.group < 0:
            return
        frame.left = _width(self.artist.drawn.groups[self.group].title, SMALL) + 14
        frame.top = BELOW
        frame.width = frame.left + layout.width + INSET
        frame.height = layout.height + 2 * BELOW
        for (pin, source), box in self.ports.items():
            ends = frame.enters if pin == "first" else frame.leaves
            ends[source] = frame.left + layout.corners[box][0]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _width(text: str, size: float) -> float:
    """How wide a text may be in a monospace font: two columns for a letter of East Asian width."""
    return LETTER * size * (len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text))


def _rect(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'


def _text(text: str) -> str:
    return escape("".join(c if c.isprintable() or c == "\n" else "?" for c in text), quote=False)
