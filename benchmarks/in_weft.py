"""The works in weft: the NumPy functions of `in_numpy`, differentiated and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
from benchmarks import in_numpy
from benchmarks.works import MOMENTUM, MOMENTUM_RATE, SGD_RATE, Inputs


def warm() -> None:
    weft.compile(lambda x: x * 2)(np.ones(3, np.float32))


def finish(result: Any) -> Any:
    return result


def sgd(inputs: Inputs, loss: Any = in_numpy.loss) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]

    @weft.compile(donate_argnums=0)
    def step(params: Any, x: Any, y: Any) -> Any:
        value, grads = weft.value_and_grad(loss)(params, x, y)
        return weft.tree.map(lambda p, g: p - SGD_RATE * g, params, grads), value

    def call() -> Any:
        nonlocal params
        params, value = step(params, x, y)
        return params, value

    return call


def momentum(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    state = weft.tree.map(np.zeros_like, params)

    @weft.compile(donate_argnums=(0, 1))
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = weft.value_and_grad(in_numpy.loss)(params, x, y)
        state = weft.tree.map(lambda m, g: MOMENTUM * m + g, state, grads)
        return weft.tree.map(lambda p, m: p - MOMENTUM_RATE * m, params, state), state, value

    def call() -> Any:
        nonlocal params, state
        params, state, value = step(params, state, x, y)
        return params, state, value

    return call


def adam(inputs: Inputs) -> Any:
    p, m, v, g, t = (inputs[name] for name in "pmvgt")
    step = weft.compile(in_numpy.adam, donate_argnums=(0, 1, 2))

    def call() -> Any:
        nonlocal p, m, v
        p, m, v = step(p, m, v, g, t)
        return p, m, v

    return call


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        compiled, arguments = weft.compile(f), [inputs[name] for name in names]
        return lambda: compiled(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        @weft.compile
        def pull(dy: Any, *arguments: Any) -> Any:
            return weft.vjp(f, *arguments)[1](dy)

        dy, arguments = inputs["dy"], [inputs[name] for name in names]
        return lambda: pull(dy, *arguments)

    return build


WORKS = {
    "digits": momentum,
    "mlp": sgd,
    "small": sgd,
    "convnet": lambda inputs: sgd(inputs, in_numpy.convnet_loss),
    "gelu": forward(in_numpy.gelu, "x"),
    "gelu-grad": gradient(in_numpy.gelu, "x"),
    "layernorm": forward(in_numpy.layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(in_numpy.layer_norm, "x", "gamma", "beta"),
    "softmax": forward(in_numpy.softmax, "x"),
    "softmax-grad": gradient(in_numpy.softmax, "x"),
    "adam": adam,
    "add1": forward(lambda x: x + 1, "x"),
}
