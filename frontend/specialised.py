"""What a compiled function was compiled for: one form per kind of arguments and per value of the guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft.frontend.specialise import Leaves, Runner, guard_key


@dataclass(frozen=True)
class Specialisation:
    """One compiled form of a function: the types of its arguments, the Python values that it was compiled
    for, and the seconds that capturing and compiling took."""

    arguments: tuple[str, ...]
    static: tuple[tuple[str, Any], ...]
    guards: tuple[tuple[str, Any], ...]
    capture_seconds: float
    compile_seconds: float
    executable: Any

    def __str__(self) -> str:
        fixed = [f"{name} = {value!r}" for name, value in (*self.static, *self.guards)]
        took = f"captured in {self.capture_seconds * 1e3:.1f} ms, compiled in {self.compile_seconds * 1e3:.1f} ms"
        return f"{', '.join([*self.arguments, *fixed])}: {took}"


class Specialised:
    """All compiled forms for one key: they differ in the Python values that they are guarded by."""

    def __init__(self) -> None:
        self.groups: dict[tuple[int, ...], dict[tuple[Any, ...], Runner]] = {}

    def find(self, leaves: Leaves) -> Runner | None:
        for positions, known in self.groups.items():
            found = known.get(tuple([guard_key(leaves[i]) for i in positions]))
            if found is not None:
                return found
        return None

    def add(self, guards: dict[int, Any], run: Runner) -> None:
        positions = tuple(sorted(guards))
        values = tuple([guard_key(guards[i]) for i in positions])
        group = {**self.groups.get(positions, {}), values: run}
        self.groups = {**self.groups, positions: group}  # another, as other threads may be reading

    def remove(self, run: Runner) -> None:
        self.groups = {
            positions: {values: r for values, r in group.items() if r is not run}
            for positions, group in self.groups.items()
        }

    @property
    def guarded(self) -> bool:
        return any(positions for positions in self.groups)
