"""Which elements of a buffer movement shows, where that goes by steps: what slices, transposes and windows make of x.

    t = windows(x, axes=(1,), sizes=(3,))      x: f32[8, 30, 4]          t[b, i, c, k]  =  x[b, i + k, c]
    y = transpose(t, perm=(0, 1, 3, 2))                                  y[b, i, k, c]  =  x[b, i + k, c]

    view_of(y):  source x   start (0, 0, 0)   steps ({0: 1}, {1: 1}, {1: 1}, {2: 1})     along b, i, k, c
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weft.ir.graph import Op, Value
from weft.ir.ops.linalg import free_axes
from weft.ir.records import dataclass
from weft.ir.space import is_unit_reshape
from weft.ir.types import strides_of

Step = Mapping[int, int]  # axis of the source: how far one step goes along it


@dataclass(frozen=True, eq=False)
class View:
    """source: a value that no such movement makes. start: the place of the first element in it, by axis. steps: of
    each axis of the view."""

    source: Value
    start: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements of the source's buffer from one place of the view to the next, along each axis."""
        own = strides_of(self.source.shape)
        return tuple(sum(k * own[d] for d, k in step.items()) for step in self.steps)

    def overlaps(self, shape: tuple[int, ...]) -> bool:
        """Do two axes of a view of that shape go along one of the source?"""
        seen: list[int] = [d for step, n in zip(self.steps, shape, strict=True) if n > 1 for d in step]
        return len(set(seen)) < len(seen)


def view_of(v: Value, maker: Callable[[Value], Op | None]) -> View:
    """What `v` shows of what. `maker`: the op that makes a value, None where it should not be looked at."""
    chain = []
    while (op := maker(v)) is not None and (op.kind.name in _STEPS or is_unit_reshape(op)):
        chain.append(op)
        v = op.operands[0]
    rank = len(v.shape)
    view = View(v, (0,) * rank, tuple({d: 1} for d in range(rank)))
    for op in reversed(chain):
        view = _STEPS.get(op.kind.name, _reshape)(view, op)
    return view


def _advanced(start: tuple[int, ...], steps: tuple[Step, ...], by: tuple[int, ...]) -> tuple[int, ...]:
    """Where the element at place `by` is."""
    at = list(start)
    for step, n in zip(steps, by, strict=True):
        for d, k in step.items():
            at[d] += k * n
    return tuple(at)


def _times(step: Step, n: int) -> Step:
    return {d: k * n for d, k in step.items()}


def _sum(a: Step, b: Step) -> Step:
    return {d: n for d in (*a, *b) if (n := a.get(d, 0) + b.get(d, 0))}


def _slice(view: View, op: Op) -> View:
    start = _advanced(view.start, view.steps, tuple(op.attrs["start"]))
    return View(view.source, start, tuple(map(_times, view.steps, op.attrs["step"])))


def _transpose(view: View, op: Op) -> View:
    return View(view.source, view.start, tuple(view.steps[p] for p in op.attrs["perm"]))


def _windows(view: View, op: Op) -> View:
    return View(view.source, view.start, (*view.steps, *(view.steps[a] for a in op.attrs["axes"])))


def _shear(view: View, op: Op) -> View:
    steps = list(view.steps)
    for axis, k in zip(op.attrs["axes"], op.attrs["along"], strict=True):
        steps[k] = _sum(steps[k], view.steps[axis])
    return View(view.source, view.start, tuple(steps))


def _reverse(view: View, op: Op) -> View:
    turned = op.attrs["axes"]
    last = tuple(max(n - 1, 0) if a in turned else 0 for a, n in enumerate(op.result.shape))
    steps = tuple(_times(s, -1) if a in turned else s for a, s in enumerate(view.steps))
    return View(view.source, _advanced(view.start, view.steps, last), steps)


def _broadcast(view: View, op: Op) -> View:
    x, y = op.operands[0].shape, op.result.shape
    kept = [s if n == m else {} for s, n, m in zip(view.steps, x, y[len(y) - len(x) :], strict=True)]
    return View(view.source, view.start, (*({} for _ in range(len(y) - len(x))), *kept))


def _reshape(view: View, op: Op) -> View:
    """Axes of size 1 come and go."""
    real = [s for s, n in zip(view.steps, op.operands[0].shape, strict=True) if n != 1]
    return View(view.source, view.start, tuple({} if n == 1 else real.pop(0) for n in op.result.shape))


_STEPS: Mapping[str, Callable[[View, Op], View]] = {
    "slice": _slice,
    "transpose": _transpose,
    "windows": _windows,
    "shear": _shear,
    "reverse": _reverse,
    "broadcast": _broadcast,
}


def streamed(op: Op, maker: Callable[[Value], Op | None]) -> bool:
    """Is this a product for the library whose first operand is windows, (rows, ..) or (.., rows), and so much larger
    than what it shows that it is not to be made as a whole?"""
    if op.kind.name != "dot" or op.result.dtype not in ("f32", "f64") or op.attrs["batch"][0]:
        return False
    a, b = op.operands
    contract = tuple(op.attrs["contract"][0])
    free = free_axes(len(a.shape), (), contract)
    if not free or not contract or not a.type.size or not b.type.size:
        return False
    if tuple(range(len(a.shape))) not in ((*free, *contract), (*contract, *free)):
        return False
    return view_of(a, maker).overlaps(a.shape)
