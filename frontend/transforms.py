"""grad, value_and_grad, vjp and jvp: capture the function, transform its graph, put the result in place.

    grad(f)(x):   f  --capture-->  graph  --reverse-->  graph with δx  --apply-->  arrays, or tracers

Where an argument (or something that f closes over) is traced, the transformed graph is inlined there, so
transforms nest in each other and in `compile` to any depth; else it is run once by the interpreter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.apply import Halves, apply, arguments_of, as_result, write_back
from weft.frontend.arguments import (
    argument_tracer,
    as_array,
    identifier,
    input_type,
    leaf_paths,
    name_of,
    normal_argnums,
    positional_names,
    signature_of,
    weak_of,
)
from weft.frontend.capture import Known, Outer, Trace
from weft.frontend.convert import hooks
from weft.frontend.errors import ForeignArrayError, GradientError, came_from, message, type_text
from weft.frontend.extents import fixed
from weft.frontend.numpy_api import surface
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, cast, read
from weft.ir.graph import Graph, Value
from weft.ir.types import TensorType
from weft.passes.dce import dce
from weft.passes.differentiate import reverse
from weft.passes.forward import forward

__all__ = ["grad", "jvp", "surface", "value_and_grad", "vjp"]

Argnums = int | Sequence[int]


def grad(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the gradient of `function`, a float scalar, by its arguments `argnums`.

    The gradient has the tree, shapes and dtypes of the argument (a tuple of those when `argnums` is a
    sequence); of a Python float it is an np.float64. With `has_aux`, `function` returns `(scalar, aux)` and
    the gradient function `(gradient, aux)`. Raises GradientError for a non-scalar or an integer.
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(
    function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """As `grad`, but the returned function gives `(value, gradient)`, or `((value, aux), gradient)`."""
    _check_callable(function, "value_and_grad")

    @functools.wraps(function, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen = normal_argnums(argnums, len(args), "argnums")
        with _Capture(function, args, kwargs, chosen) as captured:
            out = captured.result
            loss, aux = _pair(out, "grad") if has_aux else (out, None)
            loss_value = captured.scalar(loss)
            leaves, treedef = tree.flatten(aux)
            outputs, rebuild = captured.outputs(leaves)
            graph = captured.finish([loss_value, *outputs])
        wrt = range(len(captured.leaves))
        seed = loss_value.type.np_dtype.type(1)  # a scalar: in a capture around us it is a constant
        arguments = [*captured.arguments(graph), seed]
        results = apply(dce(reverse(graph, wrt, [0])), arguments)
        value = as_result(results[0], weak_of(loss) if type(loss) is Tracer else None)
        rest = rebuild(results[1 : 1 + len(outputs)])
        captured.write_back(results)
        gradients = [as_result(g, fresh=True) for g in results[len(graph.outputs) :]]
        found = captured.rebuild(gradients)
        value = (value, tree.unflatten(treedef, rest)) if has_aux else value
        return value, (found[0] if isinstance(argnums, int) else found)

    return value_and_gradient


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`(out, pullback)`, or `(out, pullback, aux)`: `pullback(cotangent)` is a tuple, a gradient per primal.

    The cotangent has the tree and shapes of `out`; where `out` is no float it is not looked at. The forward
    work is done once, however often `pullback` is called.
    """
    _check_callable(function, "vjp")
    with _Capture(function, primals, {}, range(len(primals))) as captured:
        out, aux = _pair(captured.result, "vjp") if has_aux else (captured.result, None)
        leaves, treedef = tree.flatten(out)
        values = [captured.value(leaf) for leaf in leaves]
        weak = [weak_of(leaf) for leaf in leaves]
        aux_leaves, aux_treedef = tree.flatten(aux)
        aux_values, aux_rebuild = captured.outputs(aux_leaves)
        graph = captured.finish([*values, *aux_values])
    seeds = [i for i, v in enumerate(values) if v.type.is_float]
    types = [values[i].type for i in seeds]
    shown = len(graph.outputs)
    both = dce(reverse(graph, range(len(captured.leaves)), seeds))
    halves = Halves(both, len(graph.inputs), shown, captured.arguments(graph))
    results = halves.results
    captured.write_back(results)

    def pullback(cotangent: Any) -> Any:
        """Gradients by the primals, from a cotangent of the output."""
        given_leaves, given_treedef = tree.flatten(cotangent)
        if given_treedef != treedef:
            raise GradientError(
                message(f"the cotangent has the structure {given_treedef}, the output has {treedef}")
            )
        found = [_like(given_leaves[i], t, "cotangent") for i, t in zip(seeds, types, strict=True)]
        return captured.rebuild([as_result(g, fresh=True) for g in halves.finish(found)])

    ready = [as_result(r, w) for r, w in zip(results, weak, strict=False)]
    shown_out = tree.unflatten(treedef, ready)
    if not has_aux:
        return shown_out, pullback
    rest = aux_rebuild(results[len(values) : len(values) + len(aux_values)])
    return shown_out, pullback, tree.unflatten(aux_treedef, rest)


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`(out, tangent)`: the function's value and its derivative in the direction of `tangents`.

    `tangents` has the tree and shapes of `primals` (both are sequences of arguments); the tangent that is
    returned has the tree of `out`, with zeros for outputs that are no floats.
    """
    _check_callable(function, "jvp")
    for given, what in ((primals, "primals"), (tangents, "tangents")):
        if not isinstance(given, list | tuple):
            kind = type(given).__name__
            raise GradientError(message(f"jvp takes {what} as a tuple of arguments, got a {kind}"))
    with _Capture(function, tuple(primals), {}, range(len(primals))) as captured:
        directions, structure = tree.flatten(tuple(tangents))
        wanted = tree.structure(tuple(primals))
        if structure != wanted:
            raise GradientError(message(f"tangents have the structure {structure}, primals have {wanted}"))
        rows = zip(directions, captured.inputs, captured.paths, strict=True)
        moved = [_like(d, v.type, f"tangent of {path}") for d, v, path in rows]
        leaves, treedef = tree.flatten(captured.result)
        values = [captured.value(leaf) for leaf in leaves]
        graph = captured.finish(values)
    arguments = captured.arguments(graph)
    results = apply(dce(forward(graph, range(len(captured.leaves)))), [*arguments, *moved])
    captured.write_back(results)
    floats = iter(results[len(graph.outputs) :])
    out, tangent = [], []
    for value, result, leaf in zip(values, results, leaves, strict=False):
        out.append(as_result(result, weak_of(leaf)))
        zero = np.zeros(value.type.dims, value.type.np_dtype)
        tangent.append(as_result(next(floats) if value.type.is_float else zero, fresh=True))
    return tree.unflatten(treedef, out), tree.unflatten(treedef, tangent)


class _Capture:
    """A call of `function` with the leaves of its arguments `argnums` traced, and all else as it is.

    `with` it the function is called, and captured until `finish`. When it turns out to write traced values into an
    array among its other arguments, it is called again with that traced too.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: Sequence[int],
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.argnums = argnums
        self.treedef = tree.structure(tuple(args[n] for n in argnums))
        self._written: list[tuple[Any, int]] = []  # (array, tracer or storage; position among the outputs)

    def __enter__(self) -> _Capture:
        written: list[np.ndarray] = []
        while True:
            given = self._begin()
            try:
                args, kwargs = self._with_traced(written, given)
                self.result = hooks.call(self.function, *args, **kwargs)
                return self
            except ForeignArrayError as error:
                self.trace.__exit__()
                if not any(leaf is error.array for leaf in tree.leaves((given, self.kwargs))):
                    raise
                written.append(error.array)
                for array, held in self.trace.overwritten.values():
                    array[...] = held
            except BaseException:
                self.trace.__exit__()
                raise

    def _begin(self) -> list[Any]:
        """Begin a capture. Returns the arguments with those of `argnums` traced."""
        self.trace = Trace(name_of(self.function))
        self.leaves: list[Any] = []
        self.paths: list[str] = []
        self.inputs: list[Value] = []
        self.tracers: list[Tracer] = []
        names = positional_names(signature_of(self.function), len(self.args))
        given = list(self.args)
        for n in self.argnums:
            leaves, treedef = tree.flatten(given[n])
            paths = leaf_paths(names[n], given[n])
            traced = [self._input(leaf, path) for leaf, path in zip(leaves, paths, strict=True)]
            given[n] = tree.unflatten(treedef, traced)
        self.trace.__enter__()
        return given

    def _with_traced(self, written: Sequence[np.ndarray], given: list[Any]) -> Any:
        """The arguments with some of their arrays traced: by reference, as what is closed over."""
        if not written:
            return given, self.kwargs
        like = anchor_in(self.trace)
        found = lambda leaf: as_tracer(leaf, like) if any(leaf is a for a in written) else leaf  # noqa: E731
        return tree.map(found, (given, self.kwargs))

    def __exit__(self, *exception: object) -> None:
        self.trace.__exit__()

    def finish(self, outputs: Sequence[Value]) -> Graph:
        """The captured graph: `outputs`, then what the arrays that the function wrote hold at its end."""
        found = list(outputs)
        changed = [
            (leaf, tracer.value)
            for leaf, tracer, value in zip(self.leaves, self.tracers, self.inputs, strict=True)
            if tracer.storage.value is not value and isinstance(leaf, np.ndarray | Tracer)
        ]
        for target, value in [*changed, *((w.target, w.value) for w in self.trace.written())]:
            self._written.append((target, len(found)))
            found.append(value)
        return self.trace.finish(found)

    def arguments(self, graph: Graph) -> list[Any]:
        """What to give for the graph's inputs; of arrays that will be written, copies: residuals may be views."""
        written = [target for target, _ in self._written if isinstance(target, np.ndarray)]
        given = arguments_of(self.trace, graph.inputs)
        return [a.copy() if any(a is w for w in written) else a for a in given]

    def write_back(self, results: Sequence[Any]) -> None:
        """Let the caller's arrays, and those closed over, be what the function made of them."""
        for target, at in self._written:
            write_back(target, results[at])

    def _input(self, leaf: Any, path: str) -> Tracer:
        type_ = float_type(leaf, path)
        weak = weak_of(leaf)
        source: Any
        if type(leaf) is Tracer:
            source = Outer(leaf.home, leaf.value, leaf.weak)
        else:
            source = Known(as_array(leaf, type_))
        value = self.trace.input(type_, source, identifier(path))
        self.trace.variables.add(value)
        known = isinstance(leaf, np.ndarray) and not leaf.flags.c_contiguous
        tracer = argument_tracer(self.trace, value, weak, leaf.strides if known else None)
        self.leaves.append(leaf)
        self.paths.append(path)
        self.inputs.append(value)
        self.tracers.append(tracer)
        return tracer

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """Something per traced leaf, as a tuple of trees, one per argument."""
        return tree.unflatten(self.treedef, leaves)

    def value(self, leaf: Any) -> Value:
        """A leaf of the result as a value of the capture, a constant if need be."""
        like = self.tracers[0] if self.tracers else Tracer(self.trace, self.trace.constant(0, "f64"))
        return read(self.trace, fixed(as_tracer(leaf, like), "returns"))

    def outputs(self, leaves: Sequence[Any]) -> tuple[list[Value], Callable[[Sequence[Any]], list[Any]]]:
        """The values of the leaves that are traced, and what puts their results among the others."""
        places = [i for i, leaf in enumerate(leaves) if type(leaf) is Tracer and leaf.home is self.trace]
        values = [fixed(leaves[i], "returns").value for i in places]

        def rebuild(results: Sequence[Any]) -> list[Any]:
            found = list(leaves)
            for i, result in zip(places, results, strict=True):
                found[i] = as_result(result, leaves[i].weak)
            return found

        return values, rebuild

    def scalar(self, loss: Any) -> Value:
        """The value to differentiate. Raises GradientError unless it is a float scalar."""
        advice = "Reduce it to a number, np.sum(...) or np.mean(...), or use weft.vjp for more outputs."
        if type(loss) is not Tracer and not isinstance(loss, float | np.ndarray | np.generic):
            kind = type(loss).__name__
            raise GradientError(message(f"grad needs a function that returns one float, not a {kind}", (), advice))
        value = self.value(loss)
        if value.type.dims:
            raise GradientError(message("grad needs a function that returns a scalar", [value], advice))
        if not value.type.is_float:
            raise GradientError(
                message("grad needs a function that returns a float", [value],
                        "Comparisons, integers and argmax have no gradient.")
            )  # fmt: skip
        return value


