"""`weft.compile` itself: the decorator, over a compiler of graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft.frontend.compile import CompiledFunction, CompileGraph
from weft.frontend.numpy_api import surface
from weft.frontend.options import Options, as_tuple

__all__ = ["make_compile", "surface"]


def make_compile(compile_graph: CompileGraph) -> Callable[..., Any]:
    """The public `compile`, over a compiler of graphs.

    `compile_graph(graph, donate=positions, label=name)` returns what runs it: called with a list of arrays,
    one per input, it returns a list of arrays, one per output. `compile_graph.lower` returns the stages, and
    `compile_graph.declared`, where it has that, is told the name of each function that is to be compiled.
    """

    def compile(
        function: Callable[..., Any] | None = None,
        *,
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Iterable[str] = (),
        donate_argnums: int | Sequence[int] = (),
        fallback: str | None = None,
        boundscheck: bool = True,
    ) -> Any:
        """Compile a function of NumPy arrays; also a decorator, with and without parentheses.

        It is captured when it is first called with arguments of some tree, dtypes and shapes, compiled,
        and from then on run as native code. Python scalars are traced too; those whose value decides the
        course of the function (`range(n)`, `if flag`) are compiled for each value.

        static_argnums, static_argnames: parameters that are not traced but compiled for, by `==` and hash.
        donate_argnums: arguments whose arrays the caller gives up: results may be stored in them.
        fallback: "numpy" runs what can't be captured as it is, with one FallbackWarning for each kind of arguments.
        boundscheck: False raises no IndexError for an index that the program computes: in place of one that is out of
        bounds another one is read or written. Results are then unspecified, memory is safe.

        Raises TypeError when `function` can't be called; when the compiled function is called: ArgumentError
        for arguments that are no arrays, DTypeError, and TracingError for what can't be captured.
        """
        options = Options(
            as_tuple(static_argnums),
            (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames),
            as_tuple(donate_argnums),
            fallback,
            boundscheck,
        )
        if function is None:
            return lambda f: make(f, options)
        return make(function, options)

    def make(function: Callable[..., Any], options: Options) -> CompiledFunction:
        if not callable(function):
            raise TypeError(f"weft.compile takes a function, got {type(function).__name__}")
        compiled = CompiledFunction(function, compile_graph, options)
        declared = getattr(compile_graph, "declared", None)
        if declared is not None:
            declared(compiled._label)
        return compiled

    return compile
