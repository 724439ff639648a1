"""The memory plan of loops and branches.

    u, v = loop(u0, v0):  t = f(u, v)          body: u in pointer 0, v in 1, t in 2
                          return t, u          order: 0 <- 2, 1 <- 0, 2 <- 1: after a trip pointers change hands

A region is planned in pointers of its own. Those that keep their place are bound to any buffer: a result's, or the
initial value's when nobody else needs it. Those that are exchanged are bound to pointers of the graph around, so an
inner loop may exchange buffers with an outer one. An initial value that must live on is copied, once.

The two regions of a branch may overwrite what dies at the branch. Where they leave a result in different pointers,
the second exchanges them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from weft.ir.dims import maximum, same
from weft.ir.graph import Op, Value
from weft.ir.opdef import OpDef
from weft.ir.ops.control import LEAD, cond, for_loop, while_loop
from weft.ir.plan import Branch, Loop, Place, Plan, is_small

if TYPE_CHECKING:
    from weft.passes.memory import Planner


def regions(planner: Planner, i: int, op: Op) -> Loop | Branch:
    """Plan the regions of op i."""
    return PLANNERS[op.kind](planner, i, op)


def _for_loop(planner: Planner, i: int, op: Op) -> Loop:
    carried = range(1, 1 + op.attrs["carried"])
    return _ordered(op, Loop(planner.region(op.regions[0], carried, carried)))


def _while_loop(planner: Planner, i: int, op: Op) -> Loop:
    test, body = op.regions
    carried = range(op.attrs["carried"])
    return _ordered(op, Loop(planner.region(body, carried, carried), planner.region(test)))


def _cond(planner: Planner, i: int, op: Op) -> Branch:
    operands = enumerate(op.operands[1:])
    owned = tuple(p for p, v in operands if not is_small(v) and planner.passes_on(i, p + 1))
    then, orelse = op.regions
    return Branch((planner.region(then, owned), planner.region(orelse, owned)), owned)


PLANNERS: dict[OpDef, Callable[[Planner, int, Op], Loop | Branch]] = {
    for_loop: _for_loop,
    while_loop: _while_loop,
    cond: _cond,
}


def _carried(op: Op, body: Plan) -> dict[int, int]:
    """Which carried value each pointer of a loop's body has."""
    count = op.attrs["carried"]
    first = 1 if op.kind is for_loop else 0
    inputs = op.regions[-1].inputs[first : first + count]
    return {body.place[v].at: j for j, v in enumerate(inputs) if body.place[v].kind == "pointer"}


def _ordered(op: Op, loop: Loop) -> Loop:
    """Say how the pointers change hands after a trip."""
    body = loop.body
    wanted = {k: body.outputs[j].at for k, j in _carried(op, body).items()}
    loop.order = exchange(wanted, body.pointers)
    body.moved.update(k for k, source in enumerate(loop.order) if k != source)
    return loop


def exchange(wanted: dict[int, int], sizes: list[int]) -> list[int]:
    """A permutation of all pointers that gives each of `wanted` its source's buffer, and keeps what it can."""
    order = {k: k for k in range(len(sizes)) if k not in wanted and k not in wanted.values()}
    order.update(wanted)
    rest = sorted(set(range(len(sizes))) - set(order.values()))
    for k in range(len(sizes)):
        if k not in order:
            source = next(s for s in rest if same(sizes[s], sizes[k]))
            rest.remove(source)
            order[k] = source
    return [order[k] for k in range(len(sizes))]


def _sides(branch: Branch) -> tuple[set[int], set[int]]:
    """The pointers of each region of a branch that are exchanged: by it, or to have a result where the other has."""
    count = len(branch.owned)
    first, second = branch.plans
    moved = (set(first.moved), set(second.moved))
    for a, b in zip(first.outputs, second.outputs, strict=True):
        if a.kind == "pointer" and a != b and min(a.at, b.at) < count:
            moved[0].add(a.at)
            moved[1].add(b.at)
    both = {k for k in moved[0] | moved[1] if k < count}
    return moved[0] | both, moved[1] | both


def exchanged(inner: Loop | Branch, op: Op) -> list[int]:
    """Operands whose buffers are exchanged for others: they had best be made behind pointers."""
    if isinstance(inner, Branch):
        moved, _ = _sides(inner)
        return [p + 1 for k, p in enumerate(inner.owned) if k in moved]
    return [LEAD[op.kind] + j for k, j in _carried(op, inner.body).items() if k in inner.body.moved]


def handed_on(inner: Loop | Branch, op: Op) -> set[tuple[int, int]]:
    """(result, operand): the result is left where the operand was."""
    if isinstance(inner, Branch):
        moved, _ = _sides(inner)
        stay = {k: p + 1 for k, p in enumerate(inner.owned) if k not in moved}
        ends = zip(inner.plans[0].outputs, inner.plans[1].outputs, strict=True)
        return {(j, stay[a.at]) for j, (a, b) in enumerate(ends) if a.kind == "pointer" and a == b and a.at in stay}
    lead = LEAD[op.kind]
    return {(j, lead + j) for k, j in _carried(op, inner.body).items() if k not in inner.body.moved}


