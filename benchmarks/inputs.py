"""What the works compute on: each function takes a random generator and gives named arrays, equal for every peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Inputs = dict[str, Any]
Make = Callable[[np.random.Generator], Inputs]
Shape = tuple[int, ...]


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def dense(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer's weights, which keep a signal's size, and its biases."""
    return normal(rng, m, n) * np.float32(np.sqrt(2 / m)), np.zeros(n, np.float32)


def labelled(rng: np.random.Generator, x: np.ndarray, classes: int) -> Inputs:
    labels = rng.integers(0, classes, len(x))
    return {"x": x, "y": np.eye(classes, dtype=np.float32)[labels], "labels": labels}


def perceptron(*sizes: int, batch: int) -> Make:
    """Parameters [(W, b), ...], a batch of images, its one-hot rows and its labels."""

    def inputs(rng: np.random.Generator) -> Inputs:
        params = [dense(rng, m, n) for m, n in zip(sizes[:-1], sizes[1:], strict=True)]
        return {"params": params, **labelled(rng, normal(rng, batch, sizes[0]), sizes[-1])}

    return inputs


def convnet(rng: np.random.Generator) -> Inputs:
    """Two 3x3 kernels [(w, b), ...] with channels last, then two dense layers; 28 x 28 images with one channel."""
    kernels = [
        (normal(rng, 3, 3, m, n) * np.float32(np.sqrt(2 / 9 / m)), np.zeros(n, np.float32))
        for m, n in ((1, 16), (16, 32))
    ]
    params = [*kernels, dense(rng, 12 * 12 * 32, 128), dense(rng, 128, 10)]
    return {"params": params, **labelled(rng, normal(rng, 64, 28, 28, 1), 10)}


def transformer(layers: int, batch: int, tokens: int, width: int = 256) -> Make:
    """Each layer's 12 arrays: scale and shift of a norm, Wq, Wk, Wv, Wo, scale and shift, W1, b1, W2, b2."""

    def inputs(rng: np.random.Generator) -> Inputs:
        def norm() -> tuple[np.ndarray, np.ndarray]:
            return np.ones(width, np.float32), np.zeros(width, np.float32)

        def layer() -> tuple[np.ndarray, ...]:
            attention = [normal(rng, width, width) * np.float32(width**-0.5) for _ in range(4)]
            return (*norm(), *attention, *norm(), *dense(rng, width, 4 * width), *dense(rng, 4 * width, width))

        x, y = normal(rng, batch, tokens, width), normal(rng, batch, tokens, width)
        return {"params": [layer() for _ in range(layers)], "x": x, "y": y}

    return inputs


def lstm(steps: int, batch: int, width: int) -> Make:
    """[(W, U, b), (V, c)]: of the inputs, of the state, each for the gates i, f, g, o side by side; of the answer."""

    def inputs(rng: np.random.Generator) -> Inputs:
        scale = np.float32(width**-0.5)
        W, U = (normal(rng, width, 4 * width) * scale for _ in range(2))
        params = [(W, U, np.zeros(4 * width, np.float32)), dense(rng, width, 10)]
        labels = labelled(rng, np.empty(batch), 10)
        return {"params": params, **labels, "x": normal(rng, steps, batch, width)}

    return inputs


def arrays(dtype: type = np.float32, **shapes: Shape) -> Make:
    """Normally distributed arrays by name."""
    return lambda rng: {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def classes(rng: np.random.Generator) -> Inputs:
    return {"x": normal(rng, 4096, 1024), "labels": rng.integers(0, 1024, 4096)}


def embedding(rng: np.random.Generator) -> Inputs:
    return {"table": normal(rng, 32_768, 256), "at": rng.integers(0, 32_768, 4096), "dy": normal(rng, 4096, 256)}


def update(shapes: Sequence[Shape]) -> Make:
    """Parameters, both of Adam's moments (v is not negative) and gradients, a list of each."""

    def inputs(rng: np.random.Generator) -> Inputs:
        p, m, v, g = ([normal(rng, *shape) for shape in shapes] for _ in range(4))
        return {"p": p, "m": [a * np.float32(0.1) for a in m], "v": [a * a for a in v], "g": g}

    return inputs


def tree(leaves: int) -> Make:
    return lambda rng: {"tree": {f"p{i}": normal(rng, 4 + i) for i in range(leaves)}}


FORTY = [
    *[(8192, 256), (512, 256)],
    *3 * [(256,), (256,), *4 * [(256, 256)], (256,), (256,), (256, 1024), (1024,), (1024, 256), (256,)],
    *[(256,), (256,)],
]  # the parameters of a small language model: embeddings, three layers, a norm
FORTY_SIZE = sum(int(np.prod(shape)) for shape in FORTY)
