"""The losses of larger networks in JAX, with its own convolution, pooling and scan."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.works import HEADS, LAYER_NORM_EPS


def cross_entropy(z: Any, y: Any) -> Any:
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(z, axis=1), axis=1))


def convnet(params: Any, x: Any, y: Any) -> Any:
    *kernels, (W, b), (V, c) = params
    for w, bias in kernels:
        x = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jnp.maximum(x + bias, 0)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return cross_entropy(jnp.maximum(x.reshape(len(x), -1) @ W + b, 0) @ V + c, y)


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    c = x - jnp.mean(x, axis=-1, keepdims=True)
    return c * jax.lax.rsqrt(jnp.mean(c * c, axis=-1, keepdims=True) + LAYER_NORM_EPS) * gamma + beta


def block(layer: Any, x: Any) -> Any:
    g1, s1, Wq, Wk, Wv, Wo, g2, s2, W1, b1, W2, b2 = layer
    batch, tokens, width = x.shape
    h = layer_norm(x, g1, s1)

    def heads(W: Any) -> Any:
        return (h @ W).reshape(batch, tokens, HEADS, width // HEADS).transpose(0, 2, 1, 3)

    weights = jax.nn.softmax(heads(Wq) @ heads(Wk).transpose(0, 1, 3, 2) * (width // HEADS) ** -0.5, axis=-1)
    x = x + (weights @ heads(Wv)).transpose(0, 2, 1, 3).reshape(x.shape) @ Wo
    return x + jax.nn.gelu(layer_norm(x, g2, s2) @ W1 + b1, approximate=True) @ W2 + b2


def transformer(params: Any, x: Any, y: Any) -> Any:
    for layer in params:
        x = block(layer, x)
    return jnp.mean((x - y) ** 2)


def lstm(params: Any, x: Any, y: Any) -> Any:
    (W, U, b), (V, c) = params

    def step(state: Any, z: Any) -> Any:
        h, s = state
        i, f, g, o = jnp.split(z + h @ U, 4, axis=1)
        s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(s), s), None

    zero = jnp.zeros((x.shape[1], U.shape[0]), x.dtype)
    (h, _), _ = jax.lax.scan(step, (zero, zero), x @ W + b)
    return cross_entropy(h @ V + c, y)
