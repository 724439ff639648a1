"""Sample applications of every op in the table: operand shapes, attributes, and values from the op's domain.

`CASES` is what the tests of the table run over. Elementwise ops have theirs made from their arity; the
others are listed. An op that is in the table and not here fails `test_ops.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.ir import NAMES, REGISTRY, Builder, Graph, TensorType
from weft.ir.opdef import OpDef

Shape = tuple[int, ...]
INDEXED = {"gather", "scatter_add", "scatter"}


@dataclass(frozen=True)
class Case:
    """One application. `domain` replaces the op's own; `values` replaces the samples of the first operand."""

    op: str
    shapes: tuple[Shape, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: Any = None
    values: Any = None

    @property
    def kind(self) -> OpDef:
        return REGISTRY[self.op]

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, s)) or "scalar" for s in self.shapes)
        attrs = ",".join(f"{k}={v}" for k, v in self.attrs.items() if k != "value")
        more = "" if self.domain is None else f"-{self.domain}"
        return f"{self.op}-{shapes}{'-' if attrs else ''}{attrs}{more}{'-values' * (self.values is not None)}"

    def types(self, dtype: str) -> tuple[TensorType, ...]:
        """Types of the operands where the data has that dtype."""
        return tuple(TensorType(self._dtype(i, dtype), s) for i, s in enumerate(self.shapes))

    def _dtype(self, i: int, dtype: str) -> str:
        if self.op == "where" and i == 0:
            return "bool"
        return "i64" if self.is_index(i) else dtype

    def is_index(self, i: int) -> bool:
        return self._room(i) is not None

    def _room(self, i: int) -> int | None:
        """How many values operand i may have as an index, None if it is none."""
        if self.op == "bound":
            return int(self.attrs["size"])
        if self.op in INDEXED and 1 <= i <= len(self.attrs["axes"]):
            return self.shapes[0][self.attrs["axes"][i - 1]]
        if self.op in ("at_ranks", "arg_at_ranks"):
            return self.shapes[0][-1] if i else None
        if self.op == "agree" or (self.op == "limit" and i == 2):
            return 1 if self.op == "agree" else self.shapes[0][self.attrs["axis"]] + 2
        first = {"dynamic_slice": 1, "dynamic_update": 2, "moving_slice": 1, "moving_update": 2}.get(self.op)
        if first is None or i < first:
            return None
        size = self.attrs["sizes"] if first == 1 else self.shapes[1]
        if i - first >= len(size):  # a length
            return int(size[i - first - len(size)]) + 1
        return self.shapes[0][i - first] - size[i - first] + 1

    def operands(self, dtype: str, seed: int = 0) -> list[np.ndarray]:
        """Samples: floats spread over the domain, no two of them close; small integers; indices in range."""
        rng = np.random.default_rng(seed)
        out = []
        for i, t in enumerate(self.types(dtype)):
            if i == 0 and self.values is not None:
                array = np.asarray(self.values).astype(t.np_dtype)
            elif t.dtype == "bool":
                array = rng.random(t.dims) < 0.5
            elif t.is_float:
                array = self._spread(i, t, rng)
            elif self.is_index(i):
                array = rng.integers(0, self._room(i), t.dims)
            else:
                array = rng.integers(0 if t.dtype[0] == "u" else -5, 6, t.dims)
            out.append(np.asarray(array).astype(t.np_dtype))
        if self.op == "power" and dtype[0] == "i":
            out[1] = abs(out[1])  # NumPy refuses negative integer powers
        if self.op in ("searchsorted", "binned"):
            out[self.op == "binned"].sort()
        return out

    def _spread(self, i: int, t: TensorType, rng: np.random.Generator) -> np.ndarray:
        domain = self.kind.domain if self.domain is None else self.domain
        low, high = domain[i] if isinstance(domain[0], tuple) else domain
        steps = (rng.permutation(t.size) + (i + 1) / (len(self.shapes) + 1)) / max(t.size, 1)
        return (low + (high - low) * steps * 0.97**i).reshape(t.dims)  # operands of other sizes hit other points

    def graph(self, dtype: str) -> Graph:
        """A graph of this op alone; its operands are the inputs."""
        build = Builder("main")
        inputs = [build.input(t, f"x{i}") for i, t in enumerate(self.types(dtype))]
        results = build.emit(self.kind, [x.value for x in inputs], self.attrs, names=["y"])
        return build.finish(results)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


