"""Pictures of graphs: everything is in them once, nothing lies on anything else, links go around boxes."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from strategies import graphs

from weft.ir import Builder, Graph, Location, TensorType
from weft.ir.draw import Picture, picture, print_dot
from weft.ir.draw_svg import LETTER, print_svg
from weft.ir.graph import is_literal
from weft.ir.layout import Box, Link, TooLarge, arrange
from weft.ir.ops.elementwise import add, mul
from weft.ir.ops.transcendental import tanh
from weft.ir.parse import parse
from weft.passes.manager import run
from weft.pipeline import PASSES

SVG = "{http://www.w3.org/2000/svg}"

SOFTMAX = """
@kernel
def k0(z: f32[8, 3], y: f32[8, 3]) -> (f32[8, 3], f32[8]):
    t0: f32[8] = max(z, axes=(1,))  # net.py:4
    m: f32[8, 1] = reshape(t0, shape=(8, 1))  # net.py:4
    d: f32[8, 3] = sub(z, m)  # net.py:5
    e: f32[8, 3] = exp(d)  # net.py:5
    t1: f32[8] = sum(e, axes=(1,))  # net.py:6
    s: f32[8, 1] = reshape(t1, shape=(8, 1))  # net.py:6
    p: f32[8, 3] = div(e, s)  # net.py:7
    t2: f32[8, 3] = mul(y, d)  # net.py:8
    t3: f32[8] = sum(t2, axes=(1,))  # net.py:8
    t4: f32[8] = mul(t3, f32(-0.5))  # net.py:8
    return p, t4

def step(x: f32[8, 4], w: f32[4, 3], y: f32[8, 3]) -> (f32[4, 3], f32[8], f32[8, 3]):
    z: f32[8, 3] = dot(x, w, batch=((), ()), contract=((1,), (0,)))  # net.py:3
    p, loss = k0(z, y)
    g: f32[8, 3] = sub(p, y)  # net.py:9
    d_w: f32[4, 3] = dot(x, g, batch=((), ()), contract=((0,), (0,)))  # net.py:3
    return d_w, loss, y
