"""The symbols of one compilation, and what was decided by them, in expressions that are `weft.ir.dims`'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.ir.dims import Dim

LEAST = 2  # of a symbol: 0 and 1 are sizes that broadcast, or are empty, and are compiled for
MOST = 1 << 40


class Sizes:
    """The symbols of one compilation: the value that each has in the call that is compiled, and the guards.

    guards: pairs (relation, Dim), read as `dim relation 0`. number: what makes of a Dim a number to compute floats
    with (the frontend's: a traced one). After `freeze`, no more guards come: what then asks for a number gets the
    value.
    """

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = dict(values)
        self.atoms: dict[str, tuple[str, Any, Any]] = {}  # text -> operator and its operands, of what is no symbol
        self.guards: list[tuple[str, Dim]] = []
        self._noted: set[tuple[str, str]] = set()
        self.number: Callable[[Dim], Any] | None = None
        self.frozen = False

    @property
    def capturing(self) -> bool:
        """Whether the program itself runs: what it hashes or prints is then a number to it."""
        return self.number is not None

    def freeze(self) -> None:
        self.frozen = True
        self.number = None

    def note(self, relation: str, difference: Dim) -> None:
        said = relation, difference.text()
        if not self.frozen and said not in self._noted:
            self._noted.add(said)
            self.guards.append((relation, difference))

    def holds(self) -> Callable[..., bool]:
        """A function of the symbols' values: whether all guards hold of them."""
        tests = [f"{LEAST} <= {name} <= {MOST}" for name in self.values]
        tests += [f"{dim.text()} {relation} 0" for relation, dim in self.guards]
        return self._function(" and ".join(tests))

    def at(self, wanted: Sequence[Dim | int]) -> Callable[..., tuple[int, ...]]:
        """A function of the symbols' values: those of the wanted expressions."""
        return self._function(f"({''.join(f'{n!r}, ' for n in wanted)})")

    def _function(self, body: str) -> Callable[..., Any]:
        return eval(f"lambda {', '.join(self.values)}: {body}", {"min": min, "max": max})  # type: ignore[no-any-return]

    def shown(self) -> list[str]:
        """The guards, as people write them: `B - 8 > 0` as `B > 8`."""
        return [f"{dim.part(1)!r} {relation} {dim.part(-1)!r}" for relation, dim in self.guards]

    def pinned(self) -> bool:
        """Whether the guards leave some symbol the one value only that it has."""
        return any(relation == "==" and self._fixes(dim) for relation, dim in self.guards)

    def _fixes(self, dim: Dim) -> bool:
        """Whether an expression is zero for one value of its symbols only."""
        varying = [monomial for monomial in dim.terms if monomial]
        return len(varying) == 1 and all(atom in self.values for atom in varying[0])
