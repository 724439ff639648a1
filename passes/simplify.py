"""Algebra, constant folding and shape-only ops: one identity per line, applied as ops are re-emitted.

Identities hold bit for bit in floating point (NaN, infinities and signed zeros included), so `x + 0` stays
for floats (-0.0 + 0 is 0.0) and `x * 0` stays (NaN * 0 is NaN).

A region's ops see no values from outside, but numbers: a constant that a loop or branch is handed is written in
its regions as well.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weft.ir.builder import Builder
from weft.ir.dims import is_known, same_shape
from weft.ir.graph import Graph, Op, Value, is_literal
from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.ops.control import LEAD, call
from weft.ir.types import broadcast_dims
from weft.passes.simplify_shapes import SHAPE_RULES
from weft.passes.simplify_updates import UPDATE_RULES

FOLD_LIMIT = 256  # elements: a folded constant must not be larger than the program that makes it
MAY_RAISE = frozenset({"bound", "agree", "dynamic_slice", "dynamic_update", "moving_slice", "moving_update"})
log = logging.getLogger("weft.simplify")


Rule = Callable[["Rewriter", tuple[Value, ...], Mapping[str, Any]], "Value | None"]
Rules = Mapping[str, tuple[Rule, ...]]


class Rewriter:
    """The graph being rebuilt: emits ops through the rules and knows each value's producer."""

    def __init__(self, graph: Graph, rules: Rules) -> None:
        self.rules = rules
        self.build = Builder(graph.name)
        self.build.inputs.extend(graph.inputs)
        self.producer: dict[Value, Op] = {}
        self.readers: dict[Value, int] = {}  # of values that stand for one of the graph before
        self.fired: dict[str, int] = {}

    def constant(self, value: Value) -> Any:
        """The Python or NumPy scalar that a 0-d constant holds, else None. Looks through broadcasts."""
        op = self.producer.get(value)
        while op is not None and op.kind.name in ("broadcast", "reshape"):
            op = self.producer.get(op.operands[0])
        if op is not None and op.kind.name == "constant" and op.attrs["value"].ndim == 0:
            return op.attrs["value"][()]
        return None

    def remaker(self, value: Value) -> Remaker | None:
        """What makes a number (a 0-d constant, its broadcast, an iota) anew in another graph; None for others."""
        op, dtype, shape = self.producer.get(value), value.dtype, value.shape
        if op is not None and op.kind.name == "iota":
            return lambda other: other.emit("iota", **op.attrs)
        number = self.constant(value)
        if number is None:
            return None
        if not shape:
            return lambda other: other.scalar(number, dtype)
        return lambda other: other.emit("broadcast", other.scalar(number, dtype), shape=shape)

    def shared(self, value: Value) -> bool:
        """Has it other readers than the one that is being rewritten?"""
        return self.readers.get(value, 0) > 1

    def made_by(self, value: Value, name: str) -> Op | None:
        op = self.producer.get(value)
        return op if op is not None and op.kind.name == name else None

    def scalar(self, value: Any, dtype: str) -> Value:
        expr = self.build.constant(value, dtype)
        if expr.value not in self.producer:
            self.producer[expr.value] = self.build.ops[-1]
        return expr.value

    def emit(self, name: str, *operands: Value, **attrs: Any) -> Value:
        """Emit an op through the rules."""
        return self.rewrite(REGISTRY[name], operands, attrs, None)

    def rewrite(self, kind: OpDef, operands: tuple[Value, ...], attrs: Mapping[str, Any], op: Op | None) -> Value:
        operands = drop_broadcasts(kind, self, operands)
        for rule in self.rules.get(kind.name, ()):
            found = rule(self, operands, attrs)
            if found is not None:
                self.fired[rule.__name__] = self.fired.get(rule.__name__, 0) + 1
                return found
        folded = self._fold(kind, operands, attrs)
        if folded is not None:
            return folded
        if op is not None:
            result = op.result
            done = op if op.operands == operands else Op(kind, operands, attrs, op.regions, op.results)
            self.build.ops.append(done)
        else:
            (expr,) = self.build.emit(kind, operands, attrs)
            result, done = expr.value, self.build.ops[-1]
        self.producer[result] = done
        return result

    def _fold(self, kind: OpDef, operands: tuple[Value, ...], attrs: Mapping[str, Any]) -> Value | None:
        if not operands or kind.name in MAY_RAISE or kind.family == "library":
            return None
        makers = [self.producer.get(v) for v in operands]
        if any(m is None or m.kind.name != "constant" for m in makers):
            return None
        (t,) = kind.infer(tuple(v.type for v in operands), attrs)
        if not is_known(t.size) or t.size > FOLD_LIMIT or kind.name == "broadcast":
            return None
        try:
            value = kind.reference(*(m.attrs["value"] for m in makers if m is not None), **attrs)
        except (ValueError, IndexError):  # what NumPy refuses: integers to negative powers, indices out of range
            return None
        array = np.ascontiguousarray(value) if t.dims else np.asarray(value)
        return self.scalar(array, t.dtype)


