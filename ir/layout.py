"""Layers: boxes joined by links, arranged from top to bottom so that the links run down (Sugiyama's method).

    1. a box's layer is the length of the longest path to it; sources are drawn down to their readers
    2. a link over several layers becomes a chain of points, which take part in all that follows; the links
       that leave a box at one place share theirs
    3. within a layer the order follows the mean place of neighbours, down and up in turn; neighbours are
       exchanged where that helps; the order with the fewest crossings is kept
    4. x minimises Σ weight * (how far a link's ends are apart in x)², with a least distance between items of a
       layer: one layer after another, each solved exactly (an isotonic regression) with the others held
    5. y stacks the layers

Links turn aside only in the space between two layers, and their points keep them clear of boxes: they never
cross one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from itertools import pairwise

from weft.ir.records import dataclass, field

APART = 16.0  # between boxes of a layer
LANE = 9.0  # between points, and between a point and a box
GAP, TALLEST_GAP = 24.0, 60.0  # between layers: more where links run far sideways
ROUNDS, SWEEPS, WORK = 16, 100, 400_000  # rounds of step 3, of step 4; items that all rounds of a step may visit
MOST = 100_000  # points of chains
STRAIGHT = {0: 1.0, 1: 2.0, 2: 8.0}  # a link's weight, by how many of its ends are points of chains

Point = tuple[float, float]


class TooLarge(ValueError):
    """Nobody could read such a picture."""


@dataclass(frozen=True)
class Box:
    """pin: "first" or "last" for the boxes of a layer of their own at the top or at the bottom. free: the links
    that enter may change places with each other."""

    width: float
    height: float
    pin: str = ""
    free: bool = False


@dataclass(frozen=True)
class Link:
    """From the lower edge of a box, `leaves` from its left, to another's upper edge, `enters` from its left."""

    source: int
    target: int
    leaves: float
    enters: float


@dataclass
class Layout:
    """Upper left corners of the boxes; the points of each link, between which it goes straight down and
    sideways in turn."""

    width: float
    height: float
    corners: list[Point]
    routes: list[list[Point]]


@dataclass(eq=False)
class _Item:
    """A box, or a point of a chain (of no size), with what ties it to the layers above and below."""

    width: float
    height: float
    layer: int
    is_point: bool = False
    free: bool = False
    x: float = 0.0
    place: int = 0  # in its layer
    above: list[_Tie] = field(default_factory=list)
    below: list[_Tie] = field(default_factory=list)


@dataclass(eq=False)
class _Tie:
    """A link, or the part of one between two layers."""

    upper: _Item
    lower: _Item
    leaves: float
    enters: float

    @property
    def top(self) -> float:
        """Where along its layer the upper end is."""
        return self.upper.place + self.leaves / (self.upper.width + 1.0)

    @property
    def bottom(self) -> float:
        return self.lower.place + self.enters / (self.lower.width + 1.0)


