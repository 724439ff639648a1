"""Groups of ops that may become a kernel, while `weft.passes.fuse` makes them."""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.dims import same_shape
from weft.ir.graph import Op
from weft.ir.grow import Grown
from weft.ir.records import dataclass
from weft.ir.space import Space


class Solved:
    """A group's ops with the free ones that they read through, and what is known of them."""

    def __init__(self, closure: list[int], ops: Sequence[Op], space: Space) -> None:
        self.closure, self._ops, self._space = set(closure), ops, space
        self._grown: Grown | None = None

    @property
    def grown(self) -> Grown:
        if self._grown is None:
            self._grown = Grown(self._ops, self._space)
        return self._grown


@dataclass(eq=False, slots=True)
class Group:
    """Positions of the ops that a kernel is asked to compute (free ops are added when it is cut out), or of one op.

    ahead: the ops that must have run before the members, some of which are members; through_free: those of them that
    the members read through free ops; place: in the order of groups; shape: of every member's result, where all are
    elementwise, alike, and in one loop; solved: as what it may grow (after `_fits` said yes, and while it grew).
    """

    members: set[int]
    ahead: set[int]
    through_free: set[int]
    place: int
    shape: tuple[int, ...] | None
    solved: Solved | None = None

    def alike(self, other: Group) -> bool:
        """Are both elementwise and of one shape, and neither reads the other through movement?"""
        moved = self.through_free & other.members or other.through_free & self.members
        if self.shape is None or other.shape is None:
            return False
        return same_shape(self.shape, other.shape) and not moved

    def joined(self, other: Group) -> Group:
        members, ahead = self.members | other.members, self.ahead | other.ahead
        through_free, shape = self.through_free | other.through_free, self.shape if self.alike(other) else None
        return Group(members, ahead, through_free, -1, shape)
