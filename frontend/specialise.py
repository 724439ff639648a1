"""One specialisation of a compiled function: its captured graph, and how arguments go in and results out.

    leaves of the arguments --+
    arrays closed over -------+--> executable --> results --> the tree that the function returned
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import GeneratorType
from typing import Any

import numpy as np

from weft.frontend import randomness, tree
from weft.frontend.apply import apply, as_result, write_back
from weft.frontend.arguments import argument_tracer, identifier, input_type, name_of, weak_of
from weft.frontend.capture import Abstract, Guarded, Known, Outer, Source, Trace, raise_leak
from weft.frontend.errors import ArgumentError, ControlFlowError, TracingError, message
from weft.frontend.extents import fixed
from weft.frontend.location import shown_path
from weft.frontend.origins import Origins, Stale
from weft.frontend.region_parts import Undefined
from weft.frontend.storage import Path, Storage
from weft.frontend.tracer import Tracer, read
from weft.ir.builder import Builder
from weft.ir.graph import Graph, Location, Value
from weft.ir.records import dataclass, field, replace
from weft.ir.sizes import Sizes

Leaves = list[Any]
Runner = Callable[[Leaves], Any]

# References to a leaf of the result that nobody else holds: the list of leaves, a loop variable, the argument.
_UNSHARED = 3


@dataclass
class Capture:
    """A captured call.

    graph: its inputs are the leaves of the arguments, then `captured` arrays. places: for each leaf of the
    result, where it comes from: ("argument", i, path), ("result", j, weak), ("copy", j, weak), ("view", k, path)
    of the k-th leaf of the result, ("constant", obj) or ("fresh", array). stores: (input, output) positions of
    the arrays that the function writes, and what it leaves in them. guards: leaf position -> the Python scalar
    that the capture looked at. outer: whether it depends on a capture around it, so that it can't be compiled
    on its own. examined: arrays, and what they held when the course of the capture depended on it. rowmajor:
    positions of arrays that are taken to lie in row-major order.
    """

    graph: Graph
    captured: list[np.ndarray]
    places: list[tuple[Any, ...]]
    treedef: tree.TreeDef
    guards: dict[int, bool | int | float]
    sources: list[Source] = field(default_factory=list)
    examined: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    stores: list[tuple[int, int]] = field(default_factory=list)
    foreign: list[tuple[Any, int]] = field(default_factory=list)  # likewise, of captures around this one
    rowmajor: list[int] = field(default_factory=list)

    @property
    def outer(self) -> bool:
        return any(isinstance(s, Outer) for s in self.sources)

    def run_here(self, leaves: Leaves) -> Any:
        """Inline the graph in the capture that it depends on."""
        arguments: list[Any] = []
        for i, (value, source) in enumerate(zip(self.graph.inputs, self.sources, strict=True)):
            if i < len(leaves):
                arguments.append(np.asarray(leaves[i], dtype=value.type.np_dtype))
            elif isinstance(source, Outer):
                arguments.append(Tracer(source.trace, source.value, source.weak))
            else:
                assert isinstance(source, Known)
                arguments.append(source.array)
        kept = [a.copy() if isinstance(a, np.ndarray) and self.stores else a for a in arguments]
        results = apply(self.graph, kept)
        for i, j in self.stores:
            write_back(leaves[i] if i < len(leaves) else arguments[i], results[j])
        for target, j in self.foreign:
            write_back(target, results[j])
        return self.rebuild(leaves, results)

    def rebuild(self, leaves: Leaves, results: Sequence[Any]) -> Any:
        """The tree that the function returned, around this call's results."""
        found: list[Any] = [None] * len(self.places)
        views = []
        for n, (kind, at, *more) in enumerate(self.places):
            if kind == "argument":
                found[n] = shown(leaves[at], *more)
            elif kind == "constant":
                found[n] = at
            elif kind == "fresh":
                found[n] = at.copy()
            elif kind == "view":
                views.append((n, at, more[0]))
            else:
                result = as_result(results[at], *more)
                found[n] = result.copy() if kind == "copy" and isinstance(result, np.ndarray) else result
        for n, at, path in views:
            found[n] = shown(found[at], path)
        return tree.unflatten(self.treedef, found)


