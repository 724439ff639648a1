"""Building graphs: a `Builder` appends ops, an `Expr` is a value together with its builder.

Rules and passes write ordinary arithmetic on `Expr`s: `g * (1 - y * y)`. The builder travels with the value,
so there is no ambient state. A Python scalar in such arithmetic becomes a constant of the other operand's
dtype; two `Expr`s must agree in dtype (the frontend inserts casts by NumPy's rules, rules don't need any).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.ir.dims import Dim
from weft.ir.graph import Graph, Location, Op, Value, fresh
from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.types import NAMES, TensorType


class Builder:
    """Appends ops to a graph under construction.

    `location` is attached to values that are emitted without one of their own.
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.ops: list[Op] = []
        self.location: Location | None = None
        self._constants: dict[tuple[str, bytes], Expr] = {}

    def input(self, type: TensorType, name: str = "", location: Location | None = None) -> Expr:
        value = Value(type, name, location)
        self.inputs.append(value)
        return Expr(value, self)

    def emit(
        self,
        kind: OpDef,
        operands: Sequence[Value],
        attrs: Mapping[str, Any] | None = None,
        *,
        regions: tuple[Graph, ...] = (),
        names: Sequence[str] = (),
        location: Location | None = None,
    ) -> tuple[Expr, ...]:
        """Append one op; its result types come from its type rule. Raises IRTypeError."""
        attrs = attrs or {}
        operands = tuple(operands)
        if regions:
            types = kind.infer(tuple(v.type for v in operands), attrs, regions)
        else:
            types = kind.infer(tuple(v.type for v in operands), attrs)
        loc = location or self.location
        results = tuple(Value(t, names[i] if i < len(names) else "", loc) for i, t in enumerate(types))
        self.ops.append(Op(kind, operands, attrs, regions, results))
        return tuple(Expr(v, self) for v in results)

    def constant(self, value: Any, dtype: str) -> Expr:
        """A 0-d (or array) constant of that dtype; equal 0-d constants are made once. A size that is a symbol becomes
        the number that it is when the code runs."""
        if isinstance(value, Dim):
            return self._size(value, dtype)
        with np.errstate(all="ignore"):  # what is too large for the dtype is inf
            array = np.asarray(value).astype(NAMES[dtype])
        array.flags.writeable = False
        key = (dtype, array.tobytes())
        if array.ndim == 0 and key in self._constants:
            return self._constants[key]
        (expr,) = self.emit(REGISTRY["constant"], (), {"value": array})
        if array.ndim == 0:
            self._constants[key] = expr
        return expr

    def _size(self, size: Dim, dtype: str) -> Expr:
        key = (dtype, size.text().encode())
        if key not in self._constants:
            (n,) = self.emit(REGISTRY["extent"], (), {"size": size})
            self._constants[key] = n if dtype == "i64" else self.emit(REGISTRY["cast"], (n.value,), {"dtype": dtype})[0]
        return self._constants[key]

    def inline(self, graph: Graph, arguments: Sequence[Value]) -> list[Expr]:
        """Append a copy of a graph's ops with its inputs replaced by `arguments`."""
        env = dict(zip(graph.inputs, arguments, strict=True))
        for op in graph.ops:
            self.copy(op, env)
        return [Expr(env[v], self) for v in graph.outputs]

    def copy(self, op: Op, env: dict[Value, Value]) -> None:
        """Append `op` with operands mapped through `env`, and enter its results there. Its regions are copies."""
        results = tuple(Value(r.type, r.name, r.location or self.location) for r in op.results)
        regions = tuple(map(fresh, op.regions))
        self.ops.append(Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, regions, results))
        env.update(zip(op.results, results, strict=True))

    def hint(self, value: Value, name: str) -> None:
        """Name a value that has no name yet, while its graph is still being built."""
        if not value.name and name:
            object.__setattr__(value, "name", name)

    def finish(self, outputs: Sequence[Expr | Value]) -> Graph:
        values = tuple(o.value if isinstance(o, Expr) else o for o in outputs)
        return Graph(self.name, tuple(self.inputs), tuple(self.ops), values)


class Expr:
    """A value under construction, with operators. See the module's docstring."""

    __slots__ = ("value", "builder")
    __array_ufunc__ = None

    def __init__(self, value: Value, builder: Builder) -> None:
        self.value = value
        self.builder = builder

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.type.dims

    @property
    def dtype(self) -> str:
        return self.value.type.dtype

    def const(self, value: Any) -> Expr:
        """A 0-d constant of this value's dtype."""
        return self.builder.constant(value, self.dtype)

    def __repr__(self) -> str:
        return f"<Expr {self.value.name or '?'}: {self.type}>"

    def __add__(self, other: Any) -> Expr:
        return REGISTRY["add"](self, other)

    def __radd__(self, other: Any) -> Expr:
        return REGISTRY["add"](other, self)

    def __sub__(self, other: Any) -> Expr:
        return REGISTRY["sub"](self, other)

    def __rsub__(self, other: Any) -> Expr:
        return REGISTRY["sub"](other, self)

    def __mul__(self, other: Any) -> Expr:
        return REGISTRY["mul"](self, other)

    def __rmul__(self, other: Any) -> Expr:
        return REGISTRY["mul"](other, self)

    def __truediv__(self, other: Any) -> Expr:
        return REGISTRY["div"](self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return REGISTRY["div"](other, self)

    def __neg__(self) -> Expr:
        return REGISTRY["neg"](self)

    def __lt__(self, other: Any) -> Expr:
        return REGISTRY["less"](self, other)

    def __le__(self, other: Any) -> Expr:
        return REGISTRY["less_equal"](self, other)

    def __gt__(self, other: Any) -> Expr:
        return REGISTRY["greater"](self, other)

    def __ge__(self, other: Any) -> Expr:
        return REGISTRY["greater_equal"](self, other)
