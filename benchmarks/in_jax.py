"""The works in JAX, as its users write them. Every call waits for its result."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import networks_in_jax
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


def cross_entropy(x: Any, labels: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x, axis=1), labels[:, None], axis=1))


def pairwise(x: Any, y: Any) -> Any:
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1)


def outer(x: Any, y: Any) -> Any:
    return 1 / (1 + (x[:, None] + y[None, :]) ** 2)


def take(table: Any, at: Any) -> Any:
    return table[at]


def loss(params: Any, x: Any, y: Any) -> Any:
    for W, b in params[:-1]:
        x = jnp.maximum(x @ W + b, 0)
    W, b = params[-1]
    return networks_in_jax.cross_entropy(x @ W + b, y)


def adam(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * (g * g)
    return p - ADAM_RATE * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + ADAM_EPS), m, v


def momentum(p: Any, m: Any, g: Any) -> Any:
    m = MOMENTUM * m + g
    return p - MOMENTUM_RATE * m, m


def _apart(tree: Any, results: Any, count: int) -> Any:
    """Of a tree whose leaves are tuples, one tree for each place in those."""
    return jax.tree.transpose(jax.tree.structure(tree), jax.tree.structure((0,) * count), results)


def sgd_of(loss: Any) -> Any:
    def update(params: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - SGD_RATE * g, params, grads), value

    return jax.jit(update, donate_argnums=0)


def sgd(loss: Any) -> Any:
    def build(inputs: Inputs) -> Any:
        params, x, y = jax.device_put((inputs["params"], inputs["x"], inputs["y"]))
        step = sgd_of(loss)

        def call() -> Any:
            nonlocal params
            params, value = step(params, x, y)
            return params, value

        return call

    return build


def momentum_step(inputs: Inputs) -> Any:
    params, x, y = jax.device_put((inputs["params"], inputs["x"], inputs["y"]))
    state = jax.tree.map(jnp.zeros_like, params)

    def update(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        return *_apart(params, jax.tree.map(momentum, params, state, grads), 2), value

    step = jax.jit(update, donate_argnums=(0, 1))

    def call() -> Any:
        nonlocal params, state
        params, state, value = step(params, state, x, y)
        return params, value

    return call


def adam_step(inputs: Inputs) -> Any:
    params, x, y = jax.device_put((inputs["params"], inputs["x"], inputs["y"]))
    first, second = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)

    def update(params: Any, first: Any, second: Any, x: Any, y: Any, t: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, y)
        new = jax.tree.map(partial(adam, t=t), params, first, second, grads)
        return *_apart(params, new, 3), value

    step = jax.jit(update, donate_argnums=(0, 1, 2))

    def call() -> Any:
        nonlocal params, first, second
        params, first, second, value = step(params, first, second, x, y, STEP)
        return params, value

    return call


def adam_update(inputs: Inputs) -> Any:
    p, m, v, g = jax.device_put([inputs[name] for name in "pmvg"])

    def update(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
        return _apart(p, jax.tree.map(partial(adam, t=t), p, m, v, g), 3)

    step = jax.jit(update, donate_argnums=(0, 1, 2))

    def call() -> Any:
        nonlocal p, m, v
        p, m, v = step(p, m, v, g, STEP)
        return p, m, v

    return call


def momentum_update(inputs: Inputs) -> Any:
    p, m, g = jax.device_put([inputs[name] for name in "pmg"])
    step = jax.jit(lambda p, m, g: _apart(p, jax.tree.map(momentum, p, m, g), 2), donate_argnums=(0, 1))

    def call() -> Any:
        nonlocal p, m
        p, m = step(p, m, g)
        return p, m

    return call


class Sizes:
    """A step for batches of any size. `compiles` counts what it was compiled for."""

    def __init__(self, inputs: Inputs) -> None:
        self.params, self.x, self.y = jax.device_put(inputs["params"]), inputs["x"], inputs["y"]
        self.step = sgd_of(loss)

    def __call__(self, batch: int) -> Any:
        self.params, value = self.step(self.params, self.x[:batch], self.y[:batch])
        return self.params, value

    def compiles(self) -> int:
        return self.step._cache_size()


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        compiled, arguments = jax.jit(f), jax.device_put([inputs[name] for name in names])
        return lambda: compiled(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    """By all of them, of the cotangent dy."""

    def build(inputs: Inputs) -> Any:
        pull = jax.jit(lambda dy, *arguments: jax.vjp(f, *arguments)[1](dy))
        dy, *arguments = jax.device_put([inputs[name] for name in ("dy", *names)])
        return lambda: pull(dy, *arguments)

    return build


def take_grad(inputs: Inputs) -> Any:
    pull = jax.jit(lambda dy, table, at: jax.vjp(lambda table: table[at], table)[1](dy))
    arguments = jax.device_put([inputs[name] for name in ("dy", "table", "at")])
    return lambda: pull(*arguments)


def in_float64(build: Any) -> Any:
    """Calls run with float64 switched on, which costs them a microsecond or two."""

    def wide(inputs: Inputs) -> Any:
        with jax.enable_x64(True):
            inner = build(inputs)

        def call() -> Any:
            with jax.enable_x64(True):
                return inner()

        return call

    return wide


def reductions() -> dict[str, Any]:
    axes = {"rows": 1, "columns": 0, "all": None}
    functions = {"sum": jnp.sum, "mean": jnp.mean, "var": jnp.var}
    return {
        f"{name}-{where}": forward(partial(f, axis=axis), "x")
        for name, f in functions.items()
        for where, axis in axes.items()
    }


def products() -> dict[str, Any]:
    forms = {
        "dot": lambda a, b: a @ b,
        "dot-1024": lambda a, b: a @ b,
        "dot-batched": lambda a, b: a @ b,
        "dot-tn": lambda a, b: a.T @ b,
        "dot-nt": lambda a, b: a @ b.T,
    }
    single = {f"{name}-f32": forward(f, "a", "b") for name, f in forms.items()}
    return single | {f"{name}-f64": in_float64(forward(f, "a", "b")) for name, f in forms.items()}


WORKS = {
    "gelu": forward(gelu, "x"),
    "gelu-grad": gradient(gelu, "x"),
    "layernorm": forward(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(layer_norm, "x", "gamma", "beta"),
    "softmax": forward(softmax, "x"),
    "softmax-grad": gradient(softmax, "x"),
    "crossentropy": forward(cross_entropy, "x", "labels"),
    "crossentropy-grad": forward(jax.grad(cross_entropy), "x", "labels"),
    **reductions(),
    "pairwise": forward(pairwise, "x", "y"),
    "outer": forward(outer, "x", "y"),
    "copy": forward(jnp.copy, "x"),
    "adam": adam_update,
    "adam-list": adam_update,
    "momentum": momentum_update,
    "momentum-list": momentum_update,
    **products(),
    "mlp": sgd(loss),
    "mlp-adam": adam_step,
    "small": sgd(loss),
    "digits": momentum_step,
    "convnet": sgd(networks_in_jax.convnet),
    "transformer": sgd(networks_in_jax.transformer),
    "transformer-12": sgd(networks_in_jax.transformer),
    "lstm": sgd(networks_in_jax.lstm),
    "gather": forward(take, "table", "at"),
    "gather-grad": take_grad,
    "cumsum": forward(jnp.cumsum, "x"),
    "sort": forward(jnp.sort, "x"),
    "argmax": forward(lambda x: jnp.argmax(x, axis=1), "x"),
    "add1": forward(lambda x: x + 1, "x"),
    "tree": forward(lambda tree: jax.tree.map(lambda p: 0.9 * p, tree), "tree"),
    "sizes": Sizes,
}