def capture(
    function: Callable[..., Any],
    spec: tree.TreeDef,
    leaves: Leaves,
    paths: Sequence[str],
    name: str = "",
    sizes: Sizes | None = None,
    dims: Sequence[tuple[Any, ...] | None] = (),
) -> Capture:
    """Trace `function` on abstract arguments. `spec` is the structure of `(args, kwargs)`.

    dims: of the leaves with dims that are symbols of `sizes`.
    """
    drawn = randomness.state()
    with (
        Trace(name or name_of(function), compiled=True) as trace,
        _failing(trace, again=sizes is not None),
        _numbers(trace, sizes),
    ):
        shapes = dims or [None] * len(leaves)
        tracers = [_input(trace, i, *leaf) for i, leaf in enumerate(zip(leaves, paths, shapes, strict=True))]
        args, kwargs = tree.unflatten(spec, tracers)
        first = [t.value for t in tracers]
        out = function(*args, **kwargs)  # converts what it calls
        out_leaves, treedef = tree.flatten(out)
        _looked_at(treedef, sizes)
        del out, args, kwargs
        outputs, places = _places(trace, out_leaves, tracers)
        stores = []
        for i, (t, value) in enumerate(zip(tracers, first, strict=True)):
            if t.storage.value is not value and isinstance(leaves[i], np.ndarray):
                stores.append((i, len(outputs)))
                outputs.append(t.storage.value)
        rowmajor = [i for i, t in enumerate(tracers) if t.storage in trace.rowmajor]
        foreign: list[tuple[Any, int]] = []
        inputs = {id(s.array): n for n, s in enumerate(map(trace.sources.get, trace.builder.inputs))
                  if isinstance(s, Known)}  # fmt: skip
        for w in trace.written():
            if isinstance(w.target, np.ndarray):
                stores.append((inputs[id(w.target)], len(outputs)))
            else:
                foreign.append((w.target, len(outputs)))
            outputs.append(w.value)
        graph = _settled(trace.finish(outputs), trace.guards)
    randomness.note_state(drawn, trace)
    sources = [trace.sources[v] for v in graph.inputs]
    extra = [s.array for s in sources[len(leaves) :] if isinstance(s, Known)]
    return Capture(graph, extra, places, treedef, dict(trace.guards), sources, _examined(trace), stores, foreign,
                   rowmajor)  # fmt: skip


@contextmanager
def _numbers(trace: Trace, sizes: Sizes | None) -> Iterator[None]:
    """While a capture runs, a size that is a symbol may be computed with as a number."""
    if sizes is None:
        yield
        return
    sizes.number = lambda n: Tracer(trace, trace.constant(n, "i64"), int)
    try:
        yield
    finally:
        sizes.number = None


def _looked_at(treedef: tree.TreeDef, sizes: Sizes | None) -> None:
    """A size in the structure of a result, as a key or a field that is no leaf, is a number: the hash asks for it."""
    if sizes is not None:
        hash(treedef)


@contextmanager
def _failing(trace: Trace, again: bool) -> Iterator[None]:
    """A capture that fails tells which numbers it had looked at, and leaves NumPy arrays as they were. `again`: what
    the function itself raises comes again."""
    try:
        yield
    except Exception as error:
        if isinstance(error, TracingError):
            error.guards = dict(trace.guards)
        elif not again:
            raise
        for array, held in trace.overwritten.values():
            array[...] = held
        raise


def _settled(graph: Graph, guards: dict[int, bool | int | float]) -> Graph:
    """The graph for the very numbers that it is guarded by: they are constants to its ops, no inputs."""
    build = Builder(graph.name)
    constant = {graph.inputs[i]: build.constant(x, graph.inputs[i].dtype).value for i, x in guards.items()}
    if not constant:
        return graph
    ops = [replace(op, operands=tuple([constant.get(v, v) for v in op.operands])) for op in graph.ops]
    return Graph(graph.name, graph.inputs, (*build.ops, *ops), graph.outputs)


def _examined(trace: Trace) -> list[tuple[np.ndarray, np.ndarray]]:
    """The arrays that the capture examined and that may hold something else at another call."""
    found = list(trace.examined.values())
    trace.examined.clear()
    return [pair for pair in found if pair[0].base is not None or sys.getrefcount(pair[0]) > _UNSHARED - 1]