UNARY: list[tuple[Shape, ...]] = [((),), ((3,),), ((2, 3),), ((0, 2),)]
BINARY: list[tuple[Shape, ...]] = [
    ((3,), (3,)), ((), (2,)), ((2, 3), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1, 1), (2,)), ((0, 3), (1, 3)),
    ((2, 1, 2), (3, 1)),
]  # fmt: skip
TERNARY: list[tuple[Shape, ...]] = [
    ((3,), (3,), (3,)), ((), (2,), (2,)), ((2, 3), (), (3,)), ((2, 1), (3,), (1, 1)), ((3,), (), ()),
]  # fmt: skip
MORE_DOMAINS: dict[str, list[Any]] = {
    "abs": [(-2, -0.3)],
    "sign": [(-2, -0.3)],
    "copysign": [((-2, -0.3), (0.3, 2)), ((0.3, 2), (-2, -0.3)), ((-2, -0.3), (-2, -0.3))],
    "heaviside": [((-2, -0.3), (-1, 1))],
    "mod": [((0.1, 0.9), (-2, -1.1)), ((2.3, 2.9), (1.1, 1.4)), ((-0.9, -0.1), (1.1, 2))],
    "fmod": [((-2.9, -2.3), (1.1, 1.4)), ((2.3, 2.9), (-1.4, -1.1))],
    "floordiv": [((2.3, 2.6), (1.05, 1.1)), ((-2.6, -2.3), (1.05, 1.1))],
    "arctan2": [((-2, -0.3), (0.3, 2)), ((0.3, 2), (-2, -0.3)), ((-2, -0.3), (-2, -0.3))],
    "hypot": [((-2, -0.3), (0.3, 2)), ((-2, -0.3), (-2, -0.3))],
    "div": [((-2, 2), (-2, -0.5))],
    "reciprocal": [(-2, -0.5)],
    "cbrt": [(-3, -0.2)],
    "sqrt": [(1e-2, 1e-1)],
    "exp": [(5, 6)],
    "tanh": [(2, 4)],
    "logaddexp": [((5, 9), (-9, -5)), ((-9, -5), (5, 9))],
    "floor": [(-0.9, -0.1)],
    "ceil": [(-0.9, -0.1)],
    "trunc": [(-0.9, -0.1)],
}

REDUCE = [((2, 3, 4), axes) for axes in ((), (0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2))] + [
    ((), ()), ((5,), (0,)), ((1, 3), (0,)), ((2, 0), (0,)), ((2, 1), (0, 1))
]  # fmt: skip
EMPTY = [((0, 3), (0,)), ((2, 0), (0, 1)), ((0,), (0,))]

