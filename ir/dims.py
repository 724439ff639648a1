"""Sizes that are not one number: expressions over symbols, which stand where ints do.

    sizes = Sizes({"B": 128})           a compilation for B = 128, and for as many other values as possible
    B = symbol(sizes, "B")
    4 * B + 2, (B + 63) // 64           are `Dim`s;  2 * B - B - B  is the int 0
    B > 100                             True, and from now on a guard: what is made holds for B > 100 only
    B + 1 > B, B != 0                   True of every B (a symbol is at least 2), so no guard
    B.__index__()                       128, and the guard B == 128: somebody needs a number

So code that computes with shapes computes with symbols, unknowing: every decision that it makes on them is written
down, and what was compiled may be used for all sizes for which the decisions would have been the same
(`Sizes.holds`). Where a decision is about speed alone, `same`, `provably` and `is_known` decide it without a guard.

An expression is a polynomial with integer coefficients in atoms: symbols, and floor divisions, remainders, minima and
maxima of expressions that nothing simpler equals. It has one form, so equal polynomials are equal objects.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, TypeGuard

import numpy as np

from weft.ir.sizes import LEAST, MOST, Sizes

Monomial = tuple[str, ...]  # atoms by their text, in order


def _with_size(plain: Callable[[Any, Any], Any], compute: Callable[[Any, Any], Any] | None = None) -> Any:
    """A binary method: `compute` for another size; with any other number what `plain` is of numbers."""

    def method(self: Dim, other: Any) -> Any:
        if compute is not None and _is_size(other):
            return compute(self, other)
        if not isinstance(other, int | float | np.generic) and not hasattr(other, "__array_ufunc__"):
            return NotImplemented
        number = self.sizes.number
        return plain(number(self) if number is not None else self.__index__(), other)

    return method


def _of_numbers(plain: Callable[[int, Any], Any]) -> Any:
    """A binary method of the number itself: a guard."""
    return lambda self, other: plain(self.__index__(), other.__index__() if type(other) is Dim else other)


_power = _with_size(operator.pow)


class Dim:
    """An expression over symbols, with its value in the call that is compiled. See the module."""

    __slots__ = ("sizes", "terms", "value", "_hash")

    def __init__(self, sizes: Sizes, terms: Mapping[Monomial, int], value: int) -> None:
        self.sizes = sizes
        self.terms = terms
        self.value = value
        self._hash = hash(frozenset(terms.items()))

    def __hash__(self) -> int:
        if self.sizes.capturing:  # a program's set or dict may have the number itself
            return hash(self.__index__())
        return self._hash

    # ---- arithmetic ----------------------------------------------------------------------------------

    __add__ = __radd__ = _with_size(operator.add, lambda a, b: _sum(a, b))
    __sub__ = _with_size(operator.sub, lambda a, b: _sum(a, -1 * b))
    __rsub__ = _with_size(lambda a, b: b - a, lambda a, b: _sum(-1 * a, b))
    __mul__ = __rmul__ = _with_size(operator.mul, lambda a, b: _product(a, b))
    __floordiv__ = _with_size(operator.floordiv, lambda a, b: floordiv(a, b))
    __rfloordiv__ = _with_size(lambda a, b: b // a, lambda a, b: floordiv(b, a))
    __mod__ = _with_size(operator.mod, lambda a, b: a - floordiv(a, b) * b)
    __rmod__ = _with_size(lambda a, b: b % a, lambda a, b: b - floordiv(b, a) * a)
    __divmod__ = _with_size(divmod, lambda a, b: (a // b, a % b))
    __rdivmod__ = _with_size(lambda a, b: divmod(b, a), lambda a, b: (b // a, b % a))
    __truediv__ = _with_size(operator.truediv)
    __rtruediv__ = _with_size(lambda a, b: b / a)
    __rpow__ = _with_size(lambda a, b: b**a)
    __and__ = __rand__ = _of_numbers(operator.and_)
    __or__ = __ror__ = _of_numbers(operator.or_)
    __xor__ = __rxor__ = _of_numbers(operator.xor)
    __lshift__, __rlshift__ = _of_numbers(operator.lshift), _of_numbers(lambda a, b: b << a)
    __rshift__, __rrshift__ = _of_numbers(operator.rshift), _of_numbers(lambda a, b: b >> a)

    def __neg__(self) -> Any:
        return self * -1

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, other: Any) -> Any:
        if type(other) is not int or other < 0:
            return _power(self, other)
        out: Any = 1
        for _ in range(other):
            out = out * self
        return out

    # ---- comparisons: each is decided for all sizes, or becomes a guard ----------------------------------

    def __eq__(self, other: object) -> bool:
        if not _is_size(other):
            return self.__index__() == other if isinstance(other, Number) else NotImplemented
        difference = self - other
        if not isinstance(difference, Dim):
            return difference == 0  # type: ignore[no-any-return]
        low, high = bounds(difference)
        if low is not None and low > 0 or high is not None and high < 0:
            return False
        equal = difference.value == 0
        self.sizes.note("==" if equal else "!=", _signed(difference))
        return equal

    __lt__ = _with_size(operator.lt, lambda a, b: _positive(b - a))
    __gt__ = _with_size(operator.gt, lambda a, b: _positive(a - b))
    __le__ = _with_size(operator.le, lambda a, b: not _positive(a - b))
    __ge__ = _with_size(operator.ge, lambda a, b: not _positive(b - a))

    def __bool__(self) -> bool:
        return not self == 0

    # ---- numbers -------------------------------------------------------------------------------------

    def __index__(self) -> int:
        self.sizes.note("==", _signed(self - self.value))
        return self.value

    __int__ = __index__

    def bit_length(self) -> int:
        return self.__index__().bit_length()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.__index__(), dtype)

    def __float__(self) -> float:
        return float(self.__index__())

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        number = self.sizes.number or int
        return getattr(ufunc, method)(*[number(x) if isinstance(x, Dim) else x for x in inputs], **kwargs)

    def part(self, sign: int) -> Any:
        """The sum of its positive terms, or of the negative ones without their sign."""
        terms = {m: c * sign for m, c in self.terms.items() if c * sign > 0}
        return _made(self.sizes, terms, sum(c * _monomial_value(self.sizes, m) for m, c in terms.items()))

    # ---- text ----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return repr(self.__index__()) if self.sizes.capturing else self.text()

    def __format__(self, how: str) -> str:
        return format(self.__index__(), how) if self.sizes.capturing else format(self.text(), how)

    def text(self) -> str:
        parts = []
        for monomial, c in sorted(self.terms.items(), key=lambda term: (-len(term[0]), term[0])):
            factors = list(monomial)
            if abs(c) != 1 or not factors:
                factors.insert(0, str(abs(c)))
            parts.append((" - " if c < 0 else " + ") + "*".join(factors))
        text = "".join(parts)
        return text[3:] if text.startswith(" + ") else "-" + text[3:]


def symbol(sizes: Sizes, name: str) -> Dim:
    return Dim(sizes, {(name,): 1}, sizes.values[name])


def value_of(n: Any) -> int:
    """The value that a size has in the call that is compiled."""
    return n.value if type(n) is Dim else int(n)


def as_size(n: Any) -> Any:
    """A size as it was given: a symbol's expression stays one, all else is an int. Raises TypeError."""
    return n if type(n) is Dim else operator.index(n)


