"""The works in JAX, as its users write them. Every call waits for its result."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

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


def warm() -> None:
    jax.jit(lambda x: x * 2)(jnp.ones(3)).block_until_ready()


def finish(result: Any) -> Any:
    return jax.block_until_ready(result)


def gelu(x: Any) -> Any:
    return jax.nn.gelu(x, approximate=True)


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    c = x - jnp.mean(x, axis=1, keepdims=True)
    variance = jnp.mean(c * c, axis=1, keepdims=True)
    return c * jax.lax.rsqrt(variance + LAYER_NORM_EPS) * gamma + beta


def softmax(x: Any) -> Any:
    return jax.nn.softmax(x, axis=1)


def loss(params: Any, x: Any, y: Any) -> Any:
    for W, b in params[:-1]:
        x = jnp.maximum(x @ W + b, 0)
    W, b = params[-1]
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ W + b, axis=1), axis=1))


def convolve(x: Any, k: Any) -> Any:
    return jax.lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def convnet_loss(params: Any, x: Any, y: Any) -> Any:
    (k1, b1), (k2, b2), *dense = params
    h = jnp.maximum(convolve(x, k1) + b1, 0)
    h = jnp.maximum(convolve(h, k2) + b2, 0)
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return loss(dense, h.reshape(len(h), -1), y)


def sgd(inputs: Inputs, loss: Any = loss) -> Any:
    params, x, y = jax.device_put((inputs["params"], inputs["x"], inputs["y"]))

    def update(params: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - SGD_RATE * g, params, grads), value

    step = jax.jit(update, donate_argnums=0)

    def call() -> Any:
        nonlocal params
        params, value = step(params, x, y)
        return params, value

    return call


def momentum(inputs: Inputs) -> Any:
    params, x, y = jax.device_put((inputs["params"], inputs["x"], inputs["y"]))
    state = jax.tree.map(jnp.zeros_like, params)

    def update(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        state = jax.tree.map(lambda m, g: MOMENTUM * m + g, state, grads)
        return jax.tree.map(lambda p, m: p - MOMENTUM_RATE * m, params, state), state, value

    step = jax.jit(update, donate_argnums=(0, 1))

    def call() -> Any:
        nonlocal params, state
        params, state, value = step(params, state, x, y)
        return params, state, value

    return call


def adam(inputs: Inputs) -> Any:
    p, m, v, g, t = jax.device_put([inputs[name] for name in "pmvgt"])

    def update(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * (g * g)
        return p - ADAM_RATE * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + ADAM_EPS), m, v

    step = jax.jit(update, donate_argnums=(0, 1, 2))

    def call() -> Any:
        nonlocal p, m, v
        p, m, v = step(p, m, v, g, t)
        return p, m, v

    return call


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        compiled, arguments = jax.jit(f), jax.device_put([inputs[name] for name in names])
        return lambda: compiled(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        pull = jax.jit(lambda dy, *arguments: jax.vjp(f, *arguments)[1](dy))
        dy, *arguments = jax.device_put([inputs[name] for name in ("dy", *names)])
        return lambda: pull(dy, *arguments)

    return build


WORKS = {
    "digits": momentum,
    "mlp": sgd,
    "small": sgd,
    "convnet": lambda inputs: sgd(inputs, convnet_loss),
    "gelu": forward(gelu, "x"),
    "gelu-grad": gradient(gelu, "x"),
    "layernorm": forward(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(layer_norm, "x", "gamma", "beta"),
    "softmax": forward(softmax, "x"),
    "softmax-grad": gradient(softmax, "x"),
    "adam": adam,
    "add1": forward(lambda x: x + 1, "x"),
}