LISTED: dict[str, list[tuple[tuple[Shape, ...], dict[str, Any]]]] = {
    "broadcast": [
        (((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 3)}), (((),), {"shape": (2, 2)}),
        (((1, 3, 1),), {"shape": (2, 2, 3, 2)}), (((1,),), {"shape": (0,)}), (((2,),), {"shape": (2,)}),
    ],
    "reshape": [
        (((2, 3),), {"shape": (6,)}), (((2, 3),), {"shape": (3, 1, 2)}), (((),), {"shape": (1, 1)}),
        (((1,),), {"shape": ()}), (((0, 3),), {"shape": (3, 0, 2)}),
    ],
    "transpose": [
        (((2, 3),), {"perm": (1, 0)}), (((2, 3, 4),), {"perm": (2, 0, 1)}), (((2, 3, 4),), {"perm": (1, 2, 0)}),
        (((),), {"perm": ()}), (((0, 3),), {"perm": (1, 0)}),
    ],
    "slice": [
        (((5,),), {"start": (1,), "stop": (4,), "step": (1,)}), (((7,),), {"start": (1,), "stop": (7,), "step": (3,)}),
        (((7,),), {"start": (0,), "stop": (6,), "step": (2,)}), (((4,),), {"start": (2,), "stop": (2,), "step": (1,)}),
        (((4, 5),), {"start": (1, 0), "stop": (4, 5), "step": (2, 2)}), (((),), {"start": (), "stop": (), "step": ()}),
        (((6, 2),), {"start": (5, 1), "stop": (6, 2), "step": (4, 1)}),
    ],
    "dilate": [
        (((4,),), {"step": (2,)}), (((2, 3),), {"step": (1, 3)}), (((0, 2),), {"step": (2, 2)}), (((),), {"step": ()}),
        (((1, 2),), {"step": (4, 2)}),
    ],
    "reverse": [
        (((4,),), {"axes": (0,)}), (((2, 3),), {"axes": (0, 1)}), (((2, 3),), {"axes": (1,)}), (((2,),), {"axes": ()}),
    ],
    "pad": [
        (((3,), ()), {"low": (1,), "high": (2,)}), (((2, 3), ()), {"low": (0, 1), "high": (1, 0)}),
        (((), ()), {"low": (), "high": ()}), (((0, 2), ()), {"low": (1, 0), "high": (1, 0)}),
    ],
    "concatenate": [
        (((2,), (3,)), {"axis": 0}), (((2, 2), (2, 0), (2, 3)), {"axis": 1}), (((2, 3),), {"axis": 0}),
        (((1, 2, 2), (3, 2, 2)), {"axis": 0}),
    ],
    "windows": [
        (((5,),), {"axes": (0,), "sizes": (3,)}), (((4, 3),), {"axes": (0, 1), "sizes": (2, 3)}),
        (((2, 4, 3),), {"axes": (2, 1), "sizes": (2, 2)}), (((5, 2),), {"axes": (0, 0), "sizes": (2, 3)}),
        (((3, 0),), {"axes": (0,), "sizes": (2,)}), (((1, 2),), {"axes": (0,), "sizes": (1,)}),
        (((),), {"axes": (), "sizes": ()}), (((3,),), {"axes": (0,), "sizes": (3,)}),
    ],
    "shear": [
        (((5, 3),), {"axes": (0,), "along": (1,)}), (((2, 4),), {"axes": (1,), "along": (0,)}),
        (((4, 2, 3, 2),), {"axes": (0, 2), "along": (1, 3)}), (((6, 2, 3),), {"axes": (0, 0), "along": (2, 1)}),
        (((3, 1),), {"axes": (0,), "along": (1,)}), (((3, 2, 0),), {"axes": (0,), "along": (1,)}),
    ],
    "gather": [
        (((4,), (3,)), {"axes": (0,)}), (((4, 3), (2, 2)), {"axes": (0,)}), (((4, 3), (5,)), {"axes": (1,)}),
        (((4, 3), (2, 1), (3,)), {"axes": (0, 1)}), (((2, 3, 4), (2,), ()), {"axes": (0, 2)}),
        (((4, 3), ()), {"axes": (0,)}), (((4,), (0,)), {"axes": (0,)}), (((0, 3), (0,)), {"axes": (0,)}),
    ],
    "scatter_add": [
        (((4,), (3,), (3,)), {"axes": (0,)}), (((2,), (6,), (6,)), {"axes": (0,)}),
        (((4, 3), (2, 2), (2, 2, 3)), {"axes": (0,)}), (((4, 3), (5,), (5, 4)), {"axes": (1,)}),
        (((4, 3), (2, 1), (3,), (2, 3)), {"axes": (0, 1)}), (((4, 3), (), (3,)), {"axes": (0,)}),
    ],
    "scatter": [
        (((4,), (3,), (3,)), {"axes": (0,)}), (((2,), (6,), (6,)), {"axes": (0,)}),
        (((4, 3), (2, 2), (2, 2, 3)), {"axes": (0,)}), (((4, 3), (5,), (5, 4)), {"axes": (1,)}),
        (((2, 3), (4, 1), (3,), (4, 3)), {"axes": (0, 1)}), (((4, 3), (), (3,)), {"axes": (0,)}),
        (((2, 2, 2), (3,), (2, 3), (2, 3, 2)), {"axes": (0, 2)}), (((4,), (0,), (0,)), {"axes": (0,)}),
    ],
    "update": [
        (((5,), (3,)), {"start": (1,), "stop": (4,), "step": (1,)}),
        (((7,), (2,)), {"start": (1,), "stop": (7,), "step": (3,)}),
        (((4,), (0,)), {"start": (2,), "stop": (2,), "step": (1,)}),
        (((4, 5), (2, 3)), {"start": (1, 0), "stop": (4, 5), "step": (2, 2)}),
        (((), ()), {"start": (), "stop": (), "step": ()}),
    ],
    "dynamic_slice": [
        (((5,), ()), {"sizes": (3,)}), (((4, 3), (), ()), {"sizes": (1, 3)}), (((4, 3), (), ()), {"sizes": (2, 2)}),
        (((),), {"sizes": ()}), (((3, 0), (), ()), {"sizes": (1, 0)}), (((3,), ()), {"sizes": (3,)}),
        (((4, 3), (), ()), {"sizes": (4, 2)}), (((2, 4, 3), (), (), ()), {"sizes": (2, 0, 1)}),
    ],
    "dynamic_update": [
        (((5,), (3,), ()), {}), (((4, 3), (1, 3), (), ()), {}), (((4, 3), (2, 2), (), ()), {}), (((), ()), {}),
        (((3,), (0,), ()), {}), (((3,), (3,), ()), {}), (((4, 3), (4, 2), (), ()), {}),
        (((2, 4, 3), (2, 1, 2), (), (), ()), {}),
    ],
    "moving_slice": [
        (((5,), (), ()), {"sizes": (3,)}), (((4, 3), *[()] * 4), {"sizes": (1, 3)}), (((0,), (), ()), {"sizes": (0,)}),
        (((4, 3), *[()] * 4), {"sizes": (4, 2)}), (((),), {"sizes": ()}), (((3,), (), ()), {"sizes": (3,)}),
    ],
    "moving_update": [
        (((5,), (3,), (), ()), {}), (((4, 3), (1, 3), *[()] * 4), {}), (((4, 3), (4, 2), *[()] * 4), {}),
        (((), ()), {}), (((3,), (0,), (), ()), {}), (((3,), (3,), (), ()), {}),
    ],
    "limit": [(((5,), (), ()), {"axis": 0}), (((2, 3), (), ()), {"axis": 1}), (((0, 2), (), ()), {"axis": 0})],
    "recur": [
        (((4,), (4,)), {"axis": 0}), (((3, 2), (3, 2)), {"axis": 0}), (((2, 3), (2, 3)), {"axis": 1}),
        (((2, 3, 2), (2, 3, 2)), {"axis": 1}), (((0, 2), (0, 2)), {"axis": 0}), (((2, 0), (2, 0)), {"axis": 0}),
        (((1, 3), (1, 3)), {"axis": 0}),
    ],
    **{
        name: [
            (((5,),), {"axis": 0, "kind": "quicksort"}), (((3, 4),), {"axis": 0, "kind": "stable"}),
            (((2, 3, 4),), {"axis": 1, "kind": "heapsort"}), (((0, 2),), {"axis": 0, "kind": "quicksort"}),
            (((2, 0),), {"axis": 0, "kind": "stable"}), (((1,),), {"axis": 0, "kind": "stable"}),
        ]
        for name in ("sort", "argsort")
    },
    **{
        name: [
            (((6,),), {"axis": 0, "kth": (2,)}), (((3, 5),), {"axis": 1, "kth": (0, 3)}),
            (((4, 2, 3),), {"axis": 0, "kth": (1,)}), (((0, 3),), {"axis": 1, "kth": (1,)}),
        ]
        for name in ("partition", "argpartition")
    },
    **{
        name: [
            (((6,),), {"axis": 0, "ranks": (2,)}), (((3, 5),), {"axis": 1, "ranks": (0, 3)}),
            (((4, 2, 3),), {"axis": 0, "ranks": (1, 2)}), (((0, 3),), {"axis": 1, "ranks": (1,)}),
        ]
        for name in ("ranked", "argranked")
    },
    **{
        name: [(((6,), (2,)), {}), (((2, 4), (2, 3)), {}), (((3,), (0,)), {}), (((0, 2), (0, 1)), {})]
        for name in ("at_ranks", "arg_at_ranks")
    },
    "searchsorted": [
        (((5,), (3, 2)), {"side": "left"}), (((5,), ()), {"side": "right"}), (((0,), (2,)), {"side": "left"}),
        (((2, 4), (2, 3)), {"side": "right"}), (((2, 4), (2,)), {"side": "left"}),
    ],
    **{name: [(((3, 3),), {}), (((2, 2, 2),), {}), (((1, 1),), {}), (((0, 0),), {}), (((0, 2, 2),), {})]
       for name in ("inv", "det", "slogdet")},
    "solve": [(((3, 3), (3, 2)), {}), (((2, 2, 2), (2, 2, 1)), {}), (((2, 2), (2, 0)), {}), (((0, 0), (0, 2)), {})],
    "pinv": [(((3, 2),), {"rcond": 1e-15}), (((2, 3),), {"rcond": 1e-15}), (((2, 2, 2),), {"rcond": 0.0}),
             (((2, 0),), {"rcond": 1e-15})],
    "lstsq": [(((4, 2), (4, 3)), {"rcond": None}), (((2, 3), (2, 1)), {"rcond": -1.0}),
              (((2, 3, 2), (2, 3, 2)), {"rcond": 1e-10})],
    "eigh": [(((3, 3),), {"uplo": "L"}), (((2, 3, 3),), {"uplo": "U"}), (((1, 1),), {"uplo": "L"})],
    "eigvalsh": [(((3, 3),), {"uplo": "U"}), (((2, 2, 2),), {"uplo": "L"})],
    "qr": [(((3, 3),), {"mode": "reduced"}), (((4, 2),), {"mode": "reduced"}), (((2, 4),), {"mode": "reduced"}),
           (((2, 3, 2),), {"mode": "r"}), (((2, 3),), {"mode": "r"}), (((2, 3),), {"mode": "complete"}),
           (((0, 3, 2),), {"mode": "reduced"})],
    "svd": [(((3, 3),), {"full": True}), (((4, 2),), {"full": False}), (((2, 3),), {"full": False}),
            (((2, 2, 2),), {"full": False}), (((1, 3),), {"full": False})],
    "correlate": [
        (((5,), (3,)), {"mode": "valid"}), (((5,), (4,)), {"mode": "same"}), (((4,), (4,)), {"mode": "full"}),
        (((2, 4), (2, 3)), {"mode": "full"}), (((3,), (1,)), {"mode": "same"}), (((0, 3), (0, 2)), {"mode": "valid"}),
    ],
    "histogram": [
        (((9,),), {"bins": 4, "low": None, "high": None}), (((2, 5),), {"bins": 3, "low": -1.0, "high": 2.0}),
        (((2, 5),), {"bins": 1, "low": None, "high": None}), (((0,),), {"bins": 2, "low": None, "high": None}),
    ],
    "binned": [(((9,), (3,)), {}), (((2, 4), (2, 1)), {}), (((0,), (2,)), {})],
    "svdvals": [(((3, 2),), {}), (((2, 2, 3),), {}), (((1, 1),), {})],
    "agree": [(((), ()), {"problem": "lengths differ"})],
    "bound": [((s,), {"size": n, "axis": 1}) for s, n in (((), 3), ((4,), 1), ((2, 3), 7))],
    "dot": [
        (((2, 3), (3, 4)), {"batch": ((), ()), "contract": ((1,), (0,))}),
        (((2, 3), (4, 3)), {"batch": ((), ()), "contract": ((1,), (1,))}),
        (((3, 2), (3, 4)), {"batch": ((), ()), "contract": ((0,), (0,))}),
        (((3,), (3,)), {"batch": ((), ()), "contract": ((0,), (0,))}),
        (((2, 3), (3,)), {"batch": ((), ()), "contract": ((1,), (0,))}),
        (((3,), (2, 3)), {"batch": ((), ()), "contract": ((0,), (1,))}),
        (((2,), (3,)), {"batch": ((), ()), "contract": ((), ())}),
        (((), ()), {"batch": ((), ()), "contract": ((), ())}),
        (((5, 2, 3), (5, 3, 2)), {"batch": ((0,), (0,)), "contract": ((2,), (1,))}),
        (((2, 5, 3), (3, 2, 5)), {"batch": ((1,), (2,)), "contract": ((0, 2), (1, 0))}),
        (((2, 3, 2, 2), (2, 4, 3, 2)), {"batch": ((2, 0), (3, 0)), "contract": ((1,), (2,))}),
        (((2, 3), (2, 3)), {"batch": ((1, 0), (1, 0)), "contract": ((), ())}),
        (((2, 0), (0, 3)), {"batch": ((), ()), "contract": ((1,), (0,))}),
    ],
    "constant": [
        ((), {"value": _frozen(np.array([[0.5, 1.0], [2.0, 3.0]]))}), ((), {"value": _frozen(np.array(True))}),
    ],
    "extent": [((), {"size": n}) for n in (0, 1, 7)],
    "iota": [((), {"shape": (2, 3), "axis": a, "dtype": d}) for a in (0, 1) for d in NAMES],
    "cast": [(((2, 3),), {"dtype": d}) for d in NAMES] + [(((),), {"dtype": "f32"}), (((0,),), {"dtype": "i8"})],
}  # fmt: skip