def place(planner: Planner, i: int, op: Op) -> set[Value]:
    """Bind the pointers of op i's regions and place its results. Returns the operands whose buffers went on."""
    inner = planner.plan.nested[op]
    for r in op.results:
        if is_small(r):
            planner.plan.place[r] = planner.slot()
    return _place_loop(planner, i, op, inner) if isinstance(inner, Loop) else _place_branch(planner, i, op, inner)


def _base(planner: Planner, plans: list[Plan]) -> int:
    """Room for the regions' temporaries, while the op runs."""
    size = maximum(*[p.arena for p in plans])
    if same(size, 0):
        return 0
    at = planner.arena.take(size)
    planner.arena.give(at, size)
    return at


def _place_loop(planner: Planner, i: int, op: Op, loop: Loop) -> set[Value]:
    body, lead = loop.body, LEAD[op.kind]
    carried = _carried(op, body)
    shared: dict[int, int] = {}
    spare: list[tuple[Place, int]] = []
    for k, size in enumerate(body.pointers):
        moved, j = k in body.moved, carried.get(k)
        if j is None:
            at = _room(planner, size, moved)
            spare.append((at, size))
        else:
            at = planner.result(i, op, j, {(j, lead + j)}, shared, exchanged=moved)
            planner.plan.place[op.results[j]] = at
            if j not in shared:
                loop.copied[k] = lead + j
        loop.bound.append(at)
        if moved:
            planner.plan.moved.add(at.at)
    loop.base = _base(planner, [body, *([loop.test] if loop.test else [])])
    for at, size in spare:
        planner.release(at, size)
    return {planner.root(op.operands[p]) for p in shared.values()}


def _room(planner: Planner, size: int, moved: bool) -> Place:
    return planner.pointer(size) if moved else Place("arena", planner.arena.take(size))


def _place_branch(planner: Planner, i: int, op: Op, branch: Branch) -> set[Value]:
    sides, count = _sides(branch), len(branch.owned)
    first, second = branch.plans
    bound: tuple[dict[int, Place], dict[int, Place]] = ({}, {})
    size_at: dict[Place, int] = {}
    taken: set[Value] = set()
    for k, p in enumerate(branch.owned):
        v = planner.root(op.operands[p + 1])
        at = planner.place(v)
        if k in sides[0] and at.kind != "pointer":
            at = planner.pointer(v.type.nbytes)
            branch.copied[k] = p + 1
        else:
            taken.add(v)
        bound[0][k] = bound[1][k] = at
        size_at[at] = v.type.nbytes
    for j, (a, b) in enumerate(zip(first.outputs, second.outputs, strict=True)):
        if a.kind == "pointer" and min(a.at, b.at) >= count:  # made anew on both sides
            moved = a.at in sides[0] or b.at in sides[1]
            at = planner.result(i, op, j, set(), {}, exchanged=moved)
            bound[0][a.at] = bound[1][b.at] = at
            size_at[at] = op.results[j].type.nbytes
    _spares(planner, branch, sides, bound, size_at)
    wanted: dict[int, int] = {}
    for j, (a, b) in enumerate(zip(first.outputs, second.outputs, strict=True)):
        if a.kind == "pointer":
            planner.plan.place[op.results[j]] = bound[0][a.at]
            if bound[0][a.at] != bound[1][b.at]:
                wanted[bound[0][a.at].at] = bound[1][b.at].at
    order = exchange(wanted, planner.plan.pointers)
    branch.exchanged = {k: source for k, source in enumerate(order) if k != source}
    branch.bound = tuple([side[k] for k in sorted(side)] for side in bound)  # type: ignore[assignment]
    for moved_here, side in zip(sides, bound, strict=True):
        planner.plan.moved.update(side[k].at for k in moved_here)
    branch.base = _base(planner, [first, second])
    kept = {planner.place(r) for r in op.results}
    for at, size in size_at.items():
        if at not in kept:
            planner.release(at, size)
    return taken


def _spares(
    planner: Planner,
    branch: Branch,
    sides: tuple[set[int], set[int]],
    bound: tuple[dict[int, Place], dict[int, Place]],
    size_at: dict[Place, int],
) -> None:
    """Room for what neither operands nor results have; both sides may use the same."""
    first: list[tuple[int, bool, Place]] = []
    for side, plan in enumerate(branch.plans):
        have = list(first)
        for k, size in enumerate(plan.pointers):
            if k in bound[side]:
                continue
            moved = k in sides[side]
            found = next((h for h in have if h[:2] == (size, moved)), None)
            if found is None:
                found = (size, moved, _room(planner, size, moved))
                first.append(found)
            else:
                have.remove(found)
            bound[side][k] = found[2]
            size_at[found[2]] = size
