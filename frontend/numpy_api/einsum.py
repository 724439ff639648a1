"""np.einsum: labelled axes, contracted two operands at a time.

    einsum("bij,bjk,k->bi", x, y, z)      labels      x: b i j    y: b j k    z: k    result: b i
        y·z  over k, batch none           dot         t: b j
        x·t  over j, batch b              dot         r: b i

A label twice in one operand is its diagonal; one that nobody else needs is summed at once; two operands that
share no label to sum over are multiplied. The order of more than two is np.einsum_path's.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.diagonals import diagonal
from weft.frontend.numpy_api.keywords import arrays, takes_out, wanted_dtype
from weft.frontend.numpy_api.moves import permuted, reshaped, view
from weft.frontend.numpy_api.reductions import total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, cast, common_dtype, emit
from weft.frontend.ufunc_rules import truth
from weft.ir import ops
from weft.ir.dims import value_of

Label = Any  # a letter, an int, or ("...", n): the nth axis from the right of those under an ellipsis
Labels = tuple[Label, ...]
Term = tuple[Tracer, Labels]


@implements(np.einsum)
@takes_out("buffer")
def einsum(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, order: Any = "K",
           casting: Any = "safe") -> Tracer:  # fmt: skip
    """Einstein's sum, in all of NumPy's forms. Raises ValueError for wrong subscripts, DTypeError."""
    given, terms, result = _read(operands)
    tracers = arrays(*given)
    labels = [_expanded(term, x) for term, x in zip(terms, tracers, strict=True)]
    wanted = _output(result, labels)
    common = wanted_dtype(dtype, common_dtype(tracers))
    for x in tracers:
        if not np.can_cast(x.dtype, common, casting):
            raise DTypeError(message(f"np.einsum: {x.dtype} can't be cast to {common} ({casting} casting)", [x.value]))
    computed = np.dtype(np.int64) if common == np.bool_ else common
    sizes = _sizes(tracers, labels)
    prepared = [_simple(cast(x, computed), own, sizes) for x, own in zip(tracers, labels, strict=True)]
    for places in _path(prepared, wanted, sizes, optimize):
        _contract(prepared, sorted(places), wanted)
    ((x, own),) = prepared
    x, own = _summed(x, own, set(wanted))
    if own != wanted:
        x = permuted(x, [own.index(label) for label in wanted])
    if common == np.bool_:
        return truth(x)
    return view(x) if any(x is t for t in tracers) else x


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: Any = False) -> Any:
    return np.einsum_path(*[_stand_in(o.shape) if type(o) is Tracer else o for o in operands], optimize=optimize)


# Subscripts.


def _read(operands: Sequence[Any]) -> tuple[list[Any], list[list[Label]], list[Label] | None]:
    """The operands, what labels each was given (with Ellipsis among them), and those of the result."""
    if isinstance(operands[0], str):
        left, arrow, right = operands[0].replace(" ", "").partition("->")
        terms, given = [_letters(term) for term in left.split(",")], list(operands[1:])
        if len(terms) != len(given):
            more = "more" if len(given) > len(terms) else "fewer"
            text = f"{more} operands provided to einstein sum function than specified in the subscripts string"
            raise ValueError(text)
        return given, terms, _letters(right) if arrow else None
    pairs = len(operands) // 2
    given = list(operands[: 2 * pairs : 2])
    terms = [list(term) for term in operands[1 : 2 * pairs : 2]]
    return given, terms, list(operands[-1]) if len(operands) % 2 else None


def _letters(term: str) -> list[Label]:
    before, dots, after = term.partition("...")
    for letter in before + after:
        if letter not in string.ascii_letters:
            raise ValueError(
                f"invalid subscript '{letter}' in einstein sum subscripts string, subscripts must be letters"
            )
    return [*before, *([Ellipsis] if dots else []), *after]


def _under_ellipsis(count: int) -> list[Label]:
    return [("...", n) for n in range(count, 0, -1)]


def _expanded(term: list[Label], x: Tracer) -> Labels:
    """A label for every axis of x."""
    count = x.ndim - len([label for label in term if label is not Ellipsis])
    if count < 0 or (count and Ellipsis not in term):
        which = "more dimensions" if count > 0 else "fewer dimensions"
        text = f"operand has {which} than subscripts given in einstein sum"
        text += ", but no '...' ellipsis provided to broadcast the extra dimensions" if count > 0 else ""
        raise ShapeError(message(text, [x.value]))
    at = term.index(Ellipsis) if Ellipsis in term else len(term)
    return (*term[:at], *_under_ellipsis(count), *term[at + 1 :])


def _output(result: list[Label] | None, labels: list[Labels]) -> Labels:
    """Labels of the result; when none are given those that occur once, in order. Raises ValueError."""
    every = [label for own in labels for label in own]
    dotted = _under_ellipsis(max((n for n in (label[1] for label in every if type(label) is tuple)), default=0))
    if result is None:
        named = [label for label in every if type(label) is not tuple]
        return (*dotted, *sorted(label for label in named if named.count(label) == 1))
    if dotted and Ellipsis not in result:
        raise ValueError(
            "output has more dimensions than subscripts given in einstein sum, but no '...' ellipsis provided to "
            "broadcast the extra dimensions."
        )
    for label in result:
        if result.count(label) > 1:
            raise ValueError(f"einstein sum subscripts string includes output subscript '{label}' multiple times")
        if label is not Ellipsis and label not in every:
            raise ValueError(
                f"einstein sum subscripts string included output subscript '{label}' which never appeared in an input"
            )
    at = result.index(Ellipsis) if Ellipsis in result else len(result)
    return (*result[:at], *dotted, *result[at + 1 :])


def _sizes(tracers: list[Tracer], labels: list[Labels]) -> dict[Label, int]:
    """Size of every label; axes of size 1 broadcast. Raises ShapeError."""
    sizes: dict[Label, int] = {}
    for x, own in zip(tracers, labels, strict=True):
        for label, n in zip(own, x.shape, strict=True):
            if own.count(label) > 1 and n != x.shape[own.index(label)]:
                text = f"dimensions in single operand for collapsing index '{label}' don't match"
                raise ShapeError(message(f"{text} ({x.shape[own.index(label)]} != {n})", [x.value]))
            if sizes.setdefault(label, n) == 1:
                sizes[label] = n
            elif n not in (1, sizes[label]):
                text = f"operands disagree on the size of subscript '{label}': {sizes[label]} and {n}"
                raise ShapeError(message(text, [t.value for t in tracers]))
    return sizes


# Contraction.


def _simple(x: Tracer, own: Labels, sizes: dict[Label, int]) -> Term:
    """The operand without repeated labels, and without axes that broadcast."""
    for label in dict.fromkeys(own):
        while own.count(label) > 1:
            i = own.index(label)
            j = own.index(label, i + 1)
            x = diagonal(x, 0, i, j)
            own = (*own[:i], *own[i + 1 : j], *own[j + 1 :], label)
    kept = [i for i, label in enumerate(own) if x.shape[i] == sizes[label]]
    if len(kept) < len(own):
        x = reshaped(x, [x.shape[i] for i in kept])
    return x, tuple(own[i] for i in kept)


def _stand_in(shape: Sequence[int]) -> np.ndarray:
    """An array of that shape that takes no memory."""
    return np.broadcast_to(np.zeros(()), tuple(map(value_of, shape)))


def _path(terms: list[Term], wanted: Labels, sizes: dict[Label, int], optimize: Any) -> list[tuple[int, ...]]:
    """Which operands to contract at each step; the result of a step becomes the last operand."""
    if len(terms) < 3 or len(sizes) > len(string.ascii_letters):
        return [(0, 1)] * (len(terms) - 1)
    letter = dict(zip(sizes, string.ascii_letters, strict=False))
    spell = lambda own: "".join(letter[label] for label in own)  # noqa: E731
    subscripts = ",".join(spell(own) for _, own in terms) + "->" + spell(wanted)
    if not isinstance(optimize, list | tuple):
        optimize = ("optimal" if len(terms) < 5 else "greedy", 1 << 62)
    stand_ins = [_stand_in([sizes[label] for label in own]) for _, own in terms]
    return np.einsum_path(subscripts, *stand_ins, optimize=optimize)[0][1:]


def _contract(terms: list[Term], places: Sequence[int], wanted: Labels) -> None:
    """Replace the operands at `places` by their product, summed over what no other needs."""
    chosen = [terms.pop(i) for i in reversed(places)][::-1]
    rest = set(wanted).union(*(own for _, own in terms))
    first, *others = chosen
    for n, second in enumerate(others):
        later = rest.union(*(own for _, own in others[n + 1 :]))
        first = _pair(first, second, later)
    terms.append(first)


def _summed(x: Tracer, own: Labels, keep: set[Label]) -> Term:
    axes = [i for i, label in enumerate(own) if label not in keep]
    return (total(x, axes) if axes else x), tuple(label for label in own if label in keep)


def _pair(first: Term, second: Term, keep: set[Label]) -> Term:
    """The product of two operands, summed over labels that are not kept."""
    a, left = _summed(*first, keep | set(second[1]))
    b, right = _summed(*second, keep | set(first[1]))
    shared = [label for label in left if label in right]
    contract = [label for label in shared if label not in keep]
    if not contract:
        labels = (*left, *(label for label in right if label not in left))
        return emit(ops.elementwise.mul, _laid_out(a, left, labels), _laid_out(b, right, labels)), labels
    batch = [label for label in shared if label in keep]
    places = [
        (tuple(left.index(label) for label in group), tuple(right.index(label) for label in group))
        for group in (batch, contract)
    ]
    free = [label for label in (*left, *right) if label not in shared]
    return emit(ops.linalg.dot, a, b, batch=places[0], contract=places[1]), (*batch, *free)


def _laid_out(x: Tracer, own: Labels, labels: Labels) -> Tracer:
    """x with its axes in the order of `labels`, of size 1 where it has none."""
    order = [own.index(label) for label in labels if label in own]
    x = permuted(x, order) if order != sorted(order) else x
    sizes = iter(x.shape)
    shape = [next(sizes) if label in own else 1 for label in labels]
    return reshaped(x, shape) if tuple(shape) != x.shape else x
