"""Random well-typed graphs over the whole op table, and arguments for them.

    @given(graphs(), st.integers(0, 99))
    def test_pass(graph, seed):
        arguments = random_arguments(graph, seed)
        same(interpret(some_pass(graph), arguments), interpret(graph, arguments))

`graphs(...)` is a hypothesis strategy (it shrinks); `random_graph(seed, ...)` is one graph for a seed. Both take

    ops        names of ops to draw from (default: all that hold no graphs, but for UPDATES and stacks)
    dtypes     IR dtypes to draw from
    max_ops    about how many ops
    calls      whether some ops are `call`s of smaller random graphs
    regions    how deep loops and branches nest: 0 for none
    hints      whether values get names, nasty ones included, and locations
    dims       sizes of axes to draw from (0 comes in by itself)
    max_size   elements that an operand of an op that makes more of them may have

Graphs never divide what NumPy leaves undefined: casts from floats to ints are of small finite numbers,
integer powers have exponents 0 to 3, and indices are in range.
"""

import random
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weft.ir import NAMES, REGISTRY, Builder, Graph, Location, TensorType, Value

UPDATES = frozenset("update dynamic_slice dynamic_update moving_slice moving_update limit agree scatter bound".split())
FAIL = frozenset(k.name for k in REGISTRY.values() if k.harmless is not None) | {"det", "slogdet", "qr"}
ALL_OPS = frozenset(k.name for k in REGISTRY.values() if k.family not in ("control", "stack")) - UPDATES - FAIL
FLOATS = ("f32", "f64")
# Ops that may turn a difference in the last bit into a different result.
JUMPS = frozenset("""
    floor ceil trunc rint sign floordiv mod fmod argmax argmin heaviside cast less less_equal greater
    greater_equal equal not_equal isinf isnan isfinite signbit copysign
    argsort argpartition argranked arg_at_ranks partition searchsorted
""".split())
# Ops that may lose all digits on some arguments (subtraction of near equals, great powers, poles).
STEEP = frozenset("tan power exp exp2 expm1 sinh cosh cbrt prod reciprocal div log log2 log10 log1p".split())
HINTS = ("", "", "", "", "x", "x", "x_1", "t0", "h", "δ", "µ", "lambda", "sum", "f32", "a b", "3d", "k0", "main", "f.x")


@st.composite
def graphs(draw: Any, **options: Any) -> Graph:
    return random_graph(draw(st.randoms(use_true_random=False)), **options)


def random_graph(
    source: int | random.Random,
    *,
    ops: Collection[str] = ALL_OPS,
    dtypes: Sequence[str] = tuple(NAMES),
    max_ops: int = 10,
    calls: bool = False,
    regions: int = 0,
    hints: bool = True,
    dims: Sequence[int] = (1, 2, 3, 4),
    max_size: int = 96,
    name: str = "main",
) -> Graph:
    rnd = random.Random(source) if isinstance(source, int) else source
    maker = _Maker(rnd, sorted(ops), tuple(dtypes), hints, name, tuple(dims), max_size)
    maker.depth = regions
    return maker.run(max_ops, calls)


def random_arguments(graph: Graph, seed: int = 0, *, special: bool = False) -> list[np.ndarray]:
    """One array per input: floats of both signs around 1 (and NaN, inf, -0.0 when `special`), small ints."""
    rng = np.random.default_rng(seed)
    return [random_array(v.type, rng, special=special) for v in graph.inputs]


def random_array(t: TensorType, rng: np.random.Generator, *, special: bool = False) -> np.ndarray:
    if t.dtype == "bool":
        return np.asarray(rng.random(t.dims) < 0.5)
    if t.is_integer:
        low = 0 if t.dtype[0] == "u" else -9
        out = np.asarray(rng.integers(low, 10, t.dims)).astype(t.np_dtype)
        ends = [np.iinfo(t.np_dtype).min, np.iinfo(t.np_dtype).max, 0]
    else:
        out = np.asarray(rng.normal(size=t.dims) * 1.5).astype(t.np_dtype)
        ends = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0]
    if special and out.size:
        pick = np.asarray(rng.choice(np.array(ends, t.np_dtype), t.dims))
        out = np.where(rng.random(t.dims) < 0.3, pick, out).astype(t.np_dtype)
    return np.asarray(out)


