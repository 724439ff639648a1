"""Reading an element of a value through movement ops: index arithmetic in place of copies.

    slice      x[lo + step*i]        reverse    x[n-1-i]        transpose  x[indices permuted]
    pad        fill unless low <= i < low+n                     concatenate  the operand that i falls in
    gather     x[index value, rest]  iota       i itself        broadcast    x[0 where size 1]
    dynamic_slice   x[start value + i]                           moving_slice   likewise, and 0 behind its length

An index that may fall outside (pad, concatenate, gather) is clamped before the load and the element chosen
by a select, so that the loop stays straight-line code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.codegen.kernel import Affine, Compute, Constant, FromIndex, Index, InRange, Load, ToIndex, var
from weft.codegen.scalar import Scalar, expression
from weft.codegen.scope import Scope
from weft.ir.graph import Graph, Op, Value
from weft.ir.lengths import Lengths
from weft.ir.ops.moving import halves
from weft.ir.records import dataclass, field
from weft.ir.space import Space, is_free
from weft.ir.types import strides_of

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering

RESERVED = frozenset({"chunk", "range", "min", "max", "args", "np", "math", "cuda", "True", "False", "None"})


def op_scalar(op: Op) -> Scalar:
    """The scalar body of an elementwise op at its operands' dtypes."""
    args = [v.dtype for v in op.operands]
    if op.kind.name == "limit":
        return expression("b if a else c", ["bool", args[0], args[0]], op.result.dtype)
    key = args[1] if op.kind.name == "where" else args[0]
    return expression(op.kind.scalar_for(key), args, op.result.dtype)