def simplify(graph: Graph, rules: Rules | None = None) -> Graph:
    """Rebuild `graph` through the rules, `RULES` unless others are given. What is dead then is for dce."""
    return _simplify(graph, {}, RULES if rules is None else rules)


def _simplify(graph: Graph, known: Mapping[Value, Remaker], rules: Rules) -> Graph:
    """`known`: inputs of a region that are numbers."""
    ctx = Rewriter(graph, rules)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    env.update((v, remake(ctx)) for v, remake in known.items())
    uses = graph.uses()
    names: dict[Value, str] = {}
    for op in graph.ops:
        ctx.build.location = op.location
        operands = tuple(env[v] for v in op.operands)
        if len(op.results) != 1 or op.regions:
            regions = tuple(_simplify(r, _known(ctx, op, operands, r), rules) for r in op.regions)
            done = Op(op.kind, operands, op.attrs, regions, op.results)
            ctx.build.ops.append(done)
            for r in op.results:
                env[r] = r
                ctx.producer[r] = done
            continue
        if op.kind.name == "constant" and op.attrs["value"].ndim == 0 and not op.result.name:
            env[op.result] = ctx.scalar(op.attrs["value"], op.result.dtype)
            continue
        new = ctx.rewrite(op.kind, operands, op.attrs, op)
        ctx.readers[new] = ctx.readers.get(new, 0) + uses.get(op.result, 0)
        if op.result.name and not new.name and new in ctx.producer and not is_literal(ctx.producer[new]):
            names.setdefault(new, op.result.name)
        env[op.result] = new
    if ctx.fired:
        log.debug("rules fired: %s", ", ".join(f"{k} x{n}" for k, n in sorted(ctx.fired.items())))
    return _named(ctx.build.finish([env[v] for v in graph.outputs]), names)


