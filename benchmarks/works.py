"""The works: what is measured, on which arrays. How each peer does them is in `in_numpy`, `in_weft`, ...

Arrays are float32 unless said. Every peer gets equal inputs, as NumPy arrays, and returns equal results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks import inputs
from benchmarks.inputs import Inputs, Make

__all__ = ["BY_NAME", "WORKS", "Inputs", "Work"]

LAYER_NORM_EPS = 1e-5
SGD_RATE = 1e-2
MOMENTUM_RATE, MOMENTUM = 1e-3, 0.9
ADAM_RATE, BETA1, BETA2, ADAM_EPS = 1e-3, 0.9, 0.999, 1e-8
STEP = 1000.0  # the number of Adam's step
HEADS = 4  # of attention
MILLIONS = 1 << 22


@dataclass(frozen=True)
class Work:
    """One thing to measure. `gradient` means: given the result's cotangent, the cotangents of all inputs.

    inductor: whether torch.compile does it too, which takes it some 10 s to compile. moved: the bytes that it has to
    move, where those are what takes the time; its rate is shown beside that of a copy.
    """

    name: str
    about: str
    inputs: Make
    inductor: bool = False
    moved: int = 0


def _reductions() -> list[Work]:
    make = inputs.arrays(x=(4096, 4096))
    names = {"sum": "sums", "mean": "means", "var": "variances"}
    axes = {"rows": "of rows", "columns": "of columns", "all": "of all"}
    return [
        Work(f"{f}-{axis}", f"{names[f]} {axes[axis]}, 4096 x 4096", make, inductor=axis == "columns")
        for f in names
        for axis in axes
    ]


def _dots() -> list[Work]:
    forms = {
        "dot": ("128 x 784 x 512", (128, 784), (784, 512)),
        "dot-1024": ("1024 x 1024 x 1024", (1024, 1024), (1024, 1024)),
        "dot-batched": ("64 of 128 x 64 x 128", (64, 128, 64), (64, 64, 128)),
        "dot-tn": ("784 x 128 x 512, the first transposed", (128, 784), (128, 512)),
        "dot-nt": ("128 x 512 x 784, the second transposed", (128, 512), (784, 512)),
    }
    return [
        Work(f"{name}-{suffix}", f"product {about}, {dtype.__name__}", inputs.arrays(dtype, a=a, b=b))
        for suffix, dtype in (("f32", np.float32), ("f64", np.float64))
        for name, (about, a, b) in forms.items()
    ]


_elementwise = inputs.arrays(x=(MILLIONS,), dy=(MILLIONS,))
_rows = inputs.arrays(x=(4096, 1024), dy=(4096, 1024), gamma=(1024,), beta=(1024,))

WORKS = (
    Work("gelu", "gelu (tanh form), 4M", _elementwise, inductor=True),
    Work("gelu-grad", "its gradient", _elementwise, inductor=True),
    Work("layernorm", "layer norm, 4096 x 1024", _rows, inductor=True),
    Work("layernorm-grad", "its gradient, by x, gamma and beta", _rows, inductor=True),
    Work("softmax", "softmax of rows, 4096 x 1024", _rows, inductor=True),
    Work("softmax-grad", "its gradient", _rows, inductor=True),
    Work("crossentropy", "log-softmax cross entropy, 4096 x 1024", inputs.classes, inductor=True),
    Work("crossentropy-grad", "its gradient", inputs.classes, inductor=True),
    *_reductions(),
    Work("pairwise", "squared distances, 1024 and 1024 points in 16", inputs.arrays(x=(1024, 16), y=(1024, 16)), True),
    Work("outer", "1 / (1 + (x + y)^2) of all pairs, 4096 and 2048", inputs.arrays(x=(4096,), y=(2048,)), True),
    Work("copy", "a copy of 32 MB", inputs.arrays(x=(8 << 20,)), moved=2 * (8 << 22)),
    Work("adam", "Adam update, 4M, donated", inputs.update([(MILLIONS,)]), True, 7 * 4 * MILLIONS),
    Work("adam-list", "Adam update, 40 arrays", inputs.update(inputs.FORTY), True, 7 * 4 * inputs.FORTY_SIZE),
    Work("momentum", "momentum update, 4M, donated", inputs.update([(MILLIONS,)]), True, 5 * 4 * MILLIONS),
    Work("momentum-list", "momentum update, 40 arrays", inputs.update(inputs.FORTY), True, 5 * 4 * inputs.FORTY_SIZE),
    *_dots(),
    Work(
        "mlp", "784-512-512-10 perceptron, batch 128, SGD step", inputs.perceptron(784, 512, 512, 10, batch=128), True
    ),
    Work("mlp-adam", "the same, Adam step", inputs.perceptron(784, 512, 512, 10, batch=128), True),
    Work("small", "64-32-10 perceptron, batch 32, SGD step", inputs.perceptron(64, 32, 10, batch=32), True),
    Work("digits", "64-128-10 perceptron, batch 64, momentum step", inputs.perceptron(64, 128, 10, batch=64), True),
    Work("convnet", "convnet on 28 x 28, batch 64, SGD step", inputs.convnet, True),
    Work("transformer", "transformer block, 8 x 128 x 256, SGD step", inputs.transformer(1, 8, 128), True),
    Work("transformer-12", "12 such blocks, 2 x 64 x 256, SGD step", inputs.transformer(12, 2, 64)),
    Work("lstm", "LSTM, 64 steps, 32 x 128, SGD step", inputs.lstm(64, 32, 128)),
    Work("gather", "4096 rows of 32k x 256", inputs.embedding),
    Work("gather-grad", "its gradient by the table", inputs.embedding),
    Work("cumsum", "cumulative sum, 4M", inputs.arrays(x=(MILLIONS,))),
    Work("sort", "sort, 1M", inputs.arrays(x=(1 << 20,))),
    Work("argmax", "argmax of rows, 4096 x 1024", _rows),
    Work("add1", "x + 1, 8 elements", inputs.arrays(x=(8,)), True),
    Work("tree", "0.9 p of each of 12 tiny arrays", inputs.tree(12), True),
    Work("sizes", "64-32-10 perceptron, SGD steps of many batch sizes", inputs.perceptron(64, 32, 10, batch=64)),
)
BY_NAME = {work.name: work for work in WORKS}
