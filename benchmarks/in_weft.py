"""The works in weft: the NumPy functions of `in_numpy`, differentiated and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft
from benchmarks import in_numpy, networks_in_numpy
from benchmarks.works import SGD_RATE, STEP, Inputs


def warm() -> None:
    weft.compile(lambda x: x * 2)(np.ones(3, np.float32))


def finish(result: Any) -> Any:
    return result


def sgd_of(loss: Any) -> Any:
    """The compiled step: params, x, y -> new params, value."""

    @weft.compile(donate_argnums=0)
    def step(params: Any, x: Any, y: Any) -> Any:
        value, grads = weft.value_and_grad(loss)(params, x, y)
        return weft.tree.map(lambda p, g: p - SGD_RATE * g, params, grads), value

    return step


def sgd(loss: Any) -> Any:
    def build(inputs: Inputs) -> Any:
        params, x, y = inputs["params"], inputs["x"], inputs["y"]
        step = sgd_of(loss)

        def call() -> Any:
            nonlocal params
            params, value = step(params, x, y)
            return params, value

        return call

    return build


def momentum_step(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    state = weft.tree.map(np.zeros_like, params)

    @weft.compile(donate_argnums=(0, 1))
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = weft.value_and_grad(in_numpy.loss)(params, x, y)
        new = weft.tree.map(in_numpy.momentum, params, state, grads)
        return *_apart(new, 2), value

    def call() -> Any:
        nonlocal params, state
        params, state, value = step(params, state, x, y)
        return params, value

    return call


def adam_step(inputs: Inputs) -> Any:
    params, x, y = inputs["params"], inputs["x"], inputs["y"]
    first, second = weft.tree.map(np.zeros_like, params), weft.tree.map(np.zeros_like, params)

    @weft.compile(donate_argnums=(0, 1, 2))
    def step(params: Any, first: Any, second: Any, x: Any, y: Any, t: Any) -> Any:
        value, grads = weft.value_and_grad(in_numpy.loss)(params, x, y)
        new = weft.tree.map(lambda *arrays: in_numpy.adam(*arrays, t), params, first, second, grads)
        return *_apart(new, 3), value

    def call() -> Any:
        nonlocal params, first, second
        params, first, second, value = step(params, first, second, x, y, STEP)
        return params, value

    return call


def _apart(layers: Any, count: int) -> list[Any]:
    """Of layers whose leaves are tuples, one list of layers for each place in those."""
    return [[tuple(leaf[i] for leaf in layer) for layer in layers] for i in range(count)]


def adam_update(inputs: Inputs) -> Any:
    p, m, v, g = (inputs[name] for name in "pmvg")

    @weft.compile(donate_argnums=(0, 1, 2))
    def step(p: Any, m: Any, v: Any, g: Any, t: Any) -> Any:
        new = [in_numpy.adam(*arrays, t) for arrays in zip(p, m, v, g, strict=True)]
        return tuple([arrays[i] for arrays in new] for i in range(3))

    def call() -> Any:
        nonlocal p, m, v
        p, m, v = step(p, m, v, g, STEP)
        return p, m, v

    return call


def momentum_update(inputs: Inputs) -> Any:
    p, m, g = (inputs[name] for name in "pmg")

    @weft.compile(donate_argnums=(0, 1))
    def step(p: Any, m: Any, g: Any) -> Any:
        new = [in_numpy.momentum(*arrays) for arrays in zip(p, m, g, strict=True)]
        return tuple([arrays[i] for arrays in new] for i in range(2))

    def call() -> Any:
        nonlocal p, m
        p, m = step(p, m, g)
        return p, m

    return call


def copy(inputs: Inputs) -> Any:
    @weft.compile
    def into(out: Any, x: Any) -> None:
        out[:] = x

    out = np.empty_like(inputs["x"])

    def call() -> Any:
        into(out, inputs["x"])
        return out

    return call


class Sizes:
    """A step for batches of any size. `compiles` counts what it was compiled for."""

    def __init__(self, inputs: Inputs) -> None:
        self.params, self.x, self.y = inputs["params"], inputs["x"], inputs["y"]
        self.step = sgd_of(in_numpy.loss)

    def __call__(self, batch: int) -> Any:
        self.params, value = self.step(self.params, self.x[:batch], self.y[:batch])
        return self.params, value

    def compiles(self) -> int:
        return len(self.step.cache_info())


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs) -> Any:
        compiled, arguments = weft.compile(f), [inputs[name] for name in names]
        return lambda: compiled(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    """By all of them, of the cotangent dy."""

    def build(inputs: Inputs) -> Any:
        @weft.compile
        def pull(dy: Any, *arguments: Any) -> Any:
            return weft.vjp(f, *arguments)[1](dy)

        dy, arguments = inputs["dy"], [inputs[name] for name in names]
        return lambda: pull(dy, *arguments)

    return build


def take_grad(inputs: Inputs) -> Any:
    @weft.compile
    def pull(dy: Any, table: Any, at: Any) -> Any:
        return weft.vjp(lambda table: in_numpy.take(table, at), table)[1](dy)

    arguments = [inputs[name] for name in ("dy", "table", "at")]
    return lambda: pull(*arguments)


WORKS = {
    "gelu": forward(in_numpy.gelu, "x"),
    "gelu-grad": gradient(in_numpy.gelu, "x"),
    "layernorm": forward(in_numpy.layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(in_numpy.layer_norm, "x", "gamma", "beta"),
    "softmax": forward(in_numpy.softmax, "x"),
    "softmax-grad": gradient(in_numpy.softmax, "x"),
    "crossentropy": forward(in_numpy.cross_entropy, "x", "labels"),
    "crossentropy-grad": forward(weft.grad(in_numpy.cross_entropy), "x", "labels"),
    **in_numpy.reductions(forward),
    "pairwise": forward(in_numpy.pairwise, "x", "y"),
    "outer": forward(in_numpy.outer, "x", "y"),
    "copy": copy,
    "adam": adam_update,
    "adam-list": adam_update,
    "momentum": momentum_update,
    "momentum-list": momentum_update,
    **{f"{n}-{dtype}": forward(f, "a", "b") for n, f in in_numpy.PRODUCTS.items() for dtype in ("f32", "f64")},
    "mlp": sgd(in_numpy.loss),
    "mlp-adam": adam_step,
    "small": sgd(in_numpy.loss),
    "digits": momentum_step,
    "convnet": sgd(networks_in_numpy.convnet),
    "transformer": sgd(networks_in_numpy.transformer),
    "transformer-12": sgd(networks_in_numpy.transformer),
    "lstm": sgd(networks_in_numpy.lstm),
    "gather": forward(in_numpy.take, "table", "at"),
    "gather-grad": take_grad,
    "cumsum": forward(np.cumsum, "x"),
    "sort": forward(np.sort, "x"),
    "argmax": forward(lambda x: np.argmax(x, axis=1), "x"),
    "add1": forward(lambda x: x + 1, "x"),
    "tree": forward(lambda tree: weft.tree.map(lambda p: 0.9 * p, tree), "tree"),
    "sizes": Sizes,
}
