"""weft: a compiler and differentiator for the NumPy you already have.

    @weft.compile                          compile(f), grad(f), value_and_grad(f), vjp(f, x), jvp(f, (x,), (t,))
    def step(params, x, y): ...            weft.tree: nested containers of arrays
    for i in weft.unroll(range(n)): ...    unroll, rolled: how a loop is captured
    weft.vmap(f, in_axes=0)                vmap, jacfwd, jacrev, jacobian, hessian
    weft.scan(f, init, xs)                 cond, switch, while_loop, fori_loop, scan, map, associative_scan

The names are loaded when they are first used, so that `import weft` costs little more than `import numpy`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.explanation import explain
    from weft.frontend import errors, tree
    from weft.frontend.control import associative_scan, checkpoint, cond, fori_loop, map, scan, switch, while_loop
    from weft.frontend.convert.iteration import Rolled as rolled
    from weft.frontend.convert.iteration import Unrolled as unroll
    from weft.frontend.errors import FallbackWarning, WeftError
    from weft.frontend.jacobian import hessian, jacfwd, jacobian, jacrev
    from weft.frontend.transforms import grad, jvp, value_and_grad, vjp
    from weft.frontend.vectorise import vmap
    from weft.runtime.pool import limited as threads

    compile: Any

__version__ = "0.1.0"
__all__ = [
    "FallbackWarning", "WeftError", "associative_scan", "checkpoint", "compile", "cond", "errors", "explain",
    "fori_loop", "grad", "hessian", "jacfwd", "jacobian", "jacrev", "jvp", "map", "rolled", "scan", "switch", "threads",
    "tree", "unroll",
    "value_and_grad", "vjp", "vmap", "while_loop",
]  # fmt: skip

# Public name -> (module, name there; "" for the module itself).
_WHERE = {
    "grad": ("weft.frontend.transforms", "grad"),
    "value_and_grad": ("weft.frontend.transforms", "value_and_grad"),
    "vjp": ("weft.frontend.transforms", "vjp"),
    "jvp": ("weft.frontend.transforms", "jvp"),
    "vmap": ("weft.frontend.vectorise", "vmap"),
    **{name: ("weft.frontend.jacobian", name) for name in ("hessian", "jacfwd", "jacobian", "jacrev")},
    **{
        name: ("weft.frontend.control", name)
        for name in ("associative_scan", "checkpoint", "cond", "fori_loop", "map", "scan", "switch", "while_loop")
    },
    "rolled": ("weft.frontend.convert.iteration", "Rolled"),
    "unroll": ("weft.frontend.convert.iteration", "Unrolled"),
    "explain": ("weft.explanation", "explain"),
    "threads": ("weft.runtime.pool", "limited"),
    "tree": ("weft.frontend.tree", ""),
    "errors": ("weft.frontend.errors", ""),
    "FallbackWarning": ("weft.frontend.errors", "FallbackWarning"),
    "WeftError": ("weft.frontend.errors", "WeftError"),
}


def __getattr__(name: str) -> Any:
    if name == "compile":
        from weft.compiler import compile_graph
        from weft.frontend.decorate import make_compile

        value: Any = make_compile(compile_graph)
    elif name in _WHERE:
        module, inner = _WHERE[name]
        loaded = importlib.import_module(module)
        value = getattr(loaded, inner) if inner else loaded
    else:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
