"""The IR: one graph, one definition per op. See `graph`, `opdef`, `builder`, `text`."""

from weft.ir import ops, text
from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Location, Op, Value, equal
from weft.ir.opdef import BY_NUMPY, REGISTRY, IRTypeError, OpDef
from weft.ir.types import NAMES, TensorType, dtype_name

__all__ = [
    "BY_NUMPY",
    "NAMES",
    "REGISTRY",
    "Builder",
    "Expr",
    "Graph",
    "IRTypeError",
    "Location",
    "Op",
    "OpDef",
    "TensorType",
    "Value",
    "dtype_name",
    "equal",
    "ops",
    "text",
]