class _Maker:
    """Appends random ops to a builder; `rnd` is hypothesis's or Python's random numbers."""

    def __init__(self, rnd: random.Random, ops: list[str], dtypes: tuple[str, ...], hints: bool, name: str,
                 dims: tuple[int, ...], max_size: int) -> None:  # fmt: skip
        self.rnd, self.ops, self.dtypes, self.hints = rnd, ops, dtypes, hints
        self.dims, self.max_size, self.grown = dims, max_size, max(max_size, 9216)
        self.build = Builder(name)
        self.pool: list[Value] = []
        self.lengths: dict[Value, int] = {}  # of parts that move, and how large they may be
        self.depth = 0

    def run(self, max_ops: int, calls: bool) -> Graph:
        for _ in range(self.rnd.randint(1, 3)):
            self.input(self.rnd.choice(self.dtypes), self.shape())
        for _ in range(self.rnd.randint(1, max_ops)):
            if calls and self.chance(6):
                self.call()
            elif self.depth and self.chance(3):
                self.rnd.choice([self.for_loop, self.while_loop, self.cond])()
            else:
                self.op(self.rnd.choice(self.ops))
        outputs = [self.rnd.choice(self.pool[-4:]) for _ in range(self.rnd.randint(1, 3))]
        return self.build.finish(outputs)

    def chance(self, n: int) -> bool:
        return self.rnd.randint(1, n) == 1

    def shape(self, low: int = 0, least: int = 0) -> tuple[int, ...]:
        """A shape of rank `low` to 3 with dims of at least `least`; few are empty."""
        dims = list(self.dims) if least or not self.chance(8) else [0, *self.dims[:3]]
        shape: list[int] = []
        for _ in range(self.rnd.randint(low, 3)):
            d = self.rnd.choice(dims)
            shape.append(d if d * int(np.prod(shape)) <= self.max_size else 1)
        return tuple(shape)

    def hint(self) -> str:
        return self.rnd.choice(HINTS) if self.hints else ""

    def emit(self, op: str, *operands: Value, keep: bool = True, regions: Any = (), **attrs: Any) -> Value:
        place = Location("my net.py", self.rnd.randint(1, 99)) if self.hints and self.chance(3) else None
        kind = REGISTRY[op]
        results = self.build.emit(kind, operands, attrs, regions=regions, names=[self.hint()], location=place)
        if keep:
            self.pool += [r.value for r in results]
        return results[0].value if results else operands[0]

    def literal(self, value: Any, dtype: str) -> Value:
        return self.build.constant(value, dtype).value

    def array(self, dtype: str, dims: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(self.rnd.randint(0, 1 << 16))
        out = np.ascontiguousarray(random_array(TensorType(dtype, dims), rng, special=True)).reshape(dims)
        out.flags.writeable = False
        return out

    def input(self, dtype: str, dims: tuple[int, ...]) -> Value:
        """A new value of that type: an input, or a constant when there are many of those."""
        if len(self.build.inputs) < 5 and not self.chance(5):
            value = self.build.input(TensorType(dtype, dims), self.hint()).value
            self.pool.append(value)
            return value
        if dims and self.chance(2):
            return self.emit("broadcast", self.literal(self.rnd.randint(0, 3), dtype), shape=dims)
        return self.emit("constant", value=self.array(dtype, dims))

    def of(self, kinds: str, *, low: int = 0, least: int = 0) -> Value:
        """A value whose dtype is of these kinds ("iuf"), of rank at least `low`, dims at least `least`."""
        fits = [
            v
            for v in self.pool
            if v.dtype[0] in kinds and len(v.shape) >= low and all(d >= least for d in v.shape)
        ]
        if fits and not self.chance(6):
            return self.rnd.choice(fits)
        allowed = [d for d in self.dtypes if d[0] in kinds] or [d for d in NAMES if d[0] in kinds]
        return self.input(self.rnd.choice(allowed), self.shape(low, least))

    def partner(self, dtype: str, x: Value) -> Value:
        """A value of that dtype whose shape broadcasts with x's."""
        fits = [v for v in self.pool if v.dtype == dtype and self.broadcasts(v.shape, x.shape)]
        if fits and not self.chance(4):
            return self.rnd.choice(fits)
        if self.chance(3):
            return self.literal(self.array(dtype, ())[()], dtype)
        cut = self.rnd.randint(0, len(x.shape))
        dims = tuple(1 if self.chance(3) else d for d in x.shape[cut:])
        if len(dims) < 3 and self.chance(6):
            dims = (2, *(1,) * (len(x.shape) - len(dims)), *dims)
        return self.input(dtype, dims)

    def broadcasts(self, *shapes: tuple[int, ...]) -> bool:
        try:
            return int(np.prod(np.broadcast_shapes(*shapes))) <= self.max_size
        except ValueError:
            return False

    def op(self, name: str) -> None:
        kind = REGISTRY[name]
        special = getattr(self, "op_" + name, None)
        if special is not None:
            special()
        elif kind.family == "elementwise":
            x = self.of(kind.dtypes)
            self.emit(name, x, *(self.partner(x.dtype, x) for _ in range(kind.arity - 1)))
        elif kind.family == "reduce" and "axes" in kind.attr_names:
            x = self.of(kind.dtypes, least=0 if name in ("sum", "prod", "any", "all") else 1)
            self.emit(name, x, axes=self.axes(x))
        elif kind.family == "reduce":
            x = self.of("biuf", low=1, least=1)
            self.emit(name, x, axis=self.rnd.randrange(len(x.shape)))
        else:
            raise AssertionError(f"no rule to draw {name}")

    def axes(self, x: Value) -> tuple[int, ...]:
        return tuple(i for i in range(len(x.shape)) if self.chance(2))

    def op_where(self) -> None:
        x = self.of("biuf")
        y = self.partner(x.dtype, x)
        shape = np.broadcast_shapes(x.shape, y.shape)
        fits = [v for v in self.pool if v.dtype == "bool" and self.broadcasts(v.shape, shape)]
        c = self.rnd.choice(fits) if fits else self.emit("less_equal", x, y)
        self.emit("where", c, x, y) if self.chance(2) else self.emit("where", c, y, x)

    def op_power(self) -> None:
        x = self.of("iuf")
        y = self.partner(x.dtype, x)
        if x.type.is_integer:
            y = self.emit("bitwise_and", y, self.literal(3, x.dtype))
        self.emit("power", x, y)

    def op_cast(self) -> None:
        x, dtype = self.of("biuf"), self.rnd.choice(self.dtypes)
        if x.type.is_float and dtype[0] in "iu":
            size = self.emit("abs", x, keep=False)
            small = self.emit("less", size, self.literal(100, x.dtype), keep=False)
            x = self.emit("where", small, size if dtype[0] == "u" else x, self.literal(0, x.dtype))
        self.emit("cast", x, dtype=dtype)

    def op_constant(self) -> None:
        self.emit("constant", value=self.array(self.rnd.choice(self.dtypes), self.shape()))

    def op_extent(self) -> None:
        self.emit("extent", size=self.rnd.randint(0, 100))

    def op_iota(self) -> None:
        shape = self.shape(low=1)
        self.emit("iota", shape=shape, axis=self.rnd.randrange(len(shape)), dtype=self.rnd.choice(self.dtypes))

    def op_broadcast(self) -> None:
        x = self.of("biuf")
        dims = tuple(self.rnd.randint(1, 3) if d == 1 else d for d in x.shape)
        lead = (2,) if len(dims) < 3 and self.chance(2) else ()
        if x.type.size * int(np.prod(lead + dims)) <= self.grown:
            self.emit("broadcast", x, shape=lead + dims)

    def op_reshape(self) -> None:
        x = self.of("biuf")
        dims = list(x.shape)
        for _ in range(2):
            if len(dims) > 1 and self.chance(2):
                i = self.rnd.randrange(len(dims) - 1)
                dims[i : i + 2] = [dims[i] * dims[i + 1]]
            elif len(dims) < 4:
                dims.insert(self.rnd.randint(0, len(dims)), 1)
        self.emit("reshape", x, shape=tuple(dims))

    def op_transpose(self) -> None:
        x = self.of("biuf")
        perm = list(range(len(x.shape)))
        self.rnd.shuffle(perm)
        self.emit("transpose", x, perm=tuple(perm))

    def op_slice(self) -> None:
        x = self.of("biuf")
        start = tuple(self.rnd.randint(0, d) for d in x.shape)
        stop = tuple(self.rnd.randint(lo, d) for lo, d in zip(start, x.shape, strict=True))
        self.emit("slice", x, start=start, stop=stop, step=tuple(self.rnd.randint(1, 3) for _ in start))

    def op_reverse(self) -> None:
        x = self.of("biuf")
        self.emit("reverse", x, axes=self.axes(x))

    def op_dilate(self) -> None:
        x = self.of("biuf")
        step = tuple(self.rnd.randint(1, 3) for _ in x.shape)
        if x.type.size * int(np.prod(step)) <= self.grown:
            self.emit("dilate", x, step=step)

    def op_windows(self) -> None:
        x = self.of("biuf", low=1, least=1)
        axes = tuple(self.rnd.randrange(len(x.shape)) for _ in range(self.rnd.randint(0, 2)))
        left = list(x.shape)
        sizes = []
        for a in axes:
            sizes.append(self.rnd.randint(1, left[a]))
            left[a] -= sizes[-1] - 1
        if x.type.size * int(np.prod(sizes)) <= self.grown:
            self.emit("windows", x, axes=axes, sizes=tuple(sizes))

    def op_shear(self) -> None:
        x = self.of("biuf", low=2, least=1)
        axis, along = self.rnd.sample(range(len(x.shape)), 2)
        if x.shape[along] <= x.shape[axis]:
            self.emit("shear", x, axes=(axis,), along=(along,))

    def op_pad(self) -> None:
        x = self.of("biuf")
        low, high = (tuple(self.rnd.randint(0, 2) for _ in x.shape) for _ in range(2))
        fills = [v for v in self.pool if v.type == x.type.with_dims(())]
        fill = self.rnd.choice(fills) if fills and self.chance(2) else self.literal(self.rnd.randint(0, 2), x.dtype)
        if x.type.size <= self.max_size:
            self.emit("pad", x, fill, low=low, high=high)

    def op_concatenate(self) -> None:
        x = self.of("biuf", low=1)
        axis = self.rnd.randrange(len(x.shape))

        def fits(v: Value) -> bool:
            same = v.dtype == x.dtype and len(v.shape) == len(x.shape)
            return same and v.shape[:axis] + v.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]

        others = [v for v in self.pool if fits(v)]
        count = self.rnd.randint(0, 2)
        self.emit("concatenate", x, *(self.rnd.choice([x, *others]) for _ in range(count)), axis=axis)

    def indices(self, x: Value) -> tuple[tuple[int, ...], list[Value]]:
        """Axes of x and an index array for each: constants, or values taken modulo the axis."""
        axes = tuple(i for i in range(len(x.shape)) if self.chance(2)) or (0,)
        shape = tuple(self.rnd.randint(0 if self.chance(8) else 1, 3) for _ in range(self.rnd.randint(0, 2)))
        found = []
        for a in axes:
            ints = [v for v in self.pool if v.dtype == "i64" and v.type.size <= 6 and self.broadcasts(v.shape, shape)]
            if ints and self.chance(2):
                raw = self.rnd.choice(ints)
                shape = tuple(np.broadcast_shapes(raw.shape, shape))
            else:
                dims = tuple(1 if self.chance(4) else d for d in shape)
                raw = self.emit("constant", value=self.array("i64", dims), keep=False)
            found.append(self.emit("mod", raw, self.literal(x.shape[a], "i64"), keep=False))
        return axes, found

    def op_gather(self) -> None:
        x = self.of("biuf", low=1, least=1)
        axes, indices = self.indices(x)
        if x.type.size <= self.max_size:
            self.emit("gather", x, *indices, axes=axes)

    def op_scatter_add(self) -> None:
        x = self.of("iuf", low=1, least=1)
        axes, indices = self.indices(x)
        (t,) = REGISTRY["gather"].infer((x.type, *(i.type for i in indices)), {"axes": axes})
        if t.size <= self.grown:
            same = [v for v in self.pool if v.type == t]
            updates = self.rnd.choice(same) if same else self.input(x.dtype, t.dims)
            self.emit("scatter_add", x, *indices, updates, axes=axes)

    def op_scatter(self) -> None:
        x = self.of("biuf", low=1, least=1)
        axes, indices = self.indices(x)
        (t,) = REGISTRY["gather"].infer((x.type, *(i.type for i in indices)), {"axes": axes})
        if t.size <= self.grown:
            self.emit("scatter", x, *indices, self.of_type(t), axes=axes)

    def of_type(self, t: TensorType) -> Value:
        same = [v for v in self.pool if v.type == t]
        return self.rnd.choice(same) if same else self.input(t.dtype, t.dims)

    def op_update(self) -> None:
        x = self.of("biuf")
        start = tuple(self.rnd.randint(0, d) for d in x.shape)
        stop = tuple(self.rnd.randint(lo, d) for lo, d in zip(start, x.shape, strict=True))
        at = {"start": start, "stop": stop, "step": tuple(self.rnd.randint(1, 3) for _ in start)}
        (part,) = REGISTRY["slice"].infer((x.type,), at)
        self.emit("update", x, self.of_type(part), **at)

    def window(self, x: Value) -> tuple[tuple[int, ...], list[Value]]:
        """Sizes of a window in x and its starts: constants, or values taken modulo what is left of the axis."""
        sizes = tuple(self.rnd.randint(0 if self.chance(8) else 1, d) if d else 0 for d in x.shape)
        starts = []
        for n, d in zip(sizes, x.shape, strict=True):
            starts.append(self.place(d - n + 1))
        return sizes, starts

    def place(self, count: int, keep: bool = False) -> Value:
        """A 0-d integer in [0, count): a constant, or a value taken modulo that."""
        ints = [v for v in self.pool if v.type == TensorType("i64")]
        raw = self.rnd.choice(ints) if ints and self.chance(2) else self.literal(self.rnd.randint(-9, 9), "i64")
        return self.emit("mod", raw, self.literal(count, "i64"), keep=keep)

    def op_dynamic_slice(self) -> None:
        x = self.of("biuf")
        sizes, starts = self.window(x)
        self.emit("dynamic_slice", x, *starts, sizes=sizes)

    def op_dynamic_update(self) -> None:
        x = self.of("biuf")
        sizes, starts = self.window(x)
        self.emit("dynamic_update", x, self.of_type(x.type.with_dims(sizes)), *starts)

    def moving(self, x: Value) -> tuple[tuple[int, ...], list[Value]]:
        """Sizes of a part of x, its starts and its lengths, some of them those of a part before."""
        sizes, starts = self.window(x)
        lengths = []
        for n in sizes:
            known = [v for v in self.pool if self.lengths.get(v, n + 1) <= n]
            length = self.rnd.choice(known) if known and self.chance(2) else self.place(n + 1, keep=True)
            self.lengths[length] = n
            lengths.append(length)
        return sizes, [*starts, *lengths]

    def op_moving_slice(self) -> None:
        x = self.of("biuf")
        sizes, places = self.moving(x)
        self.emit("moving_slice", x, *places, sizes=sizes)

    def op_moving_update(self) -> None:
        x = self.of("biuf")
        sizes, places = self.moving(x)
        self.emit("moving_update", x, self.of_type(x.type.with_dims(sizes)), *places)

    def op_limit(self) -> None:
        x = self.of("biuf", low=1)
        axis = self.rnd.randrange(len(x.shape))
        known = [v for v in self.pool if v in self.lengths]
        length = self.rnd.choice(known) if known and self.chance(2) else self.place(9)
        fill = self.literal(0 if self.chance(2) else 1, x.dtype)
        self.emit("limit", x, fill, length, axis=axis)

    def op_agree(self) -> None:
        ints = [v for v in self.pool if v.type == TensorType("i64")]
        n = self.rnd.choice(ints) if ints else self.place(9)
        self.emit("agree", n, self.emit("maximum", n, n, keep=False), problem="lengths differ")

    def op_recur(self) -> None:
        b = self.of("iuf", low=1)
        self.emit("recur", self.of_type(b.type), b, axis=self.rnd.randrange(len(b.shape)))

    def in_order(self, name: str) -> None:
        x = self.of("biuf", low=1)
        self.emit(name, x, axis=self.rnd.randrange(len(x.shape)), kind=self.rnd.choice(["stable", "quicksort"]))

    def op_sort(self) -> None:
        self.in_order("sort")

    def op_argsort(self) -> None:
        x = self.of("biuf", low=1)
        self.emit("argsort", x, axis=self.rnd.randrange(len(x.shape)), kind="stable")

    def by_ranks(self, name: str, ranks: str) -> None:
        x = self.of("biuf", low=1, least=1)
        axis = self.rnd.randrange(len(x.shape))
        some = sorted({self.rnd.randrange(x.shape[axis]) for _ in range(self.rnd.randint(1, 2))})
        self.emit(name, x, axis=axis, **{ranks: tuple(some)})

    def op_partition(self) -> None:
        self.by_ranks("partition", "kth")

    def op_argpartition(self) -> None:
        self.by_ranks("argpartition", "kth")

    def op_ranked(self) -> None:
        self.by_ranks("ranked", "ranks")

    def op_argranked(self) -> None:
        self.by_ranks("argranked", "ranks")

    def by_places(self, name: str) -> None:
        x = self.of("biuf", low=1, least=1)
        raw = self.of_type(TensorType("i64", (*x.shape[:-1], self.rnd.randint(1, 2))))
        self.emit(name, x, self.emit("mod", raw, self.literal(x.shape[-1], "i64"), keep=False))

    def op_at_ranks(self) -> None:
        self.by_places("at_ranks")

    def op_arg_at_ranks(self) -> None:
        self.by_places("arg_at_ranks")

    def op_searchsorted(self) -> None:
        a = self.of("biuf", low=1)
        a = self.emit("sort", a, axis=len(a.shape) - 1, kind="stable", keep=False)
        lead = a.shape[:-1]
        fits = [v for v in self.pool if v.dtype == a.dtype and v.shape[: len(lead)] == lead]
        self.emit("searchsorted", a, self.rnd.choice(fits), side=self.rnd.choice(["left", "right"]))

    def op_correlate(self) -> None:
        a = self.of("biuf", low=1, least=1)
        v = self.emit("slice", a, start=(0,) * len(a.shape), stop=a.shape, step=(*(1,) * (len(a.shape) - 1), 2))
        self.emit("correlate", a, v, mode=self.rnd.choice(["valid", "same", "full"]))

    def op_bound(self) -> None:
        ints = [v for v in self.pool if v.dtype == "i64"]
        raw = self.rnd.choice(ints) if ints else self.literal(self.rnd.randint(-9, 9), "i64")
        size = self.rnd.randint(1, 9)
        inside = self.emit("mod", raw, self.literal(size, "i64"), keep=False)
        self.emit("bound", inside, size=size, axis=self.rnd.randint(0, 3))

    def op_dot(self) -> None:
        a = self.of("iuf", low=1)
        axes = list(range(len(a.shape)))
        self.rnd.shuffle(axes)
        n_batch = self.rnd.randint(0, len(axes) - 1)
        n_contract = self.rnd.randint(0 if self.chance(6) else 1, len(axes) - n_batch)
        batch, contract = axes[:n_batch], axes[n_batch : n_batch + n_contract]
        parts = [(i, a.shape[i]) for i in (*batch, *contract)]
        parts += [(-1, d) for d in self.shape()[: 3 - len(parts)]]
        self.rnd.shuffle(parts)
        dims = tuple(d for _, d in parts)
        place = {i: j for j, (i, _) in enumerate(parts) if i >= 0}
        fits = [v for v in self.pool if v.type == TensorType(a.dtype, dims)]
        b = self.rnd.choice(fits) if fits and self.chance(2) else self.input(a.dtype, dims)
        pairs = [(tuple(of), tuple(place[i] for i in of)) for of in (batch, contract)]
        if a.type.size * b.type.size <= self.grown:
            self.emit("dot", a, b, batch=pairs[0], contract=pairs[1])

    def call(self) -> None:
        given = [self.rnd.choice(self.pool) for _ in range(self.rnd.randint(1, 3))]
        name = self.rnd.choice(["k0", "k1", "add", "main"])
        inner = _Maker(self.rnd, self.ops, self.dtypes, self.hints, name, self.dims, self.max_size)
        inner.pool = [inner.build.input(v.type, inner.hint()).value for v in given]
        for _ in range(self.rnd.randint(1, 3)):
            before = len(inner.build.inputs)
            inner.op(self.rnd.choice(self.ops))
            given += [self.new_argument(v) for v in inner.build.inputs[before:]]
        outputs = [self.rnd.choice(inner.pool) for _ in range(self.rnd.randint(1, 2))]
        self.emit("call", *given, regions=(inner.build.finish(outputs),))

    def region(self, name: str, given: Sequence[Value]) -> "_Maker":
        """A maker for a region whose inputs are like `given`."""
        inner = _Maker(self.rnd, self.ops, self.dtypes, self.hints, name, self.dims, self.max_size)
        inner.pool = [inner.build.input(v.type, inner.hint()).value for v in given]
        inner.depth = self.depth - 1
        return inner

    def some_ops(self) -> None:
        for _ in range(self.rnd.randint(1, 4)):
            if self.depth and self.chance(5):
                self.rnd.choice([self.for_loop, self.while_loop, self.cond])()
            else:
                self.op(self.rnd.choice(self.ops))

    def next_of(self, v: Value) -> Value:
        """What a carried value becomes: something computed of its type where there is any."""
        made = [w for w in self.pool if w.type == v.type and w not in self.build.inputs]
        return self.rnd.choice(made) if made and not self.chance(6) else self.of_type(v.type)

    def carried(self, count: int) -> list[Value]:
        fits = [v for v in self.pool if v.type.size <= self.max_size]
        return [self.rnd.choice(fits) for _ in range(count)] if fits else []

    def index(self, n: int) -> Value:
        """A 0-d i64 in [0, n)."""
        ints = [v for v in self.pool if v.type == TensorType("i64")]
        if not ints or self.chance(2):
            return self.literal(self.rnd.randrange(n), "i64")
        return self.emit("mod", self.rnd.choice(ints), self.literal(n, "i64"), keep=False)

    def for_loop(self) -> None:
        first, constants = self.carried(self.rnd.randint(1, 3)), self.carried(self.rnd.randint(0, 2))
        step = self.rnd.choice([1, 1, 1, 2, -1, -3])
        ends = [self.index(4), self.index(4)]
        inner = self.region("body", [Value(TensorType("i64")), *first, *constants])
        inner.some_ops()
        outputs = [inner.next_of(v) for v in inner.build.inputs[1 : 1 + len(first)]]
        constants += map(self.new_argument, inner.build.inputs[1 + len(first) + len(constants) :])
        body = (inner.build.finish(outputs),)
        self.emit("for_loop", *ends, *first, *constants, regions=body, carried=len(first), step=step)

    def while_loop(self) -> None:
        first, constants = self.carried(self.rnd.randint(1, 3)), self.carried(self.rnd.randint(0, 2))
        first = [self.index(4), *first]
        inner = self.region("body", [*first, *constants])
        inner.some_ops()
        n, *others = inner.build.inputs[: len(first)]
        more = inner.emit("add", n, inner.literal(1, "i64"), keep=False)
        outputs = [more, *map(inner.next_of, others)]
        constants += map(self.new_argument, inner.build.inputs[len(first) + len(constants) :])
        test = self.region("test", [*first, *constants])
        go = test.emit("less", test.pool[0], test.index(5) if self.chance(2) else test.literal(3, "i64"), keep=False)
        few = test.emit("less", test.pool[0], test.literal(4, "i64"), keep=False)
        go = test.emit("logical_and", go, few, keep=False)
        regions = (test.build.finish([go]), inner.build.finish(outputs))
        self.emit("while_loop", *first, *constants, regions=regions, carried=len(first))

    def cond(self) -> None:
        flags = [v for v in self.pool if v.type == TensorType("bool")]
        p = self.rnd.choice(flags) if flags else self.input("bool", ())
        given = self.carried(self.rnd.randint(1, 3))
        branches = [self.region(name, given) for name in ("then", "orelse")]
        for inner in branches:
            inner.some_ops()
        outputs = [self.rnd.choice(branches[0].pool) for _ in range(self.rnd.randint(1, 3))]
        outputs = [v for v in outputs if v.type.size <= self.max_size]
        others = [branches[1].next_of(v) for v in outputs]
        own = [inner.build.inputs[len(given) :] for inner in branches]
        branches[0].build.inputs += [Value(v.type) for v in own[1]]
        branches[1].build.inputs[len(given) : len(given)] = [Value(v.type) for v in own[0]]
        given += map(self.new_argument, [*own[0], *own[1]])
        regions = (branches[0].build.finish(outputs), branches[1].build.finish(others))
        self.emit("cond", p, *given, regions=regions)

    def new_argument(self, like: Value) -> Value:
        return self.build.input(like.type, self.hint()).value