VALUES = [
    Case("max", ((4,),), {"axes": (0,)}, values=[1.0, 3.0, 3.0, 2.0]),
    Case("min", ((2, 3),), {"axes": (1,)}, values=[[1.0, 2.0, 1.0], [4.0, 3.0, 3.0]]),
    Case("prod", ((2, 4),), {"axes": (1,)}, values=[[1.5, 0.0, 2.0, -1.0], [0.0, 2.0, 0.0, 3.0]]),
    Case("prod", ((2, 2, 2),), {"axes": (0, 2)}, values=[[[0.0, 2.0], [3.0, 0.5]], [[-1.0, 4.0], [0.0, 0.0]]]),
    Case("maximum", ((3,), ()), values=[0.0, 1.0, -1.0], domain=(0.0, 0.0)),
    Case("minimum", ((3,), (1,)), values=[0.0, 1.0, -1.0], domain=(0.0, 0.0)),
    Case("fmax", ((3,), ()), values=[0.0, 1.0, -1.0], domain=(0.0, 0.0)),
    Case("fmin", ((3,), ()), values=[0.0, 1.0, -1.0], domain=(0.0, 0.0)),
    Case("abs", ((3,),), values=[0.0, 1.0, -1.0]),
    Case("cholesky", ((3, 3),), {"upper": False}, values=[[4.0, 1.0, 7.0], [0.5, 3.0, 7.0], [-1.0, 0.25, 5.0]]),
    Case("cholesky", ((3, 3),), {"upper": True}, values=[[4.0, 0.5, -1.0], [7.0, 3.0, 0.25], [7.0, 7.0, 5.0]]),
    Case("cholesky", ((2, 2, 2),), {"upper": False}, values=[[[4.0, 0.0], [0.5, 3.0]], [[2.0, 0.0], [1.0, 3.0]]]),
    Case("power", ((3,), ()), values=[0.5, 1.0, 2.0], domain=(3.0, 3.0)),
    Case("power", ((3,), ()), values=[0.5, 1.0, 2.0], domain=(0.0, 0.0)),
]


