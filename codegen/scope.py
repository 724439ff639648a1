"""Where statements go while a kernel is being lowered, and which values are known there."""

from __future__ import annotations

from collections.abc import Hashable

from weft.codegen.kernel import Statement
from weft.ir.records import dataclass


@dataclass
class Scope:
    """Statements being emitted and the values known there; a look-up climbs to enclosing scopes."""

    statements: list[Statement]
    known: dict[Hashable, str]
    parent: Scope | None = None
    loop: int = -1  # which loop of the row this is, -1 outside loops

    def find(self, v: Hashable) -> str | None:
        scope: Scope | None = self
        while scope is not None:
            if v in scope.known:
                return scope.known[v]
            scope = scope.parent
        return None
