"""Random programs of the kind that fuses: a few axes, arithmetic along them, reductions and what reads those.

    graph = row_program(seed, extents=(3, 40), dtype="f32")

`tests/strategies.py` draws from the whole op table and seldom makes two ops meet in one loop; here every value
lives on the same few axes, so that a program is mostly one or two kernels: row, column and full reductions with
prologues and epilogues, several outputs, movement between loops. Values stay near 1, so that nothing overflows.
"""

import math
import random
from collections.abc import Sequence

from weft.ir import REGISTRY, Builder, Expr, Graph, TensorType
from weft.ir.types import broadcast_dims

CHEAP = ("add", "sub", "mul", "maximum", "minimum")
DEAR = ("tanh", "sin", "arctan", "expm1", "exp", "erf_like")
JUMPY = ("argmax", "argmin")
MAX_SIZE = 400_000  # elements along all axes


def row_program(
    source: int | random.Random,
    *,
    extents: Sequence[int] = (2, 3, 4),
    dtype: str = "f64",
    max_ops: int = 14,
    moves: bool = True,
    products: bool = False,
    jumpy: bool = True,
) -> Graph:
    """A random graph. `extents` are drawn from for its one to three axes; `moves` allows slices, pads, reversals,
    concatenations and gathers; `products` allows dots; `jumpy` allows argmax, argmin and comparisons."""
    rnd = random.Random(source) if isinstance(source, int) else source
    axes: list[int] = []
    for _ in range(rnd.randint(1, 3)):
        d = rnd.choice(extents)
        axes.append(d if d * math.prod(axes) <= MAX_SIZE else min(extents))
    return _Rows(rnd, tuple(axes), dtype).run(max_ops, moves, products, jumpy)


