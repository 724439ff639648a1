"""What `compile` is told: which of a function's parameters are static, which are donated; and what else it may do."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from weft.frontend.errors import message
from weft.ir.records import dataclass, replace


@dataclass(frozen=True)
class Options:
    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    donate: tuple[int, ...] = ()
    fallback: str | None = None
    boundscheck: bool = True

    def __post_init__(self) -> None:
        if self.fallback not in (None, "numpy"):
            raise ValueError(f"weft.compile takes fallback=None or 'numpy', got {self.fallback!r}")

    def resolve(self, signature: inspect.Signature | None) -> frozenset[Any]:
        """The static parameters, by name where they have one, and by position.

        Raises ValueError for a position or name that the function does not have.
        """
        found: set[Any] = set(self.static_argnames)
        if signature is None:
            return frozenset(found | set(self.static_argnums))
        parameters = list(signature.parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        for n in self.static_argnums:
            if -len(positional) <= n < len(positional):
                found.add(positional[n].name)
            elif many and n >= 0:
                found.add(n)
            else:
                raise ValueError(f"static_argnums: there is no positional parameter {n}")
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            unknown = set(self.static_argnames) - {p.name for p in parameters}
            if unknown:
                raise ValueError(f"static_argnames: there is no parameter {', '.join(sorted(unknown))}")
        return frozenset(found)

    def without_first(self) -> Options:
        """For a bound method: its first parameter is gone."""
        return replace(
            self,
            static_argnums=tuple(n - 1 if n > 0 else n for n in self.static_argnums if n != 0),
            donate=tuple(n - 1 if n > 0 else n for n in self.donate if n != 0),
        )


def as_tuple(numbers: int | Sequence[int]) -> tuple[int, ...]:
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)


def unhashable(static: Sequence[tuple[str, type, Any]]) -> str:
    for name, kind, value in static:
        try:
            hash(value)
        except TypeError:
            advice = "Static arguments are compared by == and hash: pass a tuple, a string, a number."
            return message(f"the static argument {name} is a {kind.__qualname__}, which has no hash", (), advice)
    return message("an argument's structure has no hash")