def arrange(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Places for boxes whose links have no cycle. Raises TooLarge."""
    if not boxes:
        return Layout(0.0, 0.0, [], [])
    layers = _layers(boxes, links)
    items = [_Item(b.width, b.height, n, free=b.free) for b, n in zip(boxes, layers, strict=True)]
    ways = _ways(items, links)
    rows: list[list[_Item]] = [[] for _ in range(max(layers) + 1)]
    for item in [*items, *dict.fromkeys(tie.upper for way in ways for tie in way[1:])]:
        rows[item.layer].append(item)
    _order(rows)
    _place(rows)
    tops, bottoms = _stack(rows)
    ys = [(tops[i.layer] + bottoms[i.layer] - i.height) / 2 for i in items]
    routes = []
    for link, way in zip(links, ways, strict=True):
        route = [(way[0].upper.x + way[0].leaves, ys[link.source] + way[0].upper.height)]
        for tie in way:
            route.append((tie.upper.x + tie.leaves, bottoms[tie.upper.layer]))
            route.append((tie.lower.x + tie.enters, tops[tie.lower.layer]))
        routes.append([*route, (route[-1][0], ys[link.target])])
    width = max(i.x + i.width for row in rows for i in row)
    return Layout(width, bottoms[-1], [(i.x, y) for i, y in zip(items, ys, strict=True)], routes)


def _layers(boxes: Sequence[Box], links: Sequence[Link]) -> list[int]:
    """Longest paths from above; then what has more readers than operands goes down to them."""
    below: list[set[int]] = [set() for _ in boxes]
    above: list[set[int]] = [set() for _ in boxes]
    for link in links:
        below[link.source].add(link.target)
        above[link.target].add(link.source)
    missing = [len(a) for a in above]
    order = [i for i, n in enumerate(missing) if n == 0]
    for i in order:  # grows while it is walked
        for j in sorted(below[i]):
            missing[j] -= 1
            if missing[j] == 0:
                order.append(j)
    layer = [0] * len(boxes)
    for i in order:
        lowest = 1 if boxes[i].pin != "first" else 0
        layer[i] = max([lowest, *(layer[j] + 1 for j in above[i])])
    last = max(layer) + 1
    layer = [last if b.pin == "last" else n for n, b in zip(layer, boxes, strict=True)]
    for i in reversed(order):
        if not boxes[i].pin and len(above[i]) < len(below[i]):
            layer[i] = min(layer[j] for j in below[i]) - 1
    used = {n: k for k, n in enumerate(sorted(set(layer)))}
    return [used[n] for n in layer]


def _ways(items: list[_Item], links: Sequence[Link]) -> list[list[_Tie]]:
    """The ties of each link from above: one, or several by way of points in the layers between."""
    trunks: dict[tuple[int, float], list[_Tie]] = {}
    ways = []
    points = 0
    for link in links:
        source, target = items[link.source], items[link.target]
        trunk = trunks.setdefault((link.source, link.leaves), [])
        while source.layer + len(trunk) < target.layer - 1:
            point = _Item(0.0, 0.0, source.layer + len(trunk) + 1, is_point=True)
            trunk.append(_tie(trunk, source, link.leaves, point, 0.0))
            points += 1
            if points > MOST:
                raise TooLarge(f"{len(items)} boxes with {len(links)} links are too many for a picture")
        way = trunk[: target.layer - source.layer - 1]
        ways.append([*way, _tie(way, source, link.leaves, target, link.enters)])
    return ways


def _tie(way: list[_Tie], source: _Item, leaves: float, target: _Item, enters: float) -> _Tie:
    """On from the last point of a way, or from the source."""
    tie = _Tie(way[-1].lower, target, 0.0, enters) if way else _Tie(source, target, leaves, enters)
    tie.upper.below.append(tie)
    target.above.append(tie)
    return tie


def _order(rows: list[list[_Item]]) -> None:
    """Order the rows so that few links cross."""
    _number(rows)
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for n in range(_rounds(rows, ROUNDS)):
        if fewest == 0:
            break
        for row in rows if n % 2 == 0 else reversed(rows):
            means = {item: _mean(item, down=n % 2 == 0) for item in row}
            row.sort(key=means.__getitem__)
            _number([row])
        _exchange(rows)
        _untwist(rows)
        count = _crossings(rows)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best
    _number(rows)
    _untwist(rows)


def _rounds(rows: list[list[_Item]], most: int) -> int:
    return min(most, max(4, WORK // sum(map(len, rows))))


def _number(rows: list[list[_Item]]) -> None:
    for row in rows:
        for k, item in enumerate(row):
            item.place = k


def _mean(item: _Item, down: bool) -> float:
    ends = [tie.top for tie in item.above] if down else [tie.bottom for tie in item.below]
    return math.fsum(ends) / len(ends) if ends else item.place


def _untwist(rows: list[list[_Item]]) -> None:
    """Let links enter boxes that allow it in the order in which they come."""
    for row in rows:
        for item in row:
            if item.free:
                ties = sorted(item.above, key=lambda tie: tie.top)
                for tie, enters in zip(ties, sorted(tie.enters for tie in ties), strict=True):
                    tie.enters = enters


def _crossings(rows: list[list[_Item]]) -> int:
    """How often two links cross, in all gaps: inversions among the links sorted by their upper ends."""
    count = 0
    for row in rows:
        seen: list[float] = []
        for _, end in sorted((tie.top, tie.bottom) for item in row for tie in item.below):
            count += len(seen) - bisect.bisect_right(seen, end)
            bisect.insort(seen, end)
    return count


def _exchange(rows: list[list[_Item]]) -> None:
    """Swap neighbours in a row while fewer of their links cross for it."""
    for row in rows:
        for k in range(len(row) - 1):
            a, b = row[k], row[k + 1]
            if _pair(b, a) < _pair(a, b):
                row[k], row[k + 1] = b, a
                a.place, b.place = k + 1, k


def _pair(a: _Item, b: _Item) -> int:
    """Crossings between the links of a and of b when a is left of b."""
    above = sum(t.top > u.top for t in a.above for u in b.above)
    return above + sum(t.bottom > u.bottom for t in a.below for u in b.below)


def _place(rows: list[list[_Item]]) -> None:
    """Give each item its x; the leftmost is at 0."""
    for row in rows:
        for a, b in pairwise(row):
            b.x = a.x + a.width + _apart(a, b)
        middle = (row[-1].x + row[-1].width) / 2
        for item in row:
            item.x -= middle
    rounds = _rounds(rows, SWEEPS)
    for n in range(rounds):
        for row in rows if n % 2 == 0 else reversed(rows):
            _settle(row, smooth=n < rounds * 2 // 3)
    left = min(row[0].x for row in rows)
    for row in rows:
        for item in row:
            item.x -= left


def _apart(a: _Item, b: _Item) -> float:
    return LANE if a.is_point or b.is_point else APART


def _settle(row: list[_Item], smooth: bool) -> None:
    """The best x for a row when all others stay: a least squares fit under x[k + 1] >= x[k] + least distance.

    With the least distances summed up and taken off, x must not decrease: neighbours that do are pooled.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    taken = []
    shift = 0.0
    for k, item in enumerate(row):
        taken.append(shift)
        goal, weight, many = *_goal(item, smooth), 1
        goal -= shift
        while pools and pools[-1][0] >= goal:
            mean, heavy, n = pools.pop()
            goal = (mean * heavy + goal * weight) / (heavy + weight)
            weight, many = weight + heavy, many + n
        pools.append((goal, weight, many))
        if k + 1 < len(row):
            shift += item.width + _apart(item, row[k + 1])
    means = [mean for mean, _, n in pools for _ in range(n)]
    for item, mean, off in zip(row, means, taken, strict=True):
        item.x = mean + off


def _goal(item: _Item, smooth: bool) -> tuple[float, float]:
    """Where the links of an item would have it, and how strongly.

    smooth: by squares of distances. In the end by distances, that is, squares divided by themselves: this
    makes few and sharp bends out of many slight ones.
    """
    total, weight = item.x * 1e-6, 1e-6
    for tie in (*item.above, *item.below):
        if tie.lower is item:
            goal = tie.upper.x + tie.leaves - tie.enters
        else:
            goal = tie.lower.x + tie.enters - tie.leaves
        w = STRAIGHT[tie.upper.is_point + tie.lower.is_point] / (len(tie.upper.below) * len(tie.lower.above))
        w = w if smooth else w / (abs(goal - item.x) + 1.0)
        total += w * goal
        weight += w
    return total / weight, weight


def _stack(rows: list[list[_Item]]) -> tuple[list[float], list[float]]:
    """Upper and lower ends of the rows."""
    tops, bottoms = [], []
    y = 0.0
    for row in rows:
        tops.append(y)
        y += max(item.height for item in row)
        bottoms.append(y)
        ties = [tie for item in row for tie in item.below]
        aside = max((abs(t.lower.x + t.enters - t.upper.x - t.leaves) for t in ties), default=0.0)
        y += min(GAP + 0.1 * aside, TALLEST_GAP)
    return tops, bottoms