def _named(graph: Graph, names: Mapping[Value, str]) -> Graph:
    """The graph with names for some values. Those are other values then: the graph before keeps its own."""
    if not names:
        return graph
    other = {v: Value(v.type, name, v.location) for v, name in names.items()}

    def get(values: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(other.get(v, v) for v in values)

    ops = (Op(op.kind, get(op.operands), op.attrs, op.regions, get(op.results)) for op in graph.ops)
    return Graph(graph.name, graph.inputs, tuple(ops), get(graph.outputs))


def _known(ctx: Rewriter, op: Op, operands: tuple[Value, ...], region: Graph) -> dict[Value, Remaker]:
    """Inputs of the region that stand for numbers."""
    if op.kind is call:
        return {}
    first = LEAD[op.kind] + op.attrs.get("carried", 0)
    inputs = region.inputs[len(region.inputs) - len(operands) + first :]
    makers = ((own, ctx.remaker(v)) for v, own in zip(operands[first:], inputs, strict=True))
    return {own: remake for own, remake in makers if remake is not None}


Remaker = Callable[[Rewriter], Value]


def _spread(ctx: Rewriter, x: Value, like: tuple[Value, ...]) -> Value:
    """x at the shape that an elementwise op of `like` would have had."""
    shape = broadcast_dims(*(v.shape for v in like))
    return x if x.shape == shape else ctx.emit("broadcast", x, shape=shape)


def _is(value: Any, number: float) -> bool:
    """A constant that is exactly this number, sign of zero included."""
    if value is None or not value == number:
        return False
    return not isinstance(value, np.floating) or bool(np.signbit(value)) == (math.copysign(1, number) < 0)


def add_nothing(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x + -0.0 -> x; for integers x + 0 -> x
    for x, c in ((v[0], ctx.constant(v[1])), (v[1], ctx.constant(v[0]))):
        if _is(c, -0.0) if x.type.is_float else (c is not None and x.type.is_integer and c == 0):
            return _spread(ctx, x, v)
    return None


def add_negative(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x + -y -> x - y
    for x, y in ((v[0], v[1]), (v[1], v[0])):
        if x.dtype != "bool" and (n := ctx.made_by(y, "neg")):
            return ctx.emit("sub", x, n.operands[0])
    return None


def sub_nothing(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x - 0 -> x
    c = ctx.constant(v[1])
    return _spread(ctx, v[0], v) if c is not None and _is(c, 0.0) else None


def sub_negative(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x - -y -> x + y
    n = ctx.made_by(v[1], "neg")
    return ctx.emit("add", v[0], n.operands[0]) if n else None


def mul_one(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x * 1 -> x
    for x, c in ((v[0], ctx.constant(v[1])), (v[1], ctx.constant(v[0]))):
        if x.dtype != "bool" and c is not None and c == 1:
            return _spread(ctx, x, v)
    return None


def mul_minus_one(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x * -1 -> -x
    for x, c in ((v[0], ctx.constant(v[1])), (v[1], ctx.constant(v[0]))):
        if x.dtype[0] in "fi" and c is not None and c == -1:
            return _spread(ctx, ctx.emit("neg", x), v)
    return None


def div_exact(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # x / 2^k -> x * 2^-k: exact, and a multiplication is cheaper
    c = ctx.constant(v[1])
    if c is None or not np.isfinite(c) or c == 0 or not v[0].type.is_float:
        return None
    mantissa, exponent = math.frexp(float(c))
    limit = {"f16": 12, "f32": 100, "f64": 1000}[v[0].dtype]
    if abs(mantissa) != 0.5 or abs(exponent) > limit:
        return None
    if c == 1:
        return _spread(ctx, v[0], v)
    return _spread(ctx, ctx.emit("mul", v[0], ctx.scalar(1 / float(c), v[0].dtype)), v)


def floordiv_power(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # n // 2^k -> n >> k: both round down
    k = _exponent(ctx.constant(v[1])) if v[0].type.is_integer else None
    if k is None:
        return None
    return _spread(ctx, ctx.emit("right_shift", v[0], ctx.scalar(k, v[0].dtype)) if k else v[0], v)


def mod_power(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # n % 2^k -> n & (2^k - 1): not negative, as 2^k is not
    k = _exponent(ctx.constant(v[1])) if v[0].type.is_integer else None
    if k is None:
        return None
    return _spread(ctx, ctx.emit("bitwise_and", v[0], ctx.scalar((1 << k) - 1, v[0].dtype)), v)


def _exponent(c: Any) -> int | None:
    """k of an integer 2^k."""
    return int(c).bit_length() - 1 if c is not None and c > 0 and int(c) & (int(c) - 1) == 0 else None


def neg_neg(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # --x -> x
    n = ctx.made_by(v[0], "neg")
    return n.operands[0] if n else None


def cast_same(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # cast to the dtype it has -> x
    return v[0] if v[0].dtype == attrs["dtype"] else None


def cast_back(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # f32 -> f64 -> f32, i8 -> i64 -> i8: a wider dtype holds it exactly (not so i64 -> f64, "safe" to NumPy);
    # i64 -> u64 -> i64: what wraps around wraps back
    inner = ctx.made_by(v[0], "cast")
    if inner is None:
        return None
    x, wide = inner.operands[0], v[0]
    rounds = x.dtype in ("i64", "u64") and wide.type.is_float
    wraps = x.type.is_integer and wide.type.is_integer and wide.type.np_dtype.itemsize >= x.type.np_dtype.itemsize
    exact = wraps or (np.can_cast(x.type.np_dtype, wide.type.np_dtype, "safe") and not rounds)
    return x if exact and x.dtype == attrs["dtype"] else None


def where_known(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # where(True, a, b) -> a
    c = ctx.constant(v[0])
    return None if c is None else _spread(ctx, v[1] if c else v[2], v)


def where_same(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # where(c, a, a) -> a
    return _spread(ctx, v[1], v) if v[1] is v[2] else None


def not_not(ctx: Rewriter, v: tuple[Value, ...], attrs: Any) -> Value | None:
    # not not x -> x
    n = ctx.made_by(v[0], "logical_not")
    return n.operands[0] if n else None


RULES: dict[str, tuple[Rule, ...]] = {
    "add": (add_nothing, add_negative),
    "sub": (sub_nothing, sub_negative),
    "mul": (mul_one, mul_minus_one),
    "div": (div_exact,),
    "floordiv": (floordiv_power,),
    "mod": (mod_power,),
    "neg": (neg_neg,),
    "cast": (cast_same, cast_back),
    "where": (where_known, where_same),
    "logical_not": (not_not,),
}
for _table in (SHAPE_RULES, UPDATE_RULES):
    for _name, _rules in _table.items():
        RULES[_name] = RULES.get(_name, ()) + _rules


def drop_broadcasts(kind: OpDef, ctx: Rewriter, v: tuple[Value, ...]) -> tuple[Value, ...]:
    """add(x, broadcast(y)) -> add(x, y) where x alone gives the result its shape."""
    if kind.family != "elementwise" or len(v) == 1:
        return v
    shape = broadcast_dims(*(x.shape for x in v))
    out = list(v)
    for i, x in enumerate(v):
        b = ctx.made_by(x, "broadcast")
        if b is None:
            continue
        trial = [*out[:i], b.operands[0], *out[i + 1 :]]
        if same_shape(broadcast_dims(*(t.shape for t in trial)), shape):
            out = trial
    return tuple(out)