class _Rows:
    def __init__(self, rnd: random.Random, extents: tuple[int, ...], dtype: str) -> None:
        self.rnd, self.extents, self.dtype = rnd, extents, dtype
        self.build = Builder("main")
        self.pool: list[Expr] = []

    def run(self, max_ops: int, moves: bool, products: bool, jumpy: bool) -> Graph:
        for i in range(self.rnd.randint(1, 3)):
            self.input(i)
        kinds = [self.arithmetic] * 4 + [self.reduction] * 3 + [self.dear] * 2 + [self.rename]
        kinds += [self.movement] * moves + [self.product] * products + [self.jump] * jumpy
        for _ in range(self.rnd.randint(2, max_ops)):
            self.rnd.choice(kinds)()
        count = self.rnd.randint(1, 4)
        recent = self.pool[-6:]
        return self.build.finish([self.rnd.choice(recent) for _ in range(count)])

    def input(self, i: int) -> None:
        dims = tuple(1 if self.rnd.random() < 0.25 and i else d for d in self.extents)
        cut = self.rnd.randint(0, len(dims)) if i and self.rnd.random() < 0.3 else 0
        self.pool.append(self.build.input(TensorType(self.dtype, dims[cut:]), f"x{i}"))

    def pick(self) -> Expr:
        return self.rnd.choice(self.pool[-5:] if self.rnd.random() < 0.6 else self.pool)

    def keep(self, x: Expr) -> None:
        self.build.hint(x.value, self.rnd.choice(("", "", "a", "h", "s")))
        self.pool.append(x)

    def partner(self, x: Expr) -> Expr:
        for _ in range(6):
            y = self.pick()
            if fits_shape(x.shape, y.shape) and math.prod(broadcast_dims(x.shape, y.shape)) <= MAX_SIZE:
                return y
        return x.const(self.rnd.choice((0.5, 1.0, 2.0, -1.0)))

    def arithmetic(self) -> None:
        x = self.pick()
        y = self.partner(x)
        name = self.rnd.choice(CHEAP)
        out = REGISTRY[name](x, y) if self.rnd.random() < 0.5 else REGISTRY[name](y, x)
        self.keep(REGISTRY["tanh"](out) if name == "mul" and self.rnd.random() < 0.5 else out)

    def dear(self) -> None:
        x = self.pick()
        name = self.rnd.choice(DEAR)
        if name == "exp":
            self.keep(REGISTRY["exp"](REGISTRY["minimum"](x, 2.0)))
        elif name == "expm1":
            self.keep(REGISTRY["expm1"](REGISTRY["tanh"](x)))
        elif name == "erf_like":
            self.keep(x / (REGISTRY["abs"](x) + 1.0))
        else:
            self.keep(REGISTRY[name](x))

    def reduction(self) -> None:
        x = self.pick()
        axes = tuple(i for i in range(len(x.shape)) if self.rnd.random() < 0.5)
        name = self.rnd.choice(("sum", "sum", "sum", "max", "min", "prod"))
        count = 1
        for a in axes:
            count *= x.shape[a]
        if name in ("max", "min") and not count:
            name = "sum"
        if name == "prod":
            x = REGISTRY["tanh"](x) * (0.5 / math.sqrt(max(count, 1))) + 1.0
        y = REGISTRY[name](x, axes=axes)
        if name == "sum" and self.rnd.random() < 0.8:
            y = y * (1 / max(count, 1))
        if self.rnd.random() < 0.8:
            y = REGISTRY["reshape"](y, shape=tuple(1 if i in axes else d for i, d in enumerate(x.shape)))
        self.keep(y)

    def rename(self) -> None:
        x = self.pick()
        perm = list(range(len(x.shape)))
        self.rnd.shuffle(perm)
        choice = self.rnd.random()
        if choice < 0.4:
            x = REGISTRY["transpose"](x, perm=tuple(perm))
        elif choice < 0.7 and fits_shape(x.shape, self.extents) and len(x.shape) <= len(self.extents):
            x = REGISTRY["broadcast"](x, shape=broadcast_dims(x.shape, self.extents))
        else:
            x = REGISTRY["reshape"](x, shape=tuple(d for d in x.shape if d != 1))
        self.keep(x)

    def movement(self) -> None:
        x = self.pick()
        if not x.shape or 0 in x.shape:
            return
        axis = self.rnd.randrange(len(x.shape))
        n = x.shape[axis]
        kind = self.rnd.choice(("shift", "reverse", "halves", "gather", "stride", "windows"))
        at = lambda lo, hi, st=1: REGISTRY["slice"](  # noqa: E731
            x, start=tuple(lo if i == axis else 0 for i in range(len(x.shape))),
            stop=tuple(hi if i == axis else d for i, d in enumerate(x.shape)),
            step=tuple(st if i == axis else 1 for i in range(len(x.shape))))  # fmt: skip
        ends = lambda k: tuple(k if i == axis else 0 for i in range(len(x.shape)))  # noqa: E731
        if kind == "reverse":
            self.keep(REGISTRY["reverse"](x, axes=(axis,)))
        elif kind == "shift":
            self.keep(REGISTRY["pad"](at(1, n), x.const(0.5), low=ends(0), high=ends(1)))
        elif kind == "halves":
            self.keep(REGISTRY["concatenate"](at(n // 2, n), at(0, n // 2), axis=axis))
        elif kind == "windows" and n > 2:
            wide = REGISTRY["pad"](x, x.const(0.25), low=ends(1), high=ends(1))
            seen = REGISTRY["windows"](wide, axes=(axis,), sizes=(3,))
            self.keep(REGISTRY[self.rnd.choice(("sum", "max"))](seen, axes=(len(x.shape),)))
        elif kind == "stride":
            half = at(0, n, 2)
            self.keep(REGISTRY["concatenate"](half, at(1, n, 2), axis=axis))
        else:
            line = self.build.emit(REGISTRY["iota"], (), {"shape": (n,), "axis": 0, "dtype": "i64"})[0]
            index = REGISTRY["mod"](line * 3 + 1, n)
            got = REGISTRY["gather"](x, index, axes=(axis,))
            order = (*range(1, axis + 1), 0, *range(axis + 1, len(x.shape)))
            self.keep(REGISTRY["transpose"](got, perm=order))

    def product(self) -> None:
        x, y = self.pick(), self.pick()
        if not x.shape or not y.shape:
            return
        pairs = [(i, j) for i, d in enumerate(x.shape) for j, e in enumerate(y.shape) if d == e]
        if not pairs or len(x.shape) + len(y.shape) > 5:
            return
        i, j = self.rnd.choice(pairs)
        if math.prod(x.shape) * math.prod(y.shape) > MAX_SIZE * max(x.shape[i], 1):
            return
        out = REGISTRY["dot"](x, y, batch=((), ()), contract=((i,), (j,)))
        self.keep(REGISTRY["tanh"](out * (1 / max(x.shape[i], 1))))

    def jump(self) -> None:
        x = self.pick()
        y = self.partner(x)
        if self.rnd.random() < 0.5 and x.shape and 0 not in x.shape:
            axis = self.rnd.randrange(len(x.shape))
            at = REGISTRY[self.rnd.choice(JUMPY)](x, axis=axis)
            share = REGISTRY["cast"](at, dtype=self.dtype) * (1 / x.shape[axis])
            self.keep(REGISTRY["reshape"](share, shape=tuple(1 if i == axis else d for i, d in enumerate(x.shape))))
        else:
            self.keep(REGISTRY["where"](REGISTRY["less"](x, y), x, y + 0.25))


def fits_shape(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(p == q or p == 1 or q == 1 for p, q in zip(reversed(a), reversed(b), strict=False))