def _input(trace: Trace, index: int, leaf: Any, path: str, dims: tuple[Any, ...] | None = None) -> Tracer:
    type_ = input_type(leaf, path)
    if type_ is not None and dims is not None:
        type_ = type_.with_dims(dims)
    if type_ is None or isinstance(leaf, np.matrix) or _is_masked(leaf):
        raise ArgumentError(_unusable(leaf, path))
    weak = weak_of(leaf)
    if weak is int and not -(1 << 63) <= leaf < 1 << 63:
        raise ArgumentError(message(f"argument {path} is {leaf}, which is no 64-bit integer"))
    source = Guarded(index, leaf) if weak is not None else Abstract(path)
    value = trace.input(type_, source, identifier(path))
    return argument_tracer(trace, value, weak)


def _is_masked(leaf: Any) -> bool:
    """Without loading the module of masked arrays, where nobody has."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(leaf, masked.MaskedArray)


def _unusable(leaf: Any, path: str) -> str:
    kind = type(leaf).__qualname__
    advice = "Arguments are arrays, numbers and trees of them (weft.tree).\n"
    if isinstance(leaf, np.ndarray):
        advice += "Pass np.asarray(x)."
    elif hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__"):
        advice += f"Pass np.asarray({path})."
    else:
        name = path.split("[")[0].split(".")[0]
        advice += f"Name it in static_argnames=({name!r},), to recompile for each value of it;\n"
        advice += "or register its class with weft.tree.register."
    return message(f"argument {path} is a {kind}", (), advice)


def _places(trace: Trace, leaves: Leaves, arguments: Sequence[Tracer]) -> tuple[list[Value], list[tuple[Any, ...]]]:
    """The graph's outputs, and for each leaf of the function's result where it comes from."""
    outputs: list[Value] = []
    places: list[tuple[Any, ...]] = []
    seen: dict[int, tuple[Any, ...]] = {}
    owner = {t.storage: i for i, t in enumerate(arguments)}
    whole: dict[Storage, int] = {}  # storage -> the first leaf that is all of it
    for n, leaf in enumerate(leaves):
        if type(leaf) is Tracer and not leaf.path and leaf.type.dims:
            whole.setdefault(leaf.storage, n)
    leaf = None
    for n in range(len(leaves)):  # not enumerate, which would hold another reference
        leaf = leaves[n]
        if isinstance(leaf, Undefined):
            leaf.refuse()
        if isinstance(leaf, GeneratorType):
            raise ControlFlowError(_generator(leaf))
        if type(leaf) is not Tracer:
            fresh = type(leaf) is np.ndarray and sys.getrefcount(leaf) <= _UNSHARED
            places.append(("fresh" if fresh else "constant", leaf))
            continue
        if not leaf.home.active:
            raise_leak(leaf.value)
        argument = owner.get(leaf.storage)
        if argument is not None and _static(leaf.path):
            places.append(("argument", argument, leaf.path))
            continue
        base = whole.get(leaf.storage, n)
        if base != n and _static(leaf.path):
            places.append(("view", base, leaf.path))
            continue
        place = seen.get(id(leaf))
        if place is None:
            still = leaf if leaf.extents is None else fixed(leaf, "returns")
            value = still.storage.value_in(trace) if not still.path else read(trace, still)
            kind = "copy" if value in outputs else "result"
            if kind == "result":
                outputs.append(value)
            place = seen[id(leaf)] = (kind, outputs.index(value), leaf.weak)
        places.append(place)
    return outputs, places


def _generator(leaf: GeneratorType[Any, Any, Any]) -> str:
    code = leaf.gi_code
    at = Location(shown_path(code.co_filename), code.co_firstlineno, code.co_name)
    advice = "Its body would run after the function was traced. Return a list of what it yields, or np.stack(list)."
    return message("a function with `yield` can't be compiled, nor return what one gives", (), advice, location=at)


def _static(path: Path) -> bool:
    return not any(view.starts for view in path)


def shown(array: Any, path: Path = ()) -> Any:
    """The view of an array of the caller's that the function returned."""
    for view in path:
        array = view.op.reference(array, **view.attrs)
    return array