def _cases() -> Iterator[Case]:
    for kind in REGISTRY.values():
        if kind.name in LISTED:
            yield from (Case(kind.name, shapes, attrs) for shapes, attrs in LISTED[kind.name])
        elif kind.family == "elementwise":
            shapes = {1: UNARY, 2: BINARY, 3: TERNARY}[kind.arity]
            yield from (Case(kind.name, s) for s in shapes)
            yield from (Case(kind.name, shapes[1], domain=d) for d in MORE_DOMAINS.get(kind.name, ()))
        elif kind.family == "reduce" and "axes" in kind.attr_names:
            empty = EMPTY if kind.name in ("sum", "prod", "any", "all") else []
            yield from (Case(kind.name, (s,), {"axes": axes}) for s, axes in REDUCE + empty)
        elif kind.family == "reduce":
            shapes: list[tuple[Shape, int]] = [((3,), 0), ((2, 3), 0), ((2, 3, 4), 1), ((0, 2), 1)]
            yield from (Case(kind.name, (s,), {"axis": a}) for s, a in shapes)


CASES = [*_cases(), *VALUES]


def dtypes_of(case: Case) -> list[str]:
    """The dtypes in which the case's data may be."""
    if case.op in ("constant", "iota", "extent"):
        return ["f32"]
    return [d for d in NAMES if d[0] in case.kind.dtypes]
