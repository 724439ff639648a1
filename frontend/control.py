"""Control flow as functions: cond, switch, while_loop, fori_loop, scan, map, associative_scan; and checkpoint.

    x = weft.cond(x > 0, f, g, x)                         f(x) if x > 0 else g(x)
    x = weft.while_loop(lambda x: x > tol, step, x)       while x > tol: x = step(x)
    x = weft.fori_loop(0, n, lambda i, x: ..., x)         for i in range(0, n): x = ...
    c, ys = weft.scan(f, c, xs)                           for x in xs: c, y = f(c, y); ys.append(y)

For those who prefer them to statements: they take the arguments and give the results of JAX's functions of these
names. Where nothing is traced they run as plain Python. Values are trees of arrays and numbers.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import regions, tree
from weft.frontend.branches import branch
from weft.frontend.capture import Trace, youngest
from weft.frontend.convert.hooks import call
from weft.frontend.convert.iteration import as_checkpoint, item
from weft.frontend.errors import ControlFlowError, ShapeError, message
from weft.frontend.numpy_api import surface
from weft.frontend.region_parts import State, Undefined, leaf_of
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, full

__all__ = ["associative_scan", "checkpoint", "cond", "fori_loop", "map", "scan", "surface", "switch", "while_loop"]


class _Variable:
    """What a function hands from trip to trip, as the one variable of a statement."""

    def __init__(self, value: Any, name: str) -> None:
        self.value = value
        self.state = State((name,), lambda: (self.value,), self._set)

    def _set(self, values: Sequence[Any]) -> None:
        (self.value,) = values


def _any_traced(*values: Any) -> bool:
    return any(type(leaf) is Tracer for leaf in tree.leaves(values))


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands) if pred else false_fun(*operands)`; pred is a bool or a 0-d array.

    Of a traced `pred` both functions are captured and one is run; their results have one structure, shapes and
    dtypes, else ControlFlowError.
    """
    if type(pred) is not Tracer:
        return call(true_fun if pred else false_fun, *operands)
    result = _Variable(Undefined("result"), "result")

    def side(function: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            result.value = call(function, *operands)

        return run

    branch(pred, side(true_fun), side(false_fun), result.state)
    return result.value


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, with `index` clamped into the sequence."""
    if not branches:
        raise ValueError("weft.switch needs a branch")
    if type(index) is not Tracer:
        return call(branches[min(max(operator.index(index), 0), len(branches) - 1)], *operands)
    if len(branches) == 1:
        return call(branches[0], *operands)
    half = len(branches) // 2
    return cond(
        index < half,
        lambda *given: switch(index, branches[:half], *given),
        lambda *given: switch(index - half, branches[half:], *given),
        *operands,
    )


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any, checkpoint: Any = None
) -> Any:
    """`val = init_val; while cond_fun(val): val = body_fun(val)`.

    `val` keeps its structure, shapes and dtypes (a Python number may become a float or an array of them in the first
    trip). It has a gradient, forward and backward, whatever the number of trips. checkpoint: what the backward one
    keeps, see `fori_loop`; the trips are run once more then, as their number is known only at the end.
    """
    kept = as_checkpoint(checkpoint)
    loop = _Variable(init_val, "val")

    def body() -> None:
        loop.value = call(body_fun, loop.value)

    if youngest() is None:
        while cond_fun(loop.value):
            body()
    else:
        regions.while_loop(lambda: call(cond_fun, loop.value), body, loop.state, kept)
    return loop.value


def fori_loop(
    lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, checkpoint: Any = None
) -> Any:
    """`val = init_val; for i in range(lower, upper): val = body_fun(i, val)`.

    checkpoint: what its gradient keeps: None, what it needs of each trip; a number, at most so many snapshots of
    `val`, from which trips are run again (the fewest that can be, Griewank and Walther 2000); "sqrt" or True, in the
    order of the square root of the trips; "64MB", as many as have room. Raises ArgumentError for all else.
    """
    kept = as_checkpoint(checkpoint)
    loop = _Variable(init_val, "val")

    def body(i: Any) -> None:
        loop.value = call(body_fun, i, loop.value)

    if youngest() is None:
        for i in range(operator.index(lower), operator.index(upper)):
            body(i)
    else:
        regions.for_loop(lower, upper, 1, body, loop.state, kept)
    return loop.value


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose gradient keeps its arguments alone: it is run again in the backward pass.

    Its result is a tree of arrays and numbers. Raises ControlFlowError where it is not.
    """

    @functools.wraps(function, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        if youngest() is None:
            return function(*args, **kwargs)
        result = _Variable(Undefined("result"), "result")

        def body(_: Any) -> None:
            result.value = call(function, *args, **kwargs)

        regions.for_loop(0, 1, 1, body, result.state, checkpoint=1)
        return result.value

    return run


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: Any = None,
) -> tuple[Any, Any]:
    """`(carry, ys)`: `carry, y = f(carry, x)` for each row x of the arrays of the tree `xs`, first to last or, with
    `reverse`, last to first; `ys` are the rows y, stacked in the order of xs.

    Without `xs`, f gets None `length` times. checkpoint: what its gradient keeps, see `fori_loop`. Raises ShapeError
    when the arrays differ in length.
    """
    kept = as_checkpoint(checkpoint)
    n = _length(xs, length)
    rows = range(n - 1, -1, -1) if reverse else range(n)
    row = lambda i: tree.map(lambda x: item(x, i), xs)  # noqa: E731
    if youngest() is None:
        carry, found = init, []
        for i in rows:
            carry, y = f(carry, row(i))
            found.append(y)
        ordered = found[::-1] if reverse else found
        return carry, tree.map(lambda *items: np.stack(items), *ordered) if ordered else None
    around = youngest()
    assert around is not None
    like = anchor_in(around)
    xs = tree.map(lambda x: as_tracer(x, like), xs)  # an array takes no traced index
    stacks = _stacks(lambda: call(f, init, row(rows[0]))[1], n)
    loop = _Variable(init, "carry")

    def body(i: Any) -> None:
        loop.value, y = call(f, loop.value, row(i))
        tree.map(lambda s, item: s.__setitem__(i, item), stacks, y)

    regions.for_loop(rows.start, rows.stop, rows.step, body, loop.state, kept)
    return loop.value, stacks


def _length(xs: Any, length: int | None) -> int:
    lengths = {x.shape[0] if np.ndim(x) else None for x in tree.leaves(xs)}
    if length is not None:
        lengths.add(operator.index(length))
    if len(lengths) != 1 or None in lengths:
        shapes = ", ".join(str(np.shape(x)) for x in tree.leaves(xs)) or "none, and no length="
        raise ShapeError(message(f"scan takes arrays of one length, got shapes {shapes}"))
    return int(lengths.pop() or 0)


def _stacks(function: Callable[[], Any], n: int) -> Any:
    """Zeros for `n` rows of what `function` gives, which is captured to see its shapes. None when n is 0."""
    if not n:
        return None
    around = youngest()
    assert around is not None
    with Trace("shapes", region=True):
        row = function()
    like = anchor_in(around)

    def zeros(y: Any) -> Tracer:
        type_ = leaf_of("y", y).type
        return full(like, (n, *type_.dims), 0, type_.dtype)

    return tree.map(zeros, row)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f(x)` for each row x of the arrays of the tree `xs`, stacked."""
    return scan(lambda _, x: (None, call(f, x)), None, xs)[1]


def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes of `elems`, along `axis`, combined by the associative `fn(left, right)`.

    fn works on whole slices of the trees at once; it is called about 2 log2(n) times (Blelloch 1990).
    """
    leaves, treedef = tree.flatten(elems)
    if not leaves:
        return elems
    if reverse:
        leaves = [np.flip(x, axis) for x in leaves]
    if len({np.shape(x)[axis] for x in leaves}) != 1:
        raise ShapeError(message("associative_scan takes arrays of one length"))

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        out = call(fn, tree.unflatten(treedef, a), tree.unflatten(treedef, b))
        if tree.structure(out) != treedef:
            raise ControlFlowError(message("fn has to return the structure of elems"))
        return tree.leaves(out)

    found = _prefixes(combine, leaves, axis)
    return tree.unflatten(treedef, [np.flip(x, axis) for x in found] if reverse else found)


def _prefixes(combine: Callable[[list[Any], list[Any]], list[Any]], leaves: list[Any], axis: int) -> list[Any]:
    n = np.shape(leaves[0])[axis]
    if n < 2:
        return leaves
    cut = lambda x, *at: x[(*[slice(None)] * (axis % np.ndim(x)), slice(*at))]  # noqa: E731
    pairs = combine([cut(x, 0, n - 1, 2) for x in leaves], [cut(x, 1, None, 2) for x in leaves])
    odd = _prefixes(combine, pairs, axis)
    last = len(range(0, n, 2)) - 1
    even = combine([cut(x, 0, last) for x in odd], [cut(x, 2, None, 2) for x in leaves]) if last else []
    first = [cut(x, 0, 1) for x in leaves]
    even = [np.concatenate([a, b], axis) for a, b in zip(first, even, strict=True)] if last else first
    return [_interleaved(a, b, axis) for a, b in zip(even, odd, strict=True)]


def _interleaved(even: Any, odd: Any, axis: int) -> Any:
    """even[0], odd[0], even[1], odd[1], ..."""
    n, k = np.shape(even)[axis], np.shape(odd)[axis]
    cut = lambda x, *at: x[(*[slice(None)] * (axis % np.ndim(x)), slice(*at))]  # noqa: E731
    both = np.stack([cut(even, 0, k), odd], axis % np.ndim(even) + 1)
    shape = list(np.shape(even))
    shape[axis] = 2 * k
    merged = np.reshape(both, shape)
    return merged if n == k else np.concatenate([merged, cut(even, k, n)], axis)
