"""What a compiled function was compiled for: one form per kind of arguments and per value of the guards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.frontend import tree
from weft.frontend.fallback import ByNumpy
from weft.frontend.specialise import Leaves, Runner, guard_key
from weft.ir.records import dataclass, replace
from weft.ir.sizes import Sizes

Form = Runner | ByNumpy


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """The arguments of one call, taken apart. spec: the structure of (positional, keywords), in which None
    stands for a static argument. static: (name, class, value) of those. given: the arguments themselves."""

    key: tuple[Any, ...]
    spec: tree.TreeDef
    leaves: Leaves
    static: tuple[tuple[str, type, Any], ...]
    given: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def again(self, leaves: Leaves) -> Call:
        """A call of this kind with other leaves."""
        return replace(self, leaves=leaves, given=None)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = tree.unflatten(self.spec, self.leaves)
        return args, kwargs


@dataclass(frozen=True)
class Specialisation:
    """One compiled form of a function: the types of its arguments, the Python values that it was compiled
    for, and the seconds that capturing and compiling took. sizes: the symbols in the types, and for which of their
    values it is good."""

    arguments: tuple[str, ...]
    static: tuple[tuple[str, Any], ...]
    guards: tuple[tuple[str, Any], ...]
    capture_seconds: float
    compile_seconds: float
    executable: Any
    sizes: Sizes | None = None
    boundscheck: bool = True

    def __str__(self) -> str:
        fixed = [f"{name} = {value!r}" for name, value in (*self.static, *self.guards)]
        fixed += [] if self.boundscheck else ["indices not checked"]
        took = f"captured in {self.capture_seconds * 1e3:.1f} ms, compiled in {self.compile_seconds * 1e3:.1f} ms"
        return f"{', '.join([*self.arguments, *fixed])}: {took}"


class Specialised:
    """All compiled forms for one key: they differ in the Python values that they are guarded by."""

    def __init__(self) -> None:
        self.groups: dict[tuple[int, ...], dict[tuple[Any, ...], Form]] = {}

    def find(self, leaves: Leaves) -> Form | None:
        for positions, known in self.groups.items():
            found = known.get(tuple([guard_key(leaves[i]) for i in positions]))
            if found is not None:
                return found
        return None

    def add(self, guards: Mapping[int, Any], run: Form) -> None:
        positions = tuple(sorted(guards))
        values = tuple([guard_key(guards[i]) for i in positions])
        group = {**self.groups.get(positions, {}), values: run}
        self.groups = {**self.groups, positions: group}  # another, as other threads may be reading

    def remove(self, run: Runner) -> None:
        self.groups = {
            positions: {values: r for values, r in group.items() if r is not run}
            for positions, group in self.groups.items()
        }

    def runs(self) -> list[Form]:
        return [run for group in self.groups.values() for run in group.values()]

    @property
    def guarded(self) -> bool:
        return any(positions for positions in self.groups)


def run_form(form: Form, call: Call) -> Any:
    return form.run(call) if isinstance(form, ByNumpy) else form(call.leaves)
