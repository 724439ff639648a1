"""The works in NumPy: the functions that weft compiles too, and gradients derived by hand.

Each entry of WORKS takes the inputs and gives a function without arguments that does the work once.
"""

from __future__ import annotations

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


def loss(params: Any, x: Any, y: Any) -> Any:
    for W, b in params[:-1]:
        x = np.maximum(x @ W + b, 0)
    W, b = params[-1]
    z = x @ W + b
    z = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(y * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))), axis=1))


def convolve(x: Any, k: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape[:2], axis=(1, 2))
    return np.tensordot(windows, k, axes=((3, 4, 5), (2, 0, 1)))


def pool(x: Any) -> Any:
    b, m, n, c = x.shape
    return x.reshape(b, m // 2, 2, n // 2, 2, c).max(axis=(2, 4))


def convnet_loss(params: Any, x: Any, y: Any) -> Any:
    (k1, b1), (k2, b2), *dense = params
    h = np.maximum(convolve(x, k1) + b1, 0)
    h = pool(np.maximum(convolve(h, k2) + b2, 0))
    return loss(dense, h.reshape(len(h), -1), y)


def adam(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * (g * g)
    p = p - ADAM_RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + ADAM_EPS)
    return p, m, v


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


def loss_and_grads(params: Any, x: Any, y: Any) -> Any:
    """The loss and its gradients, backwards by hand."""
    return dense_grads(params, x, y)[:2]


def dense_grads(params: Any, x: Any, y: Any, by_x: bool = False) -> Any:
    """Of a perceptron: the loss, its gradients, and that by x if it is asked for."""
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
    return value, grads[::-1], d @ params[0][0].T if by_x else None


def convolve_grads(x: Any, k: Any, d: Any, by_x: bool = True) -> Any:
    """Gradients of `convolve` by k and x, given that by its result."""
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape[:2], axis=(1, 2))
    dk = np.tensordot(windows, d, axes=((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3)
    if not by_x:
        return dk, None
    wide = np.pad(d, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return dk, convolve(wide, k[::-1, ::-1].swapaxes(2, 3))


def convnet_grads(params: Any, x: Any, y: Any) -> Any:
    (k1, b1), (k2, b2), *dense = params
    first = np.maximum(convolve(x, k1) + b1, 0)
    second = np.maximum(convolve(first, k2) + b2, 0)
    pooled = pool(second)
    b, m, n, c = pooled.shape
    value, grads, d = dense_grads(dense, pooled.reshape(b, -1), y, by_x=True)
    d = d.reshape(b, m, 1, n, 1, c)
    most = second.reshape(b, m, 2, n, 2, c) == pooled.reshape(b, m, 1, n, 1, c)
    d = (most * (d / most.sum(axis=(2, 4), keepdims=True, dtype=np.float32))).reshape(second.shape) * (second > 0)
    dk2, d1 = convolve_grads(first, k2, d)
    d1 *= first > 0
    dk1, _ = convolve_grads(x, k1, d1, by_x=False)
    every = (0, 1, 2)
    return value, [(dk1, d1.sum(axis=every)), (dk2, d.sum(axis=every)), *grads]


def sgd(inputs: Inputs, gradients: Any = loss_and_grads) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]

    def call() -> Any:
        value, grads = gradients(params, x, y)
        for layer, layer_grads in zip(params, grads, strict=True):
            for p, g in zip(layer, layer_grads, strict=True):
                p -= SGD_RATE * g
        return params, value

    return call


def momentum(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    state = [tuple(np.zeros_like(p) for p in layer) for layer in params]

    def call() -> Any:
        value, grads = loss_and_grads(params, x, y)
        for layer, layer_state, layer_grads in zip(params, state, grads, strict=True):
            for p, m, g in zip(layer, layer_state, layer_grads, strict=True):
                m *= MOMENTUM
                m += g
                p -= MOMENTUM_RATE * m
        return params, state, value

    return call


def adam_in_place(inputs: Inputs) -> Any:
    p, m, v, g, t = (inputs[name] for name in "pmvgt")
    a, b = np.empty_like(p), np.empty_like(p)

    def call() -> Any:
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
        np.multiply(m, ADAM_RATE / (1 - BETA1**t), out=b)
        np.divide(b, a, out=b)
        np.subtract(p, b, out=p)
        return p, m, v

    return call


WORKS = {
    "digits": momentum,
    "mlp": sgd,
    "small": sgd,
    "convnet": lambda i: sgd(i, convnet_grads),
    "gelu": lambda i: lambda: gelu(i["x"]),
    "gelu-grad": lambda i: lambda: gelu_grad(i["x"], i["dy"]),
    "layernorm": lambda i: lambda: layer_norm(i["x"], i["gamma"], i["beta"]),
    "layernorm-grad": lambda i: lambda: layer_norm_grad(i["x"], i["gamma"], i["beta"], i["dy"]),
    "softmax": lambda i: lambda: softmax(i["x"]),
    "softmax-grad": lambda i: lambda: softmax_grad(i["x"], i["dy"]),
    "adam": adam_in_place,
    "add1": lambda i: lambda: i["x"] + 1,
}
