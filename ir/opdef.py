"""What an op is: one record, made once, in the file of its family.

    tanh = elementwise("tanh", np.tanh, scalar="tanh(a)", pull=lambda g, y, x: (g * (1 - y * y),), domain=(-2, 2))

The record holds the type rule, the NumPy reference, the derivative, the scalar body and the domain for the
op's own tests. Derivative rules are calculus on `Expr` handles; engines do the bookkeeping:

* `pull(g, y, *operands, **attrs)` returns one cotangent (or None for zero) per operand. For elementwise ops
  it may be shaped like the result: the engine sums over broadcast axes.
* where an op has several results, `g` is a tuple (None for no cotangent), and `y` is one.
* `linear` names the operands in which the op is jointly linear: its JVP is then the op itself.
* an elementwise op's Jacobian is diagonal, so its JVP is the sum of its pulls applied to tangents.
* `pull_into(total, g, y, *operands, **attrs)`, for ops that read a part of their first operand, adds its cotangent
  to a `total` in place of it: what is read in a loop costs what the read costs, not an array of zeros. It may
  return None, and `pull` is asked.
* `push(tangents, y, *operands, **attrs)` states the JVP for the few that are neither; a tangent may be None.

So is the op on many lanes at once, `batch(size, lanes, *operands, **attrs)`: operand i has one more axis of `size`, in
front, where lanes[i] is true, and at least one has; so have all results. (What has regions is `weft.passes.batch`'s.)

Ops of the family "library" are their references in compiled code too: it calls them (`weft.ir.ops.library`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from weft.ir.records import dataclass, field
from weft.ir.types import TensorType

Infer = Callable[..., tuple[TensorType, ...]]

# Ops whose operands may change places.
COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "logical_and", "logical_or", "logical_xor",
                         "bitwise_and", "bitwise_or", "bitwise_xor", "equal", "not_equal"})  # fmt: skip

REGISTRY: dict[str, OpDef] = {}
BY_NUMPY: dict[Any, OpDef] = {}


class IRTypeError(TypeError):
    """An op applied to operand types or attributes that its type rule refuses."""


@dataclass(frozen=True, eq=False)
class OpDef:
    """Definition of an op.

    name: its spelling in the text. family: what passes and code generation may assume ("elementwise",
    "reduce", "movement", "index", "dot", "source", "control", "stack", "library"). infer(types, attrs) -> result types;
    where `regions` names the graphs that the op holds, infer(types, attrs, regions).
    reference(*arrays, **attrs) -> array: what it means. numpy: the NumPy functions that it is.
    scalar: elementwise body over a, b, c (or a callable of the operand dtype that gives it).
    pull, pull_into, push, linear: derivative, batch: on many lanes, see the module. domain: (low, high) of test
    samples, one per operand or one for all. dtypes: kinds of operand that it takes, letters of "b" bool, "i", "u", "f".
    optional: attributes that it may have besides `attr_names`.
    into, over, harmless: of library ops, see `weft.ir.ops.library`.
    """

    name: str
    family: str
    infer: Infer
    reference: Callable[..., Any]
    arity: int = 1
    numpy: tuple[Any, ...] = ()
    scalar: str | Callable[[str], str] | None = None
    pull: Callable[..., Sequence[Any]] | None = None
    pull_into: Callable[..., Any] | None = None
    push: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    linear: tuple[int, ...] = ()
    domain: Any = (-2.0, 2.0)
    dtypes: str = "biuf"
    attr_names: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    into: Callable[..., None] | None = None
    over: tuple[tuple[int, int], ...] = ()
    harmless: Callable[..., Sequence[Any]] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *operands: Any, **attrs: Any) -> Any:
        """Append this op to the builder that its operands (`Expr` handles) carry.

        Python scalars become constants of the first handle's dtype. One result comes back bare, several as
        a tuple. Raises IRTypeError when no operand is a handle, or when the type rule refuses.
        """
        first = next((o for o in operands if hasattr(o, "builder")), None)
        if first is None:
            raise IRTypeError(f"{self.name} needs a value to know its builder; use Builder.emit for sources")
        build = first.builder
        values = [o.value if hasattr(o, "builder") else first.const(o).value for o in operands]
        results = build.emit(self, values, attrs)
        return results[0] if len(results) == 1 else results

    @property
    def differentiable(self) -> bool:
        return self.pull is not None

    def scalar_for(self, dtype: str) -> str:
        assert self.scalar is not None, f"{self.name} has no scalar body"
        return self.scalar(dtype) if callable(self.scalar) else self.scalar

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def register(op: OpDef) -> OpDef:
    """Enter an op in the table. Raises ValueError for a second op of that name."""
    if op.name in REGISTRY:
        raise ValueError(f"op {op.name} is defined twice")
    REGISTRY[op.name] = op
    for function in op.numpy:
        BY_NUMPY.setdefault(function, op)
    return op


def all_ops() -> Iterator[OpDef]:
    """Every op of the table, by name."""
    return iter(sorted(REGISTRY.values(), key=lambda op: op.name))
