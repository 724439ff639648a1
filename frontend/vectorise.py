"""vmap: capture a function of one lane, batch its graph, put the result in place.

    vmap(f)(x):   f(x[0])  --capture-->  graph of one lane  --batch-->  graph of all  --apply-->  arrays, or tracers

The function is called once, with tracers that have no axis of lanes; nothing is known of their elements, as under
`compile`. As the other transforms do, it nests in each of them (see `transforms`).
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.apply import apply, arguments_of, as_result, write_back
from weft.frontend.arguments import (
    argument_tracer,
    identifier,
    input_type,
    leaf_paths,
    name_of,
    positional_names,
    signature_of,
)
from weft.frontend.capture import Abstract, Trace, youngest
from weft.frontend.convert import hooks
from weft.frontend.errors import ArgumentError, AxisError, ShapeError, UnsupportedError, message, type_text
from weft.frontend.numpy_api import surface
from weft.frontend.region_parts import Undefined, is_number
from weft.frontend.storage import Written
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, read
from weft.ir.graph import Graph, Value
from weft.passes.batch import batch

__all__ = ["surface", "vmap"]


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function of many lanes at once: `vmap(f)(xs, ys)[i]` is `f(xs[i], ys[i])`.

    in_axes: which axis of the positional arguments counts the lanes; None for what all lanes share. An int, None, or a
    tuple of an entry for each argument, which may be a tree of them, as far down as the axes differ. out_axes: where
    that axis is in the results, likewise; None for a result that no lane changes. Keyword arguments are mapped over
    their first axis. Results have the dtypes of one lane's; what is no array is refused.

    `if` on a value that differs between lanes runs both branches, and each lane takes its own; a `while` runs until
    all lanes are done. An index out of bounds raises IndexError only if its lane gets there. (Derivatives *of* a mapped
    branch multiply the other one's by zero, which is NaN where that is infinite: keep it finite, as with np.where.)
    Arrays that the function writes hold what each lane wrote, if they are mapped.

    Raises ShapeError where sizes of mapped axes differ, AxisError where an array has no such axis, ArgumentError for
    what has no axes, ValueError where in_axes or out_axes don't fit, nothing is mapped, or a result is to be shared and
    is not. The signature is JAX's.
    """
    if not callable(function):
        raise TypeError(f"weft.vmap takes a function, got {type(function).__name__}")
    entries = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    _check_axes(entries, "in_axes")
    _check_axes(out_axes, "out_axes")

    @functools.wraps(function, updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        return _Call(function, entries, args, kwargs).results(out_axes)

    return mapped


def _check_axes(axes: Any, what: str) -> None:
    for axis in tree.leaves(axes):
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(f"weft.vmap: {what} are ints and None, got {axis!r}")


def _spread(axes: Any, value: Any, what: str, of: str) -> list[int | None]:
    """An axis for each leaf of `value`, from a tree of axes that ends where all below have one."""
    found: list[int | None] = []

    def put(axis: Any, below: Any) -> None:
        axis = None if axis is None else operator.index(axis)
        found.extend([axis] * len(tree.leaves(below)))

    try:
        tree.map(put, axes, value, is_leaf=lambda axis: axis is None)
    except ValueError as error:
        text = str(error).partition("from the first ")[2]
        text = text.replace("in the first", f"in {what}").replace("in argument 2", f"in {of}")
        raise ValueError(message(f"{what} of vmap do not fit {of} {text}")) from None
    return found


class _Call:
    """A call of a mapped function: the leaves of its arguments, and for each the axis of the lanes, or None."""

    def __init__(self, function: Callable[..., Any], in_axes: Any, args: tuple[Any, ...], kwargs: Any) -> None:
        self.function = function
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            text = f"in_axes of vmap has {len(in_axes)} entries, and the call has {len(args)} positional arguments"
            raise ValueError(message(text))
        self.leaves, self.treedef = tree.flatten((args, kwargs))
        names = positional_names(signature_of(function), len(args))
        named = [*zip(names, args, strict=True), *((key, kwargs[key]) for key in sorted(kwargs))]
        self.paths = [path for name, argument in named for path in leaf_paths(name, argument)]
        given = [*_spread(in_axes, args, "in_axes", "the arguments"), *[0] * len(tree.leaves(kwargs))]
        rows = zip(self.leaves, self.paths, given, strict=True)
        self.axes = [None if axis is None else _mapped_axis(leaf, path, axis) for leaf, path, axis in rows]
        self.size = self._size()
        self.trace = Trace(name_of(function))
        self.tracers: dict[int, Tracer] = {}  # of mapped leaves
        self.first: dict[int, Value] = {}  # what those held at the start

    def _size(self) -> int:
        """How many lanes there are. Raises ShapeError where the arguments don't agree, ValueError without any."""
        found: list[tuple[int, str, Any, int]] = []
        for leaf, path, axis in zip(self.leaves, self.paths, self.axes, strict=True):
            if axis is not None:
                size = np.shape(leaf)[axis]
                if all(size != other for other, *_ in found):
                    found.append((size, path, leaf, axis))
        if not found:
            advice = "Give the argument that counts them an axis in in_axes."
            raise ValueError(message("vmap has no argument to map over", (), advice))
        if len(found) > 1:
            lines = [f"{path}: {_type_text(leaf)}, {size} along axis {axis}" for size, path, leaf, axis in found]
            raise ShapeError(message("vmap maps over axes of different sizes", lines))
        return found[0][0]

    def results(self, out_axes: Any) -> Any:
        """Call the function of one lane, and give its results for all."""
        with self.trace:
            args, kwargs = self._enter()
            out = hooks.call(self.function, *args, **kwargs)
            leaves, treedef = tree.flatten(out)
            paths = treedef.paths("the result")
            values = [self._value(leaf, path) for leaf, path in zip(leaves, paths, strict=True)]
            given = _spread(out_axes, out, "out_axes", "the result")
            axes = [_out_axis(axis, v, path) for axis, v, path in zip(given, values, paths, strict=True)]
            del args, kwargs, out, leaves
            written = self._written()
            graph = self.trace.finish([*values, *(w.value for w, _ in written)])
        self._hand_on()
        axes += [axis for _, axis in written]
        whole, differs = _batched(graph, self.size, [axis for axis in self.axes if axis is not None], axes)
        for path, axis, value, own in zip(paths, axes, values, differs, strict=False):
            if axis is None and own:
                text = f"out_axes of vmap is None for {path}, which is not the same in all lanes"
                raise ValueError(message(text, [value]))
        for (w, axis), own in zip(written, differs[len(values) :], strict=True):
            if axis is None and own:
                text = "writes what differs between lanes into an array that they share"
                raise UnsupportedError(message(text, [w.value], "Return it instead, or map the array in in_axes."))
        given = self._arguments(graph, written)
        found = [r.copy() if any(r is a for a in given) else r for r in apply(whole, given)]
        for (w, _), result in zip(written, found[len(values) :], strict=True):
            write_back(w.target, result)
        return tree.unflatten(treedef, [as_result(r, fresh=True) for r in found[: len(values)]])

    def _enter(self) -> Any:
        """The arguments, with a tracer of one lane for each leaf that is mapped."""
        given = list(self.leaves)
        for n, (leaf, path, axis) in enumerate(zip(self.leaves, self.paths, self.axes, strict=True)):
            if axis is None:
                continue
            whole = input_type(leaf, path)
            assert whole is not None
            type_ = whole.with_dims(whole.dims[:axis] + whole.dims[axis + 1 :])
            self.first[n] = self.trace.input(type_, Abstract(path, mapped=True), identifier(path))
            given[n] = self.tracers[n] = argument_tracer(self.trace, self.first[n], None)
        return tree.unflatten(self.treedef, given)

    def _value(self, leaf: Any, path: str) -> Value:
        if isinstance(leaf, Undefined):
            leaf.refuse()
        if not is_number(leaf):
            text = f"{path} of a function under vmap is a {type(leaf).__qualname__}, and no number or array"
            raise ArgumentError(message(text))
        return read(self.trace, as_tracer(leaf, anchor_in(self.trace)))

    def _written(self) -> list[tuple[Written, int | None]]:
        """Arrays that the function wrote, and the axis of their lanes: of those that are mapped.

        What it made of values that all lanes share, and wrote, is an array of the capture around it. Once the function
        is over nobody knows that any more.
        """
        found: list[tuple[Written, int | None]] = []
        for n, tracer in self.tracers.items():
            if tracer.storage.value is not self.first[n]:
                found.append((Written(self.leaves[n], tracer.value), self.axes[n]))
        others = [(weakref.ref(w.target), w.value) for w in self.trace.written()]
        alive = ((target(), value) for target, value in others)
        return [*found, *((Written(target, value), None) for target, value in alive if target is not None)]

    def _hand_on(self) -> None:
        """What the function's graph depends on, that around it does too."""
        outer = youngest()
        for array, _ in self.trace.examined.values() if outer is not None else ():
            assert outer is not None
            outer.examine(array)

    def _arguments(self, graph: Graph, written: Sequence[tuple[Written, int | None]]) -> list[Any]:
        """What to give for the graph's inputs; of arrays that will be written, copies: results may be views."""
        mapped = [leaf for leaf, axis in zip(self.leaves, self.axes, strict=True) if axis is not None]
        targets = [w.target for w, _ in written if isinstance(w.target, np.ndarray)]
        given = [*mapped, *arguments_of(self.trace, graph.inputs[len(mapped) :])]
        return [a.copy() if any(a is t for t in targets) else a for a in given]


def _type_text(leaf: Any) -> str:
    type_ = input_type(leaf, "")
    return f"a {type(leaf).__qualname__}" if type_ is None else type_text(type_)


def _mapped_axis(leaf: Any, path: str, axis: int) -> int:
    """The axis of a mapped leaf, not negative. Raises ArgumentError for what is no array, AxisError."""
    type_ = input_type(leaf, path)
    if type_ is None or not type_.dims:
        text = f"vmap maps over {path}, which is {_type_text(leaf)} and has no axes"
        raise ArgumentError(message(text, (), "If it is one for all lanes, its entry in in_axes is None."))
    if not -type_.rank <= axis < type_.rank:
        raise AxisError(message(f"vmap maps over axis {axis} of {path}, which is {type_text(type_)}"))
    return axis % type_.rank


def _out_axis(axis: int | None, value: Value, path: str) -> int | None:
    rank = value.type.rank + 1
    if axis is None or -rank <= axis < rank:
        return None if axis is None else axis % rank
    text = f"out_axes of vmap is {axis} for {path}, which has {rank} axes with that of the lanes"
    raise AxisError(message(text, [value]))


def _batched(
    graph: Graph, size: int, mapped: Sequence[int], out_axes: Sequence[int | None]
) -> tuple[Graph, Sequence[bool]]:
    """The graph for all lanes; its first inputs are those that are mapped."""
    in_axes = [*mapped, *[None] * (len(graph.inputs) - len(mapped))]
    try:
        return batch(graph, size, in_axes, out_axes)
    except NotImplementedError as error:
        raise UnsupportedError(message(f"vmap can't map this function yet: {error}")) from None
