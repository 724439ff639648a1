"""The works: what is measured, on which arrays. How each peer does them is in `in_numpy`, `in_weft`, ...

All arrays are float32. Every peer gets equal inputs, as NumPy arrays, and returns equal results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = dict[str, Any]

LAYER_NORM_EPS = 1e-5
SGD_RATE = 1e-3
MOMENTUM_RATE, MOMENTUM = 1e-3, 0.9
ADAM_RATE, BETA1, BETA2, ADAM_EPS = 1e-3, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Work:
    """One thing to measure. `gradient` means: given the result's cotangent, the cotangents of all inputs."""

    name: str
    about: str
    inputs: Callable[[np.random.Generator], Inputs]


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _training(*sizes: int, batch: int) -> Callable[[np.random.Generator], Inputs]:
    """A perceptron's parameters [(W, b), ...], a batch of images, its one-hot rows and its labels."""

    def inputs(rng: np.random.Generator) -> Inputs:
        layers = zip(sizes[:-1], sizes[1:], strict=True)
        params = [
            (_normal(rng, m, n) * np.float32(np.sqrt(2 / m)), np.zeros(n, np.float32)) for m, n in layers
        ]
        labels = rng.integers(0, sizes[-1], batch)
        return {
            "params": params,
            "x": _normal(rng, batch, sizes[0]),
            "y": np.eye(sizes[-1], dtype=np.float32)[labels],
            "labels": labels,
        }

    return inputs


def _images(batch: int) -> Callable[[np.random.Generator], Inputs]:
    """Of a network of two convolutions and two dense layers: as `_training`, of images of 28 x 28."""

    def inputs(rng: np.random.Generator) -> Inputs:
        params = []
        for shape in ((3, 3, 1, 16), (3, 3, 16, 32), (12 * 12 * 32, 64), (64, 10)):
            scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
            params.append((_normal(rng, *shape) * scale, np.zeros(shape[-1], np.float32)))
        labels = rng.integers(0, 10, batch)
        x, y = _normal(rng, batch, 28, 28, 1), np.eye(10, dtype=np.float32)[labels]
        return {"params": params, "x": x, "y": y, "labels": labels}

    return inputs


def _elementwise(count: int) -> Callable[[np.random.Generator], Inputs]:
    return lambda rng: {"x": _normal(rng, count), "dy": _normal(rng, count)}


def _rows(rng: np.random.Generator) -> Inputs:
    x, dy = _normal(rng, 4096, 1024), _normal(rng, 4096, 1024)
    return {"x": x, "dy": dy, "gamma": _normal(rng, 1024), "beta": _normal(rng, 1024)}


def _adam(rng: np.random.Generator) -> Inputs:
    p, m, v, g = (_normal(rng, 1 << 22) for _ in range(4))
    return {"p": p, "m": m * np.float32(0.1), "v": v * v, "g": g, "t": 1000.0}


WORKS = (
    Work(
        "digits",
        "64-128-10 perceptron, batch 64, momentum SGD step, donated",
        _training(64, 128, 10, batch=64),
    ),
    Work(
        "mlp",
        "784-512-512-10 perceptron, batch 128, SGD step, donated",
        _training(784, 512, 512, 10, batch=128),
    ),
    Work(
        "convnet",
        "28 x 28 images, 3 x 3 convolutions to 16 and 32 channels, pool, 64-10 dense, batch 64, SGD step, donated",
        _images(64),
    ),
    Work("small", "64-32-10 perceptron, batch 32, SGD step, donated", _training(64, 32, 10, batch=32)),
    Work("gelu", "gelu (tanh form), 4M", _elementwise(1 << 22)),
    Work("gelu-grad", "its gradient", _elementwise(1 << 22)),
    Work("layernorm", "layer norm, 4096 x 1024", _rows),
    Work("layernorm-grad", "its gradient, by x, gamma and beta", _rows),
    Work("softmax", "softmax of rows, 4096 x 1024", _rows),
    Work("softmax-grad", "its gradient", _rows),
    Work("adam", "Adam update, 4M, donated", _adam),
    Work("add1", "x + 1, 8 elements", _elementwise(8)),
)
BY_NAME = {work.name: work for work in WORKS}
