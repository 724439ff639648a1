"""The table that is printed: a row is one kind of measurement of one work, beside what weft promises of it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.works import WORKS


@dataclass(frozen=True)
class Row:
    """`target`: at most this share of the best of the peers in `against` (all, if there are none), or at most `limit`
    of the kind's unit; None where nothing is promised. kind: a key of `benchmarks.kinds.KINDS`."""

    name: str
    group: str
    work: str
    kind: str = "time"
    target: float | None = None
    limit: float | None = None
    against: tuple[str, ...] = ()


def _time(group: str, target: float | None, *names: str, against: tuple[str, ...] = ()) -> list[Row]:
    return [Row(name, group, name, target=target, against=against) for name in names]


_DOTS = [work.name for work in WORKS if work.name.startswith("dot")]
_REDUCTIONS = [work.name for work in WORKS if work.name.startswith(("sum-", "mean-", "var-"))]
JAX = ("jax",)

ROWS = (
    *_time("elementwise", 0.7, "gelu", "gelu-grad"),
    *_time("rows", 0.9, "layernorm", "softmax", "crossentropy"),
    *_time("rows", 0.35, "layernorm-grad"),
    *_time("rows", 0.6, "softmax-grad", "crossentropy-grad"),
    *_time("reductions", 1.0, *_REDUCTIONS),
    *_time("broadcasts", 0.8, "pairwise", "outer"),
    *_time("updates", None, "copy"),
    *_time("updates", 0.95, "adam", "adam-list", "momentum", "momentum-list"),
    *_time("products", 1.0, *_DOTS),
    *_time("training", 0.85, "mlp", "mlp-adam"),
    *_time("training", 0.5, "small"),
    *_time("training", None, "digits"),
    *_time("training", 1.0, "convnet"),
    *_time("training", 0.9, "transformer"),
    *_time("training", 0.6, "lstm"),
    *_time("indexing", 1.0, "gather", "gather-grad", "cumsum", "sort", "argmax"),
    *_time("overhead", 0.6, "add1", "tree", against=JAX),
    Row("mlp-first", "compilation", "mlp", "first call", 0.8, against=JAX),
    Row("transformer-12-first", "compilation", "transformer-12", "first call", 0.8, against=JAX),
    Row("mlp-cold", "compilation", "mlp", "cold process", 0.6, against=JAX),
    Row("mlp-cached", "compilation", "mlp", "cached process", 0.2, against=JAX),
    Row("new-size", "compilation", "sizes", "new size", limit=1e-3),
    *[Row(f"{name}-memory", "memory", name, "memory", 1.0) for name in ("mlp", "convnet", "transformer")],
    Row("installed", "memory", "", "installed size", limit=300e6),
)
BY_NAME = {row.name: row for row in ROWS}
COPY = BY_NAME["copy"]  # whose rate the updates are compared with
