"""jacfwd, jacrev and hessian: derivatives in all directions at once, `jvp` and `vjp` mapped over a basis.

    jacfwd(f)(x)[..., j] = jvp(f, x, e_j)       a column for each element of x: for few inputs
    jacrev(f)(x)[i]      = vjp(f, x)(e_i)       a row for each element of the output: for few outputs
    hessian(f)           = jacfwd(jacrev(f))

With trees the basis is one for all leaves, and what comes out is cut at the leaves' sizes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.apply import as_result
from weft.frontend.arguments import (
    identifier,
    input_type,
    leaf_paths,
    name_of,
    normal_argnums,
    positional_names,
    signature_of,
)
from weft.frontend.convert import hooks
from weft.frontend.errors import GradientError, message, type_text
from weft.frontend.numpy_api import surface
from weft.frontend.transforms import Argnums, float_type, jvp, vjp
from weft.frontend.vectorise import vmap
from weft.ir.types import TensorType

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev", "surface"]


def jacfwd(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the Jacobian of `function` by its arguments `argnums`, forward.

    For an output of shape s and an argument of shape t it has the shape s + t. Of trees it is the tree of the output,
    with the tree of the argument (a tuple of those when `argnums` is a sequence) at each leaf. With `has_aux`,
    `function` returns `(output, aux)`, of arrays and numbers, and the Jacobian function `(Jacobian, aux)`. Raises
    GradientError for an argument that is no float.
    """

    @functools.wraps(function, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        restricted, primals, paths = _restricted(function, args, kwargs, argnums)

        def push(*tangents: Any) -> Any:
            out, moved = jvp(restricted, primals, tangents)
            return (out[1], moved[0]) if has_aux else (None, moved)

        leaves, treedef = tree.flatten(primals)
        types = [float_type(leaf, path) for leaf, path in zip(leaves, paths, strict=True)]
        aux, columns = vmap(push, out_axes=(None, -1))(*tree.unflatten(treedef, _basis(types)))

        def cut(whole: Any) -> Any:
            blocks = zip(_cut(whole, types, -1), types, strict=True)
            return _by_argument(treedef, [_shaped(b, whole.shape[:-1], t.dims) for b, t in blocks], argnums)

        found = tree.map(cut, columns)
        return (found, aux) if has_aux else found

    return jacobian_of


def jacrev(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """As `jacfwd`, backward; `aux` may be anything. Raises GradientError for an output, too, that is no float."""

    @functools.wraps(function, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        restricted, primals, _ = _restricted(function, args, kwargs, argnums)
        out, pull, *aux = vjp(restricted, *primals, has_aux=has_aux)
        leaves, treedef = tree.flatten(out)
        types = [_type_of_result(leaf, path) for leaf, path in zip(leaves, treedef.paths("the result"), strict=True)]
        rows = vmap(pull)(tree.unflatten(treedef, _basis(types)))
        below, inner = tree.flatten(rows)
        blocks = [_cut(whole, types, 0) for whole in below]
        shaped = [
            [_shaped(row[k], t.dims, whole.shape[1:]) for row, whole in zip(blocks, below, strict=True)]
            for k, t in enumerate(types)
        ]
        found = tree.unflatten(treedef, [_by_argument(inner, row, argnums) for row in shaped])
        return (found, aux[0]) if has_aux else found

    return jacobian_of


jacobian = jacrev


def hessian(function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the second derivatives of `function`: the Jacobian, forward, of its Jacobian, backward.

    Shapes and trees as `jacfwd` says, applied twice. With `has_aux` it returns `(Hessian, aux)`.
    """
    return jacfwd(jacrev(function, argnums, has_aux), argnums, has_aux)


def _restricted(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums
) -> tuple[Callable[..., Any], tuple[Any, ...], list[str]]:
    """`function` of the arguments `argnums` alone, those, and how the user writes their leaves."""
    chosen = normal_argnums(argnums, len(args), "argnums")

    def restricted(*given: Any) -> Any:
        found = list(args)
        for n, argument in zip(chosen, given, strict=True):
            found[n] = argument
        return hooks.call(function, *found, **kwargs)

    names = positional_names(signature_of(function), len(args))
    parameters = [inspect.Parameter(identifier(names[n]), inspect.Parameter.POSITIONAL_ONLY) for n in chosen]
    restricted.__name__ = name_of(function)
    restricted.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return restricted, tuple(args[n] for n in chosen), [p for n in chosen for p in leaf_paths(names[n], args[n])]


def _type_of_result(leaf: Any, path: str) -> TensorType:
    """Its type. Raises GradientError unless it is a float."""
    type_ = input_type(leaf, path)
    if type_ is None or not type_.is_float:
        shown = f"a {type(leaf).__qualname__}" if type_ is None else type_text(type_)
        raise GradientError(message(f"a Jacobian is of floats by floats, and {path} is {shown}"))
    return type_


def _basis(types: Sequence[TensorType]) -> list[np.ndarray]:
    """For each type a stack of arrays, so that the n-th of all stacks have a 1 in one place, the n-th, and zeros."""
    ends = [0, *accumulate(t.size for t in types)]
    found = []
    for t, (start, stop) in zip(types, pairwise(ends), strict=True):
        stack = np.zeros((ends[-1], t.size), t.np_dtype)
        stack[start:stop] = np.eye(t.size, dtype=t.np_dtype)
        found.append(stack.reshape(-1, *t.dims))
    return found


def _cut(whole: Any, types: Sequence[TensorType], axis: int) -> list[Any]:
    """The parts of the basis's axis, the first or the last, that belong to the types."""
    ends = [0, *accumulate(t.size for t in types)]
    return [whole[a:b] if axis == 0 else whole[..., a:b] for a, b in pairwise(ends)]


def _shaped(block: Any, outer: tuple[int, ...], inner: tuple[int, ...]) -> Any:
    return as_result(np.reshape(block, (*outer, *inner)), fresh=True)


def _by_argument(treedef: tree.TreeDef, leaves: Sequence[Any], argnums: Argnums) -> Any:
    """A tuple of an entry for each argument, or the one."""
    found = tree.unflatten(treedef, leaves)
    return found[0] if isinstance(argnums, int) else found