"""


def lines_of(graph: Graph, group: str = "") -> list[tuple[str, str]]:
    """(group, op name) of every op that a picture must show."""
    found = []
    for op in graph.ops:
        if op.kind.name == "call":
            found += lines_of(op.regions[0], op.regions[0].name)
        elif not is_literal(op):
            found.append((group, op.kind.name))
    return found


class Drawn:
    """An SVG read back: rectangles (left, top, right, bottom), by what they are of."""

    def __init__(self, graph: Graph) -> None:
        self.root = ET.fromstring(print_svg(graph))
        self.nodes = [g for g in self.root.iter(f"{SVG}g") if "node" in g.get("class", "").split()]
        self.groups = [g for g in self.root.iter(f"{SVG}g") if g.get("class") == "group"]
        self.boxes = [self.rectangle(g) for g in self.nodes]
        self.frames = [self.rectangle(g) for g in self.groups]
        self.page = (0.0, 0.0, float(self.root.get("width", 0)), float(self.root.get("height", 0)))

    @staticmethod
    def rectangle(g: ET.Element) -> tuple[float, float, float, float]:
        r = g.find(f"{SVG}rect")
        assert r is not None
        x, y, width, height = (float(r.get(k, "nan")) for k in ("x", "y", "width", "height"))
        return x, y, x + width, y + height

    @staticmethod
    def text_box(text: ET.Element) -> tuple[float, float, float, float]:
        """Where a text is, in the widest font."""
        size = 12.0 if text.get("class") == "title" else 10.0
        wide = LETTER * size * len(text.text or "")
        x, y = float(text.get("x", 0)), float(text.get("y", 0))
        x -= wide / 2 if text.get("class") in ("title", "name") else 0
        return x, y - 0.75 * size, x + wide, y + 0.2 * size

    def paths(self) -> list[list[tuple[float, float]]]:
        """Points along each link, a few for each part of it."""
        found = []
        for path in self.root.iter(f"{SVG}path"):
            if path.get("class") != "edge":
                continue
            points: list[tuple[float, float]] = []
            for letter, numbers in re.findall(r"([MVC])([^MVC]*)", path.get("d", "")):
                n = [float(text) for text in numbers.split()]
                if letter == "M":
                    points.append((n[0], n[1]))
                    continue
                x, y = points[-1]
                a, b, c, d, ex, ey = n if letter == "C" else (x, y, x, n[0], x, n[0])
                for k in range(1, 11):
                    t, u = k / 10, 1 - k / 10
                    points.append(tuple(  # type: ignore[arg-type]
                        u**3 * p + 3 * u * u * t * q + 3 * u * t * t * r + t**3 * s
                        for p, q, r, s in ((x, a, c, ex), (y, b, d, ey))
                    ))  # fmt: skip
            found.append(points)
        return found


def overlap(a, b, slack: float = 0.11) -> bool:
    """Coordinates are rounded to tenths."""
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def inside(a, b, slack: float = 0.11) -> bool:
    return a[0] >= b[0] - slack and a[1] >= b[1] - slack and a[2] <= b[2] + slack and a[3] <= b[3] + slack


def check(graph: Graph) -> None:
    """All that must hold of any picture."""
    drawn, said = Drawn(graph), picture(graph)
    expected = lines_of(graph)
    shown = [g for g in drawn.nodes if not {"input", "output"} & set(g.get("class", "").split())]
    titles = [g.findtext(f"{SVG}text", "") for g in shown]
    assert Counter(re.split(r"[( ]", t)[0] for t in titles) == Counter(name for _, name in expected)
    ends = Counter(kind for g in drawn.nodes for kind in g.get("class", "").split() if kind in ("input", "output"))
    assert (ends["input"], ends["output"]) == (len(graph.inputs), len(graph.outputs))
    for a, b in combinations(drawn.boxes, 2):
        assert not overlap(a, b)
    for box in [*drawn.boxes, *drawn.frames]:
        assert inside(box, drawn.page)
    groups_hold_their_nodes(drawn, said)
    texts_are_clear(drawn)
    titles_of_groups = [drawn.text_box(g.find(f"{SVG}text")) for g in drawn.groups]
    for points in drawn.paths():
        for x, y in points:
            assert not any(overlap((x, y, x, y), box) for box in [*drawn.boxes, *titles_of_groups])


def groups_hold_their_nodes(drawn: Drawn, said: Picture) -> None:
    assert len(drawn.groups) == len(said.groups)
    want = Counter()
    for node in said.nodes:
        want[tuple(sorted(said.groups[g].title for g in said.chain(node.group))), node.tip] += 1
    have = Counter()
    for g, box in zip(drawn.nodes, drawn.boxes, strict=True):
        around = []
        for group, frame in zip(drawn.groups, drawn.frames, strict=True):
            if inside(box, frame):
                around.append(group.findtext(f"{SVG}text", ""))
            else:
                assert not overlap(box, frame)
        have[tuple(sorted(around)), g.findtext(f"{SVG}title", "")] += 1
    assert have == want


def texts_are_clear(drawn: Drawn) -> None:
    """Titles and names are inside their own box, types outside all boxes, and none on another."""
    texts = []
    for g, box in zip(drawn.nodes, drawn.boxes, strict=True):
        for text in g.findall(f"{SVG}text"):
            place = drawn.text_box(text)
            assert inside(place, drawn.page)
            if text.get("class") == "type":
                assert not any(overlap(place, b) for b in drawn.boxes)
                assert all(inside(place, f) or not overlap(place, f) for f in drawn.frames)
            else:
                assert inside(place, box)
            texts.append(place)
    for group, frame in zip(drawn.groups, drawn.frames, strict=True):
        place = drawn.text_box(group.find(f"{SVG}text"))
        assert inside(place, frame) and not any(overlap(place, b) for b in drawn.boxes)
    for a, b in combinations(texts, 2):
        assert not overlap(a, b)


def test_softmax():
    graph = parse(SOFTMAX)
    check(graph)
    svg = print_svg(graph)
    assert "mul(·, -0.5)" in svg and "max axes=(1,)" in svg and "f32[8, 3]" in svg
    assert "<title>d: f32[8, 3] = sub(z, m)\nnet.py:5</title>" in svg
    assert "prefers-color-scheme: dark" in svg
    assert ">t0<" not in svg  # the printer's name for what the user gave none


def test_tips_show_the_users_line():
    build = Builder("f")
    x = build.input(TensorType("f64", (3,)), "x")
    build.location = Location("a<b>&c.py", 7, r'np.tanh(x) < "y\n" & z')
    graph = build.finish([tanh(x)])
    root = ET.fromstring(print_svg(graph))
    assert 't0: f64[3] = tanh(x)\na<b>&c.py:7: np.tanh(x) < "y\\n" & z' in [t.text for t in root.iter(f"{SVG}title")]
    assert r'tooltip="t0: f64[3] = tanh(x)\na<b>&c.py:7: np.tanh(x) < \"y\\n\" & z"' in print_dot(graph)
    read_dot(print_dot(graph))


@pytest.mark.parametrize("text", [
    "def f() -> ():\n    return",
    "def f() -> f32:\n    return f32(1.0)",
    "def f(x: f32) -> (f32, f32, f32):\n    return x, x, f32(2.0)",
    "def f(x: f32[2], y: f32) -> f32[2]:\n    dead: f32[2] = exp(x)\n    return x",
    "@kernel\ndef k0(x: f32) -> (f32, f32):\n    y: f32 = exp(x)\n    return y, x\n"
    "def f(x: f32) -> f32:\n    a, b = k0(x)\n    c, d = k0(b)\n    e: f32 = add(c, a)\n    return e",
])  # fmt: skip
def test_small_and_strange(text):
    graph = parse(text)
    check(graph)
    read_dot(print_dot(graph))


@settings(max_examples=25)
@given(graphs(calls=True, hints=True, max_ops=25))
def test_random_graphs(graph):
    check(graph)
    nodes, edges = read_dot(print_dot(graph))
    said = picture(graph)
    assert len(nodes) == len(said.nodes) and len(edges) == len(said.edges)


def test_groups_nest():
    text = (
        "@kernel\ndef inner_kernel(x: f32) -> f32:\n    y: f32 = exp(x)\n    return y\n"
        "@kernel\ndef outer(x: f32) -> f32:\n    y: f32 = inner_kernel(x)\n    z: f32 = tanh(y)\n    return z\n"
        "def f(x: f32) -> f32:\n    a: f32 = outer(x)\n    b: f32 = inner_kernel(a)\n    return b"
    )
    graph = parse(text)
    check(graph)
    said = picture(graph)
    assert [(g.title, g.parent) for g in said.groups] == [("outer", -1), ("inner_kernel", 0), ("inner_kernel", -1)]
    assert [(n.title, n.group) for n in said.nodes] == [("x", -1), ("exp", 1), ("tanh", 0), ("exp", 2), ("b", -1)]
    clusters = " ".join(re.sub(r" \[.*?\]|label=.*", "", print_dot(graph)).split())
    assert "subgraph cluster_0 { n2 subgraph cluster_1 { n1 } }" in clusters


def test_a_step_after_all_passes():
    layers = 6
    build = Builder("deep")
    x = build.input(TensorType("f32", (8, 8)), "x")
    ws = [build.input(TensorType("f32", (8, 8)), f"w{i}") for i in range(layers)]
    kept = []
    for w in ws:
        x = tanh(add(mul(x, w), w))
        kept.append(x)
    for h, w in zip(reversed(kept), reversed(ws), strict=True):
        x = mul(mul(x, h), w)
    graph, _ = run(build.finish([x, *kept]), PASSES, check=True)
    check(graph)


def test_a_chain_is_straight():
    laid = arrange([Box(w, 20) for w in (30, 80, 50)], [Link(0, 1, 15, 40), Link(1, 2, 40, 25)])
    middles = [x + w / 2 for (x, _), w in zip(laid.corners, (30, 80, 50), strict=True)]
    assert max(middles) - min(middles) < 0.5
    assert [y for _, y in laid.corners] == sorted({y for _, y in laid.corners})
    assert arrange([], []).corners == []


def test_crossings_are_undone():
    """Two pairs joined crosswise change places."""
    boxes = [Box(20, 10)] * 4
    laid = arrange(boxes, [Link(0, 3, 10, 10), Link(1, 2, 10, 10)])
    (a, _), (b, _), (c, _), (d, _) = laid.corners
    assert (a < b) == (d < c)


def test_what_nobody_could_read_is_refused():
    n = 600
    boxes = [Box(10, 10)] * (2 * n)
    links = [Link(i, i + 1, 5, 5) for i in range(2 * n - 1)] + [Link(i, 2 * n - 1 - i, 5, 3) for i in range(n - 1)]
    with pytest.raises(TooLarge, match="too many"):
        arrange(boxes, links)


def read_dot(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The nodes and edges of graphviz text; checks braces, quotes, and that edges join nodes that there are."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|->|[{}\[\]=,]|[\w#.]+|\S', text)
    assert all(re.fullmatch(r'"(?:[^"\\\n]|\\.)*"|->|[{}\[\]=,]|[\w#.]+', t) for t in tokens)
    depth = 0
    nodes, edges = [], []
    tokens = ["", *tokens, "", ""]
    for before, token, after, last in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        depth += (token == "{") - (token == "}")
        assert depth >= 0
        if after == "->":
            edges.append((token, last))
        elif re.fullmatch(r"n\d+", token) and after == "[" and before != "->":
            nodes.append(token)
    assert depth == 0 and len(set(nodes)) == len(nodes)
    assert {end for edge in edges for end in edge} <= set(nodes)
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tcanon"], input=text, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    return nodes, edges


def test_dot():
    text = print_dot(parse(SOFTMAX))
    nodes, edges = read_dot(text)
    assert len(nodes) == 3 + 13 + 3 and len(edges) == 19 + 3
    cluster = text[text.index("subgraph cluster_0") : text.index("\n  }")]
    assert cluster.count("tooltip=") == 10 and 'label="k0"' in cluster
    assert 'label="mul(·, -0.5)"' in cluster and 'label="exp\\ne"' in cluster


@pytest.mark.parametrize("free", [True, False])
def test_links_enter_in_order_or_as_they_come(free):
    """Two boxes read a and b in opposite orders: one of them is crossed unless the other doesn't mind."""
    boxes = [Box(20, 10), Box(20, 10), Box(20, 10), Box(20, 10, free=free)]
    links = [Link(0, 2, 10, 5), Link(1, 2, 10, 15), Link(0, 3, 10, 15), Link(1, 3, 10, 5)]
    routes = arrange(boxes, links).routes
    crossed = [(routes[k][0] < routes[k + 1][0]) != (routes[k][-1] < routes[k + 1][-1]) for k in (0, 2)]
    assert sum(crossed) == (0 if free else 1)


def test_commutative_operands_are_free():
    nodes = picture(parse(SOFTMAX)).nodes
    assert {n.title.partition("(")[0] for n in nodes if n.free} == {"mul"}