def is_known(n: Any) -> TypeGuard[int]:
    """Whether a size is a number."""
    return type(n) is not Dim


def same(a: Any, b: Any) -> bool:
    """Whether two sizes are equal whatever the symbols are."""
    if type(a) is Dim and type(b) is Dim:
        return a.terms == b.terms
    return a is b or (type(a) is int and type(b) is int and a == b)


def same_shape(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two shapes are, whatever the symbols are."""
    return len(a) == len(b) and all(map(same, a, b))


def provably(a: Any, relation: str, b: Any) -> bool:
    """Whether `a >= b`, or `a > b`, whatever the symbols are, as far as their least values show."""
    low, _ = bounds(a - b)
    return low is not None and (low > 0 if relation == ">" else low >= 0)


def may_exceed(n: Any, most: int) -> bool:
    """Whether a size may be larger than a number."""
    _, high = bounds(n)
    return high is None or high > most


def minimum(first: Any, *others: Any) -> Any:
    """The least of sizes, without a guard."""
    for n in others:
        first = _extreme("min", first, n)
    return first


def maximum(first: Any, *others: Any) -> Any:
    for n in others:
        first = _extreme("max", first, n)
    return first


def aligned(size: Any, unit: int) -> Any:
    """The least multiple of `unit` that is no less."""
    return (size + unit - 1) // unit * unit


def _sum(a: Dim, b: Any) -> Any:
    terms = dict(a.terms)
    for monomial, c in _terms(b).items():
        terms[monomial] = terms.get(monomial, 0) + c
    return _made(a.sizes, terms, a.value + value_of(b))


def _product(a: Dim, b: Any) -> Any:
    terms: dict[Monomial, int] = {}
    for one, c in a.terms.items():
        for other, d in _terms(b).items():
            monomial = tuple(sorted(one + other))
            terms[monomial] = terms.get(monomial, 0) + c * d
    return _made(a.sizes, terms, a.value * value_of(b))


def floordiv(a: Any, b: Any) -> Any:
    """a // b. What of `a` is a multiple of a number b is divided, the rest is an atom."""
    if is_known(a) and is_known(b):
        return a // b
    sizes = a.sizes if type(a) is Dim else b.sizes
    if is_known(b):
        if b == 0:
            raise ZeroDivisionError("integer division or modulo by zero")
        terms = _terms(a)
        whole = {m: c // b for m, c in terms.items()}
        rest = {m: c - whole[m] * b for m, c in terms.items()}
        done = _made(sizes, whole, sum(c * _monomial_value(sizes, m) for m, c in whole.items()))
        left = _made(sizes, rest, value_of(a) - value_of(done) * b)
        if is_known(left):
            return done + left // b
        low, high = bounds(left)
        if b > 0 and low is not None and high is not None and low // b == high // b:
            return done + low // b
        return done + _atom(sizes, "//", left, b)
    if provably(a, ">=", 0) and provably(b, ">", a):
        return 0
    if provably(0, ">", a) and provably(a + b, ">=", 0):
        return -1
    quotient = _exact(a, b)
    if quotient is not None:
        return quotient
    if not b:  # or a guard that it is not
        raise ZeroDivisionError("integer division or modulo by zero")
    return _atom(sizes, "//", a, b)


def _exact(a: Any, b: Dim) -> Any:
    """a / b where b is one term that divides each of a's, else None."""
    if len(b.terms) != 1 or not _nonzero(b):
        return None
    ((divisor, d),) = b.terms.items()
    terms: dict[Monomial, int] = {}
    for monomial, c in _terms(a).items():
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        if c % d:
            return None
        terms[tuple(rest)] = c // d
    return _made(b.sizes, terms, value_of(a) // b.value)


def _nonzero(b: Dim) -> bool:
    low, high = bounds(b)
    return low is not None and low > 0 or high is not None and high < 0


def without(monomial: Monomial, atom: str) -> list[str]:
    rest = list(monomial)
    rest.remove(atom)
    return rest


def bounds(n: Any) -> tuple[int | None, int | None]:
    """The least and the largest that a size may be, None where there is no such number."""
    if is_known(n):
        return n, n
    common = set.intersection(*map(set, n.terms))
    if common and len(n.terms) > 1:  # B*N - B is B*(N - 1)
        atom = min(common)
        terms = {tuple(without(monomial, atom)): c for monomial, c in n.terms.items()}
        rest, (least, most) = bounds(Dim(n.sizes, terms, 0)), _monomial_bounds(n.sizes, (atom,))
        if least is not None and least > 0 and rest[0] is not None and rest[0] > 0:
            return least * rest[0], None if most is None or rest[1] is None else most * rest[1]
        if least is not None and least > 0 and rest[1] is not None and rest[1] < 0:
            return None if most is None or rest[0] is None else most * rest[0], least * rest[1]
    low: int | None = 0
    high: int | None = 0
    for monomial, c in n.terms.items() if len(n.terms) > 1 else ():
        how, a, k = n.sizes.atoms.get(monomial[0], ("", 0, 0)) if len(monomial) == 1 else ("", 0, 0)
        if how == "//" and is_known(k) and k > 0:  # (a - k + 1)/k <= a//k <= a/k
            rest = _made(n.sizes, {m: k * d for m, d in n.terms.items() if m != monomial}, 0)
            ends = [bounds(rest + c * (a - k + 1 if c < 0 else a)), bounds(rest + c * (a if c < 0 else a - k + 1))]
            low, high = ends[1][0], ends[0][1]
            return None if low is None else -(-low // k), None if high is None else high // k
    for monomial, c in n.terms.items():
        least, most = _monomial_bounds(n.sizes, monomial)
        if c < 0:
            least, most = most, least
        low = None if low is None or least is None else low + c * least
        high = None if high is None or most is None else high + c * most
    return low, high


def _monomial_bounds(sizes: Sizes, monomial: Monomial) -> tuple[int | None, int | None]:
    low: int | None = 1
    high: int | None = 1
    for atom in monomial:
        least, most = _atom_bounds(*sizes.atoms[atom]) if atom in sizes.atoms else (LEAST, MOST)
        if least is None or least < 0:  # a product of what may have either sign
            return None, None
        low = None if low is None else low * least
        high = None if high is None or most is None else high * most
    return low, high


def _atom_bounds(how: str, a: Any, b: Any) -> tuple[int | None, int | None]:
    (low_a, high_a), (low_b, high_b) = bounds(a), bounds(b)
    if how == "//":
        if low_b is None or low_b <= 0:
            return None, None
        low = None if low_a is None else low_a // low_b if low_a < 0 else (0 if high_b is None else low_a // high_b)
        return low, None if high_a is None else max(high_a // low_b, 0)
    lows, highs = [low_a, low_b], [high_a, high_b]
    if how == "max":
        return max((n for n in lows if n is not None), default=None), _all(max, highs)
    return _all(min, lows), min((n for n in highs if n is not None), default=None)


def _all(choose: Callable[[Iterable[int]], int], numbers: Sequence[int | None]) -> int | None:
    known = [n for n in numbers if n is not None]
    return choose(known) if len(known) == len(numbers) else None


def _is_size(n: Any) -> bool:
    return type(n) in (int, Dim) or isinstance(n, np.integer) and not isinstance(n, np.timedelta64)


def _terms(n: Any) -> Mapping[Monomial, int]:
    return n.terms if type(n) is Dim else {(): int(n)} if n else {}


def _made(sizes: Sizes, terms: dict[Monomial, int], value: int) -> Any:
    terms = {m: c for m, c in terms.items() if c}
    if not terms or len(terms) == 1 and () in terms:
        return terms.get((), 0)
    return Dim(sizes, terms, value)


def _atom(sizes: Sizes, how: str, a: Any, b: Any) -> Dim:
    text = f"({_inner(a)} // {_inner(b)})" if how == "//" else f"{how}({_text(a)}, {_text(b)})"
    sizes.atoms.setdefault(text, (how, a, b))
    return Dim(sizes, {(text,): 1}, atom_value(how, value_of(a), value_of(b)))


def _text(n: Any) -> str:
    return n.text() if type(n) is Dim else repr(n)


def _inner(n: Any) -> str:
    text = _text(n)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def atom_value(how: str, a: int, b: int) -> int:
    return a // b if how == "//" else min(a, b) if how == "min" else max(a, b)


def _monomial_value(sizes: Sizes, monomial: Monomial) -> int:
    out = 1
    for atom in monomial:
        found = sizes.atoms.get(atom)
        out *= sizes.values[atom] if found is None else atom_value(found[0], *map(value_of, found[1:]))
    return out


def _extreme(name: str, a: Any, b: Any) -> Any:
    if is_known(a) and is_known(b):
        return min(a, b) if name == "min" else max(a, b)
    low, high = bounds(a - b)
    if low is not None and low >= 0:
        return b if name == "min" else a
    if high is not None and high <= 0:
        return a if name == "min" else b
    return _atom(a.sizes if type(a) is Dim else b.sizes, name, a, b)


def _positive(difference: Any) -> bool:
    """Whether it is, which is a guard unless it is known."""
    if is_known(difference):
        return bool(difference > 0)
    low, high = bounds(difference)
    if low is not None and low > 0:
        return True
    if high is not None and high <= 0:
        return False
    positive: bool = difference.value > 0
    difference.sizes.note(">" if positive else "<=", difference)
    return positive


def _signed(difference: Dim) -> Dim:
    """Of a difference and its negative always the same one, for guards that say `== 0`."""
    first = min(difference.terms)
    return difference if difference.terms[first] > 0 else Dim(difference.sizes, {
        m: -c for m, c in difference.terms.items()}, -difference.value)  # fmt: skip
