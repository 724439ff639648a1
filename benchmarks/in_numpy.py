"""The works in NumPy: the functions that weft compiles too, and gradients derived by hand.

Each entry of WORKS takes the inputs and gives a function without arguments that does the work once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.works import (
    ADAM_EPS,
    ADAM_RATE,
    BETA1,
    BETA2,
    LAYER_NORM_EPS,
    MOMENTUM,
    MOMENTUM_RATE,
    SGD_RATE,
    STEP,
    Inputs,
)

GELU = float(np.sqrt(2 / np.pi))


def warm() -> None:
    """NumPy has nothing to set up."""


def finish(result: Any) -> Any:
    return result


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(GELU * (x + 0.044715 * x * x * x)))


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    c = x - np.mean(x, axis=1, keepdims=True)
    variance = np.mean(c * c, axis=1, keepdims=True)
    return c / np.sqrt(variance + LAYER_NORM_EPS) * gamma + beta


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def cross_entropy(x: Any, labels: Any) -> Any:
    z = x - np.max(x, axis=1, keepdims=True)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(labels)), labels])


def pairwise(x: Any, y: Any) -> Any:
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1)


def outer(x: Any, y: Any) -> Any:
    return 1 / (1 + (x[:, None] + y[None, :]) ** 2)


def take(table: Any, at: Any) -> Any:
    return table[at]


def loss(params: Any, x: Any, y: Any) -> Any:
    for W, b in params[:-1]:
        x = np.maximum(x @ W + b, 0)
    W, b = params[-1]
    z = x @ W + b
    z = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(y * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))), axis=1))


def adam(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * (g * g)
    p = p - ADAM_RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + ADAM_EPS)
    return p, m, v


def momentum(p: Any, m: Any, g: Any) -> Any:
    m = MOMENTUM * m + g
    return p - MOMENTUM_RATE * m, m


def gelu_grad(x: Any, dy: Any) -> Any:
    t = np.tanh(GELU * (x + 0.044715 * x * x * x))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (GELU * (1 + 3 * 0.044715 * x * x)))


def layer_norm_grad(x: Any, gamma: Any, beta: Any, dy: Any) -> Any:
    c = x - x.mean(axis=1, keepdims=True)
    r = 1 / np.sqrt(np.mean(c * c, axis=1, keepdims=True) + np.float32(LAYER_NORM_EPS))
    n = c * r
    dn = dy * gamma
    dx = r * (dn - dn.mean(axis=1, keepdims=True) - n * np.mean(dn * n, axis=1, keepdims=True))
    return dx, np.sum(dy * n, axis=0), dy.sum(axis=0)


def softmax_grad(x: Any, dy: Any) -> Any:
    p = softmax(x)
    p_dy = p * dy
    return p_dy - p * p_dy.sum(axis=1, keepdims=True)


def cross_entropy_grad(x: Any, labels: Any) -> Any:
    p = softmax(x)
    p[np.arange(len(labels)), labels] -= 1
    p /= len(labels)
    return p


def take_grad(table: Any, at: Any, dy: Any) -> Any:
    out = np.zeros_like(table)
    np.add.at(out, at, dy)
    return out


def loss_and_grads(params: Any, x: Any, y: Any) -> Any:
    """The loss and its gradients, backwards by hand."""
    inputs = [x]
    for W, b in params[:-1]:
        inputs.append(np.maximum(inputs[-1] @ W + b, 0))
    W, b = params[-1]
    z = inputs[-1] @ W + b
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = -np.mean(np.sum(y * (z - np.log(total)), axis=1))
    d = (e / total - y) / np.float32(len(x))
    grads = []
    for (W, _), h in zip(reversed(params), reversed(inputs), strict=True):
        grads.append((h.T @ d, d.sum(axis=0)))
        if h is not x:
            d = (d @ W.T) * (h > 0)
    return value, grads[::-1]


def sgd(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]

    def call() -> Any:
        value, grads = loss_and_grads(params, x, y)
        for p, g in zip(_flat(params), _flat(grads), strict=True):
            p -= SGD_RATE * g
        return params, value

    return call


def momentum_step(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    state = [np.zeros_like(p) for p in _flat(params)]

    def call() -> Any:
        value, grads = loss_and_grads(params, x, y)
        for p, m, g in zip(_flat(params), state, _flat(grads), strict=True):
            momentum_in_place(p, m, g)
        return params, value

    return call


def adam_step(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    first, second, spare = ([np.zeros_like(p) for p in _flat(params)] for _ in range(3))

    def call() -> Any:
        value, grads = loss_and_grads(params, x, y)
        for p, m, v, g, a in zip(_flat(params), first, second, _flat(grads), spare, strict=True):
            adam_in_place(p, m, v, g, a)
        return params, value

    return call


def _flat(layers: Any) -> list[Any]:
    return [p for layer in layers for p in layer]


def momentum_in_place(p: Any, m: Any, g: Any) -> None:
    np.multiply(m, MOMENTUM, out=m)
    np.add(m, g, out=m)
    np.subtract(p, MOMENTUM_RATE * m, out=p)


def adam_in_place(p: Any, m: Any, v: Any, g: Any, a: Any, t: float = STEP) -> None:
    """`a` is an array like the others to work in."""
    np.multiply(m, BETA1, out=m)
    np.multiply(g, 1 - BETA1, out=a)
    np.add(m, a, out=m)
    np.multiply(v, BETA2, out=v)
    np.multiply(g, g, out=a)
    np.multiply(a, 1 - BETA2, out=a)
    np.add(v, a, out=v)
    np.multiply(v, 1 / (1 - BETA2**t), out=a)
    np.sqrt(a, out=a)
    np.add(a, ADAM_EPS, out=a)
    np.divide(m, a, out=a)
    np.multiply(a, ADAM_RATE / (1 - BETA1**t), out=a)
    np.subtract(p, a, out=p)


def adam_update(inputs: Inputs) -> Any:
    p, m, v, g = (inputs[name] for name in "pmvg")
    spare = [np.empty_like(array) for array in p]

    def call() -> Any:
        for arrays in zip(p, m, v, g, spare, strict=True):
            adam_in_place(*arrays)
        return p, m, v

    return call


def momentum_update(inputs: Inputs) -> Any:
    p, m, g = (inputs[name] for name in "pmg")

    def call() -> Any:
        for arrays in zip(p, m, g, strict=True):
            momentum_in_place(*arrays)
        return p, m

    return call


def copy(inputs: Inputs) -> Any:
    out = np.empty_like(inputs["x"])

    def call() -> Any:
        np.copyto(out, inputs["x"])
        return out

    return call


def of(f: Any, *names: str) -> Any:
    """f of these inputs."""

    def build(inputs: Inputs) -> Any:
        arguments = [inputs[name] for name in names]
        return lambda: f(*arguments)

    return build


AXES = {"rows": 1, "columns": 0, "all": None}
REDUCTIONS = {"sum": np.sum, "mean": np.mean, "var": np.var}


def reductions(form: Any) -> dict[str, Any]:
    """The works `sum-rows` and so on; `form` makes one of a function of x."""
    return {
        f"{name}-{where}": form(partial(f, axis=axis), "x")
        for name, f in REDUCTIONS.items()
        for where, axis in AXES.items()
    }


PRODUCTS = {
    "dot": lambda a, b: a @ b,
    "dot-1024": lambda a, b: a @ b,
    "dot-batched": lambda a, b: a @ b,
    "dot-tn": lambda a, b: a.T @ b,
    "dot-nt": lambda a, b: a @ b.T,
}
WORKS = {
    "gelu": of(gelu, "x"),
    "gelu-grad": of(gelu_grad, "x", "dy"),
    "layernorm": of(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": of(layer_norm_grad, "x", "gamma", "beta", "dy"),
    "softmax": of(softmax, "x"),
    "softmax-grad": of(softmax_grad, "x", "dy"),
    "crossentropy": of(cross_entropy, "x", "labels"),
    "crossentropy-grad": of(cross_entropy_grad, "x", "labels"),
    **reductions(of),
    "pairwise": of(pairwise, "x", "y"),
    "outer": of(outer, "x", "y"),
    "copy": copy,
    "adam": adam_update,
    "adam-list": adam_update,
    "momentum": momentum_update,
    "momentum-list": momentum_update,
    **{f"{name}-{dtype}": of(f, "a", "b") for name, f in PRODUCTS.items() for dtype in ("f32", "f64")},
    "mlp": sgd,
    "mlp-adam": adam_step,
    "small": sgd,
    "digits": momentum_step,
    "gather": of(take, "table", "at"),
    "gather-grad": of(take_grad, "table", "at", "dy"),
    "cumsum": of(np.cumsum, "x"),
    "sort": of(np.sort, "x"),
    "argmax": of(partial(np.argmax, axis=1), "x"),
    "add1": of(lambda x: x + 1, "x"),
    "tree": of(lambda tree: {name: 0.9 * p for name, p in tree.items()}, "tree"),
}