class Names:
    """Unique names for buffers, loop variables and scalars, safe as Python identifiers in ASCII."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def fresh(self, hint: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_]", "_", hint)
        if not base or base[0].isdigit() or base in RESERVED:
            base = "v_" + base
        n = self.taken.get(base, 0)
        self.taken[base] = n + 1
        if n == 0:
            return base
        return self.fresh(f"{base}_{n}")


@dataclass
class Rigid:
    """`axes` that must keep a variable of their own, and the affine walks of all buffers."""

    axes: set[int] = field(default_factory=set)
    walks: list[dict[int, int]] = field(default_factory=list)


def rigid_axes(graph: Graph, space: Space) -> Rigid:
    """How each buffer is walked along the axes, for merging axes."""
    found = Rigid()
    producer = graph.producers()
    lengths = Lengths(graph.ops)
    place = {f"@{a}": a for a in range(len(space.extent))}

    def flat(v: Value, index: Sequence[Affine]) -> None:
        """Record the walk of reading `v` at `index` (affine in the axes)."""
        op = producer.get(v)
        if op is None:
            total = Affine()
            for stride, at in zip(strides_of(v.shape), index, strict=True):
                total = total + at * stride
            found.walks.append({place[name]: c for name, c in total.terms})
            return
        if op.kind.name == "limit":
            found.axes.update(place[name] for name, _ in index[op.attrs["axis"]].terms)
            flat(op.operands[0], index)
            return
        if op.kind.name == "moving_slice":  # an axis that ends early has a loop of its own
            for at, n, size in zip(index, halves(op.operands[1:])[1], op.attrs["sizes"], strict=True):
                if lengths.moves(n, size):
                    found.axes.update(place[name] for name, _ in at.terms)
        if op.kind.name in ("dynamic_slice", "moving_slice"):  # walked alike, wherever it starts
            flat(op.operands[0], index)
            return
        moved = affine_step(op.kind.name, op.attrs, op.operands[0].shape if op.operands else (), index)
        if moved is not None:
            flat(op.operands[0], moved)
            return
        if op.kind.name != "constant":
            found.axes.update(place[name] for at in index for name, _ in at.terms)

    for op in graph.ops:
        for i, v in enumerate(op.operands):
            axes = space.axes.get((op, i))
            if v not in space.axes and axes is not None:
                flat(v, [Affine() if a is None else var(f"@{a}") for a in axes])
        axes = space.axes.get(op.result)
        if axes is not None and is_free(op) and op.kind.name not in ("broadcast", "transpose", "reshape", "constant"):
            flat(op.result, [Affine() if a is None else var(f"@{a}") for a in axes])
        if op.kind.name == "limit" and op.result in space.axes:
            found.axes.update(a for a in (space.axes[op.result][op.attrs["axis"]],) if a is not None)
        if op.kind.name in ("argmax", "argmin"):
            found.axes.update(a for a in space.of(op, 0) if a is not None)
    for v in (*graph.outputs, *(op.result for op in graph.ops)):
        axes = space.axes.get(v)
        if axes is not None and (v in graph.outputs):
            found.walks.append({a: s for a, s in zip(axes, strides_of(v.shape), strict=True) if a is not None})
    for op in graph.ops:  # values themselves: a value with one axis of a pair keeps the pair apart
        mask = {a for a in space.axes.get(op.result, ()) if a is not None}
        found.walks.append({a: s for a, s in _dense(mask, space).items()})
    return found


def _dense(mask: set[int], space: Space) -> dict[int, int]:
    out, step = {}, 1
    for a in reversed(range(len(space.extent))):
        if a in mask:
            out[a] = step
            step *= space.extent[a]
    return out


def affine_step(
    name: str, attrs: Mapping[str, Any], dims: Sequence[int], index: Sequence[Affine]
) -> list[Affine] | None:
    """The operand's index for a result's index, for movement that is affine; else None."""
    get = attrs.__getitem__
    if name == "slice":
        return [at * st + lo for at, lo, st in zip(index, get("start"), get("step"), strict=True)]
    if name == "reverse":
        axes = get("axes")
        return [at * -1 + (d - 1) if i in axes else at for i, (at, d) in enumerate(zip(index, dims, strict=True))]
    if name == "windows":
        out = list(index[: len(dims)])
        for axis, k in zip(get("axes"), index[len(dims) :], strict=True):
            out[axis] = out[axis] + k
        return out
    if name == "shear":
        out = list(index)
        for axis, along in zip(get("axes"), get("along"), strict=True):
            out[axis] = out[axis] + index[along]
        return out
    if name == "transpose":
        out = [Affine()] * len(dims)
        for i, p in enumerate(get("perm")):
            out[p] = index[i]
        return out
    if name == "broadcast":
        lead = len(index) - len(dims)
        return [Affine() if d == 1 else index[i + lead] for i, d in enumerate(dims)]
    if name == "reshape":  # only axes of size 1 come and go
        real = [at for at, d in zip(index, get("shape"), strict=True) if d != 1]
        return [Affine() if d == 1 else real.pop(0) for d in dims]
    return None


class Reader:
    """Emits the reads of one lowering."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.names = lowering.names

    def element(self, v: Value, index: Sequence[Affine], scope: Scope) -> str:
        """Name of the element of `v` at `index`. `v` is an input, a source, or movement of those."""
        op = self.low.producer.get(v)
        if op is None:
            return self._load(v, index, scope)
        name, attrs = op.kind.name, op.attrs
        if name == "constant":
            return self._constant(v, attrs["value"], index, scope)
        if name == "iota":
            target = self.names.fresh("i")
            scope.statements.append(FromIndex(target, v.dtype, index[attrs["axis"]]))
            return target
        if name == "extent":
            target = self.names.fresh("n")
            scope.statements.append(FromIndex(target, v.dtype, Affine(attrs["size"])))
            return target
        moved = affine_step(name, attrs, op.operands[0].shape, index)
        if moved is not None:
            return self.element(op.operands[0], moved, scope)
        if name == "pad":
            x, fill = op.operands
            inside = [
                (at + -lo, d)
                for at, lo, hi, d in zip(index, attrs["low"], attrs["high"], x.shape, strict=True)
            ]
            if 0 in x.shape:
                return self.element(fill, [], scope)
            clamped, ok = self._guard(inside, scope)
            got = self.element(x, clamped, scope)
            return got if ok is None else self.choose(ok, got, self.element(fill, [], scope), v.dtype, scope)
        if name == "dilate":
            return self._dilated(op, index, scope)
        if name == "concatenate":
            return self._concatenate(op.operands, attrs["axis"], index, scope)
        if name == "gather":
            return self._gather(op.operands, attrs["axes"], index, scope)
        if name == "dynamic_slice":
            x, *starts = op.operands
            moved = [at + self.start(s) for at, s in zip(index, starts, strict=True)]
            return self.element(x, moved, scope)
        if name == "limit":
            x, fill, n = op.operands
            is_before = self.before(index[attrs["axis"]], n, scope)
            return self.choose(is_before, self.element(x, index, scope), self.element(fill, [], scope), v.dtype, scope)
        if name == "moving_slice":
            return self._moving(op, index, scope)
        # computed in this kernel: at this very place of the iteration space
        return self.low.value(v, scope)

    def start(self, v: Value) -> Affine:
        """The first index of a window, which every row has in common."""
        top = self.low.top
        key = ("start", v)
        name = top.known.get(key)
        if name is None:
            name = top.known[key] = self.names.fresh("start")
            top.statements.append(ToIndex(name, self.element(v, [], top)))
        return var(name)

    def _moving(self, op: Op, index: Sequence[Affine], scope: Scope) -> str:
        """An element of a part that has a length. One that may be behind it is read where there is one, and is 0."""
        x, *places = op.operands
        starts, lengths = halves(places)
        inside: str | None = None
        moved = []
        for at, s, n, size, d in zip(index, starts, lengths, op.attrs["sizes"], x.shape, strict=True):
            there = at + self.start(s)
            if self.low.lengths.moves(n, size) and not self._within(at, n):
                ok = self.before(at, n, scope)
                inside = ok if inside is None else self._both(inside, ok, scope)
                last = self.names.fresh("i")
                scope.statements.append(Index(last, "min", there, Affine(max(d - 1, 0))))
                there = var(last)
            moved.append(there)
        if not op.operands[0].type.size:
            return self._constant(op.result, np.zeros((), op.result.type.np_dtype), [], scope)
        got = self.element(x, moved, scope)
        if inside is None:
            return got
        zero = self._constant(op.result, np.zeros((), op.result.type.np_dtype), [], scope)
        return self.choose(inside, got, zero, op.result.dtype, scope)

    def _within(self, at: Affine, n: Value) -> bool:
        """Whether this is the variable of a loop that ends at the length."""
        if at.const or len(at.terms) != 1 or at.terms[0][1] != 1:
            return False
        return self.low.ended(self.low.axis_of.get(at.terms[0][0]), n)

    def before(self, at: Affine, n: Value, scope: Scope) -> str:
        """The name of `at < n`."""
        place, ok = self.names.fresh("i"), self.names.fresh("ok")
        scope.statements.append(FromIndex(place, "i64", at))
        less = expression("a < b", ["i64", "i64"], "bool")
        scope.statements.append(Compute(ok, less, (place, self.element(n, [], scope)), "less"))
        return ok

    def _both(self, a: str, b: str, scope: Scope) -> str:
        key = ("and", a, b)
        if (found := scope.find(key)) is not None:
            return found
        name = scope.known[key] = self.names.fresh("ok")
        scope.statements.append(Compute(name, expression("a & b", ["bool", "bool"], "bool"), (a, b), "and"))
        return name

    def _clamped(self, at: Affine, d: int, scope: Scope) -> tuple[str, str]:
        """An index clamped to [0, d), and whether it was there before."""
        inside, index = ("inside", at, d), ("clamped", at, d)
        flag, name = scope.find(inside), scope.find(index)
        if flag is None or name is None:
            flag, low, name = self.names.fresh("ok"), self.names.fresh("i"), self.names.fresh("i")
            scope.known.update({inside: flag, index: name})
            scope.statements.append(InRange(flag, at, 0, d))
            scope.statements.append(Index(low, "max", at, Affine()))
            scope.statements.append(Index(name, "min", var(low), Affine(d - 1)))
        return name, flag

    def _load(self, v: Value, index: Sequence[Affine], scope: Scope) -> str:
        total = Affine()
        for stride, at in zip(strides_of(v.shape), index, strict=True):
            total = total + at * stride
        buffer = self.low.buffer_of[v]
        where = self._home(buffer, total, scope) if v.type.size else scope
        key = (buffer, total)
        found = scope.find(key)
        if found is not None:
            return found
        name = self.names.fresh(v.name or "t")
        where.statements.append(Load(name, v.dtype, buffer, total))
        where.known[key] = name
        return name

    def _home(self, buffer: str, index: Affine, scope: Scope) -> Scope:
        """The outermost scope in which this index is known, for what is not written meanwhile."""
        if not index.terms and buffer not in self.low.written:
            return self.low.top
        return scope

    def _constant(self, v: Value, array: object, index: Sequence[Affine], scope: Scope) -> str:
        value = array[()]  # type: ignore[index]
        key = ("constant", v.dtype, value.tobytes())
        found = scope.find(key)
        if found is None:
            found = self.names.fresh("k")
            self.low.top.statements.append(Constant(found, v.dtype, value))
            self.low.top.known[key] = found
        return found

    def _guard(self, inside: Sequence[tuple[Affine, int]], scope: Scope) -> tuple[list[Affine], str | None]:
        """Clamp each (index, dim) to its dim; the name of "all were inside" (None if they always are)."""
        ok: str | None = None
        out = []
        for at, d in inside:
            if not at.terms and 0 <= at.const < d:
                out.append(at)
                continue
            name, flag = self._clamped(at, d, scope)
            out.append(var(name))
            if ok is None:
                ok = flag
            else:
                ok = self._both(ok, flag, scope)
        return out, ok

    def choose(self, ok: str, yes: str, no: str, dtype: str, scope: Scope) -> str:
        name = self.names.fresh("t")
        select = expression("b if a else c", ["bool", dtype, dtype], dtype)
        scope.statements.append(Compute(name, select, (ok, yes, no), "where"))
        return name

    def _dilated(self, op: Op, index: Sequence[Affine], scope: Scope) -> str:
        """An element of what has zeros between: those whose index is no multiple of the step."""
        if not op.result.type.size:
            return self._constant(op.result, np.zeros((), op.result.type.np_dtype), [], scope)
        inside: str | None = None
        moved = []
        for at, step in zip(index, op.attrs["step"], strict=True):
            if step == 1 or not (at.terms or at.const):
                moved.append(at)
                continue
            found = scope.find(("dilated", at, step))
            if found is None:
                rest, quotient, found = self.names.fresh("rest"), self.names.fresh("q"), self.names.fresh("ok")
                scope.statements += [
                    Index(rest, "mod", at, Affine(step)),
                    Index(quotient, "floordiv", at, Affine(step)),
                    InRange(found, var(rest), 0, 1),
                ]
                scope.known.update({("dilated", at, step): found, ("shrunk", at, step): quotient})
            inside = found if inside is None else self._both(inside, found, scope)
            moved.append(var(scope.find(("shrunk", at, step)) or found))
        got = self.element(op.operands[0], moved, scope)
        if inside is None:
            return got
        zero = self._constant(op.result, np.zeros((), op.result.type.np_dtype), [], scope)
        return self.choose(inside, got, zero, op.result.dtype, scope)

    def _concatenate(self, parts: Sequence[Value], axis: int, index: Sequence[Affine], scope: Scope) -> str:
        result, at = None, 0
        for x in parts:
            n = x.shape[axis]
            if x.type.size:
                shifted = [i + -at if d == axis else i for d, i in enumerate(index)]
                here, ok = self._guard([(shifted[axis], n)], scope)
                shifted[axis] = here[0]
                got = self.element(x, shifted, scope)
                result = got if result is None or ok is None else self.choose(ok, got, result, x.dtype, scope)
            at += n
        if result is None:  # nothing is ever read: the loop around makes no trip
            result = self.names.fresh("k")
            scope.statements.append(Constant(result, parts[0].dtype, 0))
        return result

    def _gather(self, operands: Sequence[Value], axes: Sequence[int], index: Sequence[Affine], scope: Scope) -> str:
        x, *places = operands
        lead = len(index) - (len(x.shape) - len(axes))
        where, rest = list(index[:lead]), list(index[lead:])
        full: list[Affine] = []
        for d, n in enumerate(x.shape):
            if d not in axes:
                full.append(rest.pop(0))
                continue
            i = places[list(axes).index(d)]
            own = where[lead - len(i.shape) :]
            own = [Affine() if n1 == 1 else at for n1, at in zip(i.shape, own, strict=True)]
            value = self.element(i, own, scope)
            name = self.names.fresh("i")
            scope.statements.append(ToIndex(name, value, n))
            full.append(var(name))
        return self.element(x, full, scope)
