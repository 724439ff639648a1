"""The works in PyTorch, eager and under torch.compile, with its own fused functions where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

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

Compile = Callable[[Any], Any] | None  # None: eager


def warm(compile: Compile = None) -> None:
    f = compile(lambda x: x * 2) if compile else torch.neg
    f(torch.ones(3))


def finish(result: Any) -> Any:
    return result


def gelu(x: Any) -> Any:
    return F.gelu(x, approximate="tanh")


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    return F.layer_norm(x, (x.shape[1],), gamma, beta, LAYER_NORM_EPS)


def softmax(x: Any) -> Any:
    return torch.softmax(x, dim=1)


def loss(params: list[Any], x: Any, labels: Any) -> Any:
    """`params` is flat: W, b, W, b, ..."""
    for i in range(0, len(params) - 2, 2):
        x = torch.relu(torch.addmm(params[i + 1], x, params[i]))
    return F.cross_entropy(torch.addmm(params[-1], x, params[-2]), labels)


def convnet_loss(params: list[Any], x: Any, labels: Any) -> Any:
    h = torch.relu(F.conv2d(x, params[0], params[1]))
    h = F.max_pool2d(torch.relu(F.conv2d(h, params[2], params[3])), 2)
    return loss(params[4:], h.flatten(1), labels)


def _gradients(compile: Compile, loss: Any = loss) -> Any:
    """params, x, labels -> value and gradients, as each mode does it best."""
    if compile:

        def functional(params: Any, x: Any, labels: Any) -> Any:
            grads, value = torch.func.grad_and_value(loss)(params, x, labels)
            return value, grads

        return functional

    def eager(params: Any, x: Any, labels: Any) -> Any:
        with torch.enable_grad():
            value = loss(params, x, labels)
            return value.detach(), torch.autograd.grad(value, params)

    return eager


def _training(inputs: Inputs, compile: Compile) -> Any:
    params = [torch.from_numpy(p) for layer in inputs["params"] for p in layer]
    if not compile:
        params = [p.requires_grad_() for p in params]
    return params, torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["labels"])


def _result(params: Any) -> Any:
    return [tuple(params[i : i + 2]) for i in range(0, len(params), 2)]


def convnet(inputs: Inputs, compile: Compile) -> Any:
    """Channels come before rows and columns here, in images and in what the dense layers read."""
    (k1, b1), (k2, b2), (w, c), last = inputs["params"]
    turned = [np.ascontiguousarray(k.transpose(3, 2, 0, 1)) for k in (k1, k2)]
    w = np.ascontiguousarray(w.reshape(12, 12, 32, 64).transpose(2, 0, 1, 3)).reshape(w.shape)
    x = np.ascontiguousarray(inputs["x"].transpose(0, 3, 1, 2))
    params = [(turned[0], b1), (turned[1], b2), (w, c), last]
    return sgd({**inputs, "params": params, "x": x}, compile, convnet_loss)


def sgd(inputs: Inputs, compile: Compile, loss: Any = loss) -> Any:
    params, x, labels = _training(inputs, compile)
    gradients = _gradients(compile, loss)

    def step(params: Any, x: Any, labels: Any) -> Any:
        value, grads = gradients(params, x, labels)
        torch._foreach_add_(params, list(grads), alpha=-SGD_RATE)
        return value

    run = torch.no_grad()(compile(step) if compile else step)
    return lambda: (_result(params), run(params, x, labels))


def momentum(inputs: Inputs, compile: Compile) -> Any:
    params, x, labels = _training(inputs, compile)
    state = [torch.zeros_like(p, requires_grad=False) for p in params]
    gradients = _gradients(compile)

    def step(params: Any, state: Any, x: Any, labels: Any) -> Any:
        value, grads = gradients(params, x, labels)
        torch._foreach_mul_(state, MOMENTUM)
        torch._foreach_add_(state, list(grads))
        torch._foreach_add_(params, state, alpha=-MOMENTUM_RATE)
        return value

    run = torch.no_grad()(compile(step) if compile else step)
    return lambda: (_result(params), _result(state), run(params, state, x, labels))


def adam(inputs: Inputs, compile: Compile) -> Any:
    p, m, v, g = (torch.from_numpy(inputs[name]) for name in "pmvg")
    t = inputs["t"]

    def update(p: Any, m: Any, v: Any, g: Any) -> None:
        m.mul_(BETA1).add_(g, alpha=1 - BETA1)
        v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
        p.addcdiv_(m, (v / (1 - BETA2**t)).sqrt_().add_(ADAM_EPS), value=-ADAM_RATE / (1 - BETA1**t))

    run = torch.no_grad()(compile(update) if compile else update)

    def call() -> Any:
        run(p, m, v, g)
        return p, m, v

    return call


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs, compile: Compile) -> Any:
        arguments = [torch.from_numpy(inputs[name]) for name in names]
        run = torch.no_grad()(compile(f) if compile else f)
        return lambda: run(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    def build(inputs: Inputs, compile: Compile) -> Any:
        dy, *arguments = [torch.from_numpy(inputs[name]) for name in ("dy", *names)]
        if compile:
            pull = compile(lambda dy, *arguments: torch.func.vjp(f, *arguments)[1](dy))
            return lambda: pull(dy, *arguments)
        arguments = [a.requires_grad_() for a in arguments]
        return lambda: torch.autograd.grad(f(*arguments), arguments, dy)

    return build


WORKS = {
    "digits": momentum,
    "mlp": sgd,
    "small": sgd,
    "convnet": convnet,
    "gelu": forward(gelu, "x"),
    "gelu-grad": gradient(gelu, "x"),
    "layernorm": forward(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(layer_norm, "x", "gamma", "beta"),
    "softmax": forward(softmax, "x"),
    "softmax-grad": gradient(softmax, "x"),
    "adam": adam,
    "add1": forward(lambda x: x + 1, "x"),
}
