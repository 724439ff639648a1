"""The losses of larger networks in NumPy, for weft to differentiate; nobody would derive their gradients by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.in_numpy import gelu, layer_norm, softmax
from benchmarks.works import HEADS


def convolve(x: Any, w: Any) -> Any:
    """x: (batch, height, width, channels); w: (3, 3, channels, channels of the result).

    A product for each of w's nine places. The one product of all windows has nine times the data to move.
    """
    height, width = x.shape[1] - 2, x.shape[2] - 2
    return sum(x[:, i : i + height, j : j + width] @ w[i, j] for i in range(3) for j in range(3))


def halve(x: Any) -> Any:
    """The largest of each 2 x 2 pixels."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def cross_entropy(z: Any, y: Any) -> Any:
    z = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(y * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))), axis=1))


def convnet(params: Any, x: Any, y: Any) -> Any:
    *kernels, (W, b), (V, c) = params
    for w, bias in kernels:
        x = np.maximum(convolve(x, w) + bias, 0)
    x = halve(x).reshape(len(x), -1)
    return cross_entropy(np.maximum(x @ W + b, 0) @ V + c, y)


def attention(x: Any, Wq: Any, Wk: Any, Wv: Any, Wo: Any) -> Any:
    batch, tokens, width = x.shape

    def heads(W: Any) -> Any:
        return (x @ W).reshape(batch, tokens, HEADS, width // HEADS).transpose(0, 2, 1, 3)

    scores = heads(Wq) @ heads(Wk).transpose(0, 1, 3, 2) * (width // HEADS) ** -0.5
    weights = softmax(scores.reshape(-1, tokens)).reshape(scores.shape)
    return (weights @ heads(Wv)).transpose(0, 2, 1, 3).reshape(batch, tokens, width) @ Wo


def block(layer: Any, x: Any) -> Any:
    g1, s1, Wq, Wk, Wv, Wo, g2, s2, W1, b1, W2, b2 = layer
    shape = x.shape
    x = x.reshape(-1, shape[-1])
    x = x + attention(layer_norm(x, g1, s1).reshape(shape), Wq, Wk, Wv, Wo).reshape(x.shape)
    x = x + gelu(layer_norm(x, g2, s2) @ W1 + b1) @ W2 + b2
    return x.reshape(shape)


def transformer(params: Any, x: Any, y: Any) -> Any:
    for layer in params:
        x = block(layer, x)
    return np.mean((x - y) ** 2)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(params: Any, x: Any, y: Any) -> Any:
    (W, U, b), (V, c) = params
    z = x @ W + b  # of all steps at once
    h = s = np.zeros((x.shape[1], U.shape[0]), x.dtype)
    for t in range(len(x)):
        i, f, g, o = np.split(z[t] + h @ U, 4, axis=1)
        s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(s)
    return cross_entropy(h @ V + c, y)