def float_type(leaf: Any, path: str) -> TensorType:
    """The type of a leaf to differentiate by. Raises GradientError unless it is a float."""
    type_ = input_type(leaf, path)
    if type_ is None:
        kind = type(leaf).__qualname__
        advice = "Leave that argument out of argnums, or keep what is no array out of its tree."
        raise GradientError(message(f"can't differentiate by {path}: a {kind} is no array", (), advice))
    if not type_.is_float:
        origin = came_from(leaf.value.location) if type(leaf) is Tracer else ""
        if weak_of(leaf) is not None:
            what = f"a Python {type(leaf).__name__}" if type(leaf) is not Tracer else type_text(type_)
            advice = f"Pass a float, {float(leaf)}." if isinstance(leaf, int) else "Pass a float."
        else:
            what, advice = type_text(type_), f"Convert it: {path}.astype(np.float64)."
        text = f"can't differentiate by {path}, which is {what}{origin}: derivatives are by floats"
        raise GradientError(message(text, (), advice))
    return type_


def _like(given: Any, type_: TensorType, what: str) -> Any:
    """A tangent or cotangent as an array or tracer of the given type. Raises GradientError."""
    have = input_type(given, what)
    if have is None or have.dims != type_.dims:
        shown = type_text(have) if have is not None else f"a {type(given).__qualname__}"
        raise GradientError(message(f"the {what} is {shown}, it has to be {type_text(type_)}"))
    if type(given) is Tracer:
        return cast(given, type_.dtype)
    return as_array(given, type_)


def _pair(out: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise GradientError(message(f"{what} with has_aux needs a function that returns (output, aux)"))
    return out


def _check_callable(function: Any, what: str) -> None:
    if not callable(function):
        raise TypeError(f"weft.{what} takes a function, got {type(function).__name__}")