def runner(
    captured: Capture,
    executable: Callable[[Leaves], Leaves],
    leaves: Leaves,
    donated: set[int],
    origins: Origins,
    overlapping: Runner,
) -> Runner:
    """What a call with arguments of these types runs: arrays in, the executable, results out.

    The runner raises Stale when something that the capture relied on has changed. Arrays that it examined are
    looked for, and looked at, at each call. `overlapping` is run in its place when an array that the function
    writes shares memory with another, or does not lie as it was taken to.
    """
    scalars = [
        (i, captured.graph.inputs[i].type.np_dtype) for i, leaf in enumerate(leaves) if type(leaf) is not np.ndarray
    ]
    extra, count = captured.captured, len(leaves)
    used, held = count + len(extra), [copy for _, copy in captured.examined]
    extra = extra + [array for array, _ in captured.examined]
    shared = _sharing(donated, count) if donated and not captured.stores else None

    def feed(given: Leaves) -> Leaves:
        arrays = given + extra
        if moving:
            origins.fetch(arrays, count)
        for array, then in zip(arrays[used:], held, strict=True):
            if not np.array_equal(array, then):
                raise Stale
        del arrays[used:]
        for i, dtype in scalars:
            arrays[i] = np.asarray(given[i], dtype=dtype)
        if shared is not None:
            shared(arrays)
        return arrays

    moving = bool(origins)
    direct = not scalars and not extra and not moving and shared is None
    if captured.stores:
        return _storing(captured, executable, feed, overlapping)
    plain = _plain(captured)
    if captured.treedef == _LEAF and plain == [] and direct:
        return lambda given: executable(given)[0]
    if plain is not None:
        unflatten, treedef = tree.unflatten, captured.treedef
        if direct and not plain:
            return lambda given: unflatten(treedef, executable(given))

        def run(given: Leaves) -> Any:
            results = executable(given if direct else feed(given))
            for i in plain:
                results[i] = results[i][()]
            return unflatten(treedef, results)

        return run
    return lambda given: captured.rebuild(given, executable(given if direct else feed(given)))


def _storing(
    captured: Capture, executable: Callable[[Leaves], Leaves], feed: Callable[[Leaves], Leaves], overlapping: Runner
) -> Runner:
    """The runner of a function that writes arrays of its caller's, or that it closes over."""
    stores = captured.stores
    written = [i for i, _ in stores]
    rowmajor = frozenset(captured.rowmajor)

    def run(given: Leaves) -> Any:
        arrays = feed(given)
        for i in written:
            if i in rowmajor and not arrays[i].flags.c_contiguous:
                return overlapping(given)
            if not arrays[i].flags.writeable:
                raise ValueError(f"assignment destination is read-only: input {captured.graph.inputs[i].name or i}")
            for k, other in enumerate(arrays):
                if k != i and np.may_share_memory(arrays[i], other):
                    return overlapping(given)
        results = executable(arrays)
        for i, j in stores:
            if results[j] is not arrays[i]:
                np.copyto(arrays[i], results[j])
        return captured.rebuild(given, results)

    return run


_LEAF = tree.structure(0)


def _plain(captured: Capture) -> list[int] | None:
    """Which results are 0-d, when the leaves of the function's result are just the graph's outputs in order."""
    if captured.places != [("result", i, None) for i in range(len(captured.places))]:
        return None
    return [i for i, v in enumerate(captured.graph.outputs) if not v.type.dims]


def _sharing(donated: set[int], count: int) -> Callable[[Leaves], None]:
    """What copies a donated array that another argument shows too: its buffer is not ours alone."""

    def settle(arrays: Leaves) -> None:
        roots = [id(a if a.base is None else a.base) for a in arrays]
        if len(set(roots)) == len(roots):
            return
        for i in donated:
            if roots.count(roots[i]) > 1:
                arrays[i] = arrays[i].copy()

    return settle


def signature_key(leaves: Leaves) -> list[Any]:
    """What a specialisation depends on in each leaf: dtype and shape of arrays, the class of all else."""
    key: list[Any] = []
    for leaf in leaves:
        if type(leaf) is np.ndarray:
            key.append(leaf.dtype)
            key.append(leaf.shape)
        elif isinstance(leaf, np.ndarray):
            key += (type(leaf), leaf.dtype, leaf.shape)
        else:
            key.append(type(leaf))
    return key


def guard_key(scalar: bool | int | float) -> Any:
    """Equal for scalars that a capture can't tell apart: NaN equals itself, 0.0 is not -0.0."""
    return scalar.hex() if isinstance(scalar, float) else scalar
