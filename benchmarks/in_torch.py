"""The works in PyTorch, eager and under torch.compile, with its own fused functions where it has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import networks_in_torch
from benchmarks.networks_in_torch import Layouts
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


def pairwise(x: Any, y: Any) -> Any:
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(dim=-1)


def outer(x: Any, y: Any) -> Any:
    return 1 / (1 + (x[:, None] + y[None, :]) ** 2)


def adam(p: list[Any], m: list[Any], v: list[Any], g: list[Any]) -> None:
    """In place; eager PyTorch has it as one function, torch.compile fuses what it is made of."""
    if not torch.compiler.is_compiling():
        steps = [torch.tensor(STEP)] * len(p)
        torch._fused_adam_(
            p, g, m, v, [], steps, lr=ADAM_RATE, beta1=BETA1, beta2=BETA2, weight_decay=0.0, eps=ADAM_EPS,
            amsgrad=False, maximize=False,
        )  # fmt: skip
        return
    for p_i, m_i, v_i, g_i in zip(p, m, v, g, strict=True):
        m_i.mul_(BETA1).add_(g_i, alpha=1 - BETA1)
        v_i.mul_(BETA2).addcmul_(g_i, g_i, value=1 - BETA2)
        p_i.addcdiv_(m_i, (v_i / (1 - BETA2**STEP)).sqrt().add(ADAM_EPS), value=-ADAM_RATE / (1 - BETA1**STEP))


def momentum(p: list[Any], m: list[Any], g: list[Any]) -> None:
    if not torch.compiler.is_compiling():
        torch._fused_sgd_(
            p, g, m, weight_decay=0.0, momentum=MOMENTUM, lr=MOMENTUM_RATE, dampening=0.0, nesterov=False,
            maximize=False, is_first_step=False,
        )  # fmt: skip
        return
    torch._foreach_mul_(m, MOMENTUM)
    torch._foreach_add_(m, g)
    torch._foreach_add_(p, m, alpha=-MOMENTUM_RATE)


def descend(p: list[Any], g: list[Any]) -> None:
    torch._foreach_add_(p, g, alpha=-SGD_RATE)


def _gradients(loss: Any, compile: Compile) -> Any:
    """params, x, labels -> value and gradients, as each mode does it best."""
    if compile:

        def functional(params: Any, x: Any, y: Any) -> Any:
            grads, value = torch.func.grad_and_value(loss)(params, x, y)
            return value, list(grads)

        return functional

    def eager(params: Any, x: Any, y: Any) -> Any:
        with torch.enable_grad():
            value = loss(params, x, y)
            return value.detach(), list(torch.autograd.grad(value, params))

    return eager


def training(loss: Any, target: str = "labels", update: Any = descend, states: int = 0, layouts: Layouts = None) -> Any:
    """A step of `update`, which takes parameters, so many further lists like them, and gradients."""
    layouts = layouts or {}

    def build(inputs: Inputs, compile: Compile) -> Any:
        flat = [torch.from_numpy(p) for layer in inputs["params"] for p in layer]
        params = [p.permute(layouts[i]).contiguous() if i in layouts else p for i, p in enumerate(flat)]
        state = [[torch.zeros_like(p) for p in params] for _ in range(states)]
        if not compile:
            params = [p.requires_grad_() for p in params]
        x, y = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs[target])
        gradients = _gradients(loss, compile)

        def step(params: Any, state: Any, x: Any, y: Any) -> Any:
            value, grads = gradients(params, x, y)
            update(params, *state, grads)
            return value

        run = torch.no_grad()(compile(step) if compile else step)

        def call() -> Any:
            value = run(params, state, x, y)
            return [
                p.permute(np.argsort(layouts[i]).tolist()) if i in layouts else p for i, p in enumerate(params)
            ], value

        return call

    return build


def loss(params: list[Any], x: Any, labels: Any) -> Any:
    """`params` is flat: W, b, W, b, ..."""
    for i in range(0, len(params) - 2, 2):
        x = torch.relu(torch.addmm(params[i + 1], x, params[i]))
    return F.cross_entropy(torch.addmm(params[-1], x, params[-2]), labels)


def updating(update: Any, *names: str) -> Any:
    def build(inputs: Inputs, compile: Compile) -> Any:
        lists = [[torch.from_numpy(array) for array in inputs[name]] for name in names]
        run = torch.no_grad()(compile(update) if compile else update)

        def call() -> Any:
            run(*lists)
            return tuple(lists[:-1])

        return call

    return build


def copy(inputs: Inputs, compile: Compile) -> Any:
    x = torch.from_numpy(inputs["x"])
    out = torch.empty_like(x)
    return lambda: out.copy_(x)


class Sizes:
    """A step for batches of any size. `compiles` counts what it was compiled for."""

    def __init__(self, inputs: Inputs, compile: Compile) -> None:
        self.params = [torch.from_numpy(p) for layer in inputs["params"] for p in layer]
        self.x, self.labels = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["labels"])
        if not compile:
            self.params = [p.requires_grad_() for p in self.params]
        gradients = _gradients(loss, compile)

        def step(params: Any, x: Any, labels: Any) -> Any:
            value, grads = gradients(params, x, labels)
            descend(params, grads)
            return value

        self.compiled = compile is not None
        self.step = torch.no_grad()(compile(step) if compile else step)

    def __call__(self, batch: int) -> Any:
        value = self.step(self.params, self.x[:batch], self.labels[:batch])
        return self.params, value

    def compiles(self) -> int:
        return torch._dynamo.utils.counters["stats"]["unique_graphs"] if self.compiled else 0


def forward(f: Any, *names: str) -> Any:
    def build(inputs: Inputs, compile: Compile) -> Any:
        arguments = [torch.from_numpy(inputs[name]) for name in names]
        run = torch.no_grad()(compile(f) if compile else f)
        return lambda: run(*arguments)

    return build


def gradient(f: Any, *names: str) -> Any:
    """By all of them, of the cotangent dy."""

    def build(inputs: Inputs, compile: Compile) -> Any:
        dy, *arguments = [torch.from_numpy(inputs[name]) for name in ("dy", *names)]
        if compile:
            pull = compile(lambda dy, *arguments: torch.func.vjp(f, *arguments)[1](dy))
            return lambda: pull(dy, *arguments)
        arguments = [a.requires_grad_() for a in arguments]
        return lambda: torch.autograd.grad(f(*arguments), arguments, dy)

    return build


def cross_entropy_grad(inputs: Inputs, compile: Compile) -> Any:
    x, labels = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["labels"])
    if compile:
        pull = compile(torch.func.grad(F.cross_entropy))
        return lambda: pull(x, labels)
    x.requires_grad_()
    return lambda: torch.autograd.grad(F.cross_entropy(x, labels), x)[0]


def take_grad(inputs: Inputs, compile: Compile) -> Any:
    table, at, dy = (torch.from_numpy(inputs[name]) for name in ("table", "at", "dy"))
    table.requires_grad_()
    return lambda: torch.autograd.grad(F.embedding(at, table), table, dy)


def scaled(inputs: Inputs, compile: Compile) -> Any:
    tree = {name: torch.from_numpy(p) for name, p in inputs["tree"].items()}

    def f(tree: Any) -> Any:
        return dict(zip(tree, torch._foreach_mul(list(tree.values()), 0.9), strict=True))

    run = torch.no_grad()(compile(f) if compile else f)
    return lambda: run(tree)


def reductions() -> dict[str, Any]:
    axes: dict[str, Any] = {"rows": (1,), "columns": (0,), "all": None}
    functions = {"sum": torch.sum, "mean": torch.mean, "var": partial(torch.var, correction=0)}
    return {
        f"{name}-{where}": forward(partial(f, dim=dim), "x")
        for name, f in functions.items()
        for where, dim in axes.items()
    }


def products() -> dict[str, Any]:
    forms = {
        "dot": lambda a, b: a @ b,
        "dot-1024": lambda a, b: a @ b,
        "dot-batched": lambda a, b: a @ b,
        "dot-tn": lambda a, b: a.T @ b,
        "dot-nt": lambda a, b: a @ b.T,
    }
    return {f"{name}-{dtype}": forward(f, "a", "b") for name, f in forms.items() for dtype in ("f32", "f64")}


WORKS = {
    "gelu": forward(gelu, "x"),
    "gelu-grad": gradient(gelu, "x"),
    "layernorm": forward(layer_norm, "x", "gamma", "beta"),
    "layernorm-grad": gradient(layer_norm, "x", "gamma", "beta"),
    "softmax": forward(softmax, "x"),
    "softmax-grad": gradient(softmax, "x"),
    "crossentropy": forward(F.cross_entropy, "x", "labels"),
    "crossentropy-grad": cross_entropy_grad,
    **reductions(),
    "pairwise": forward(pairwise, "x", "y"),
    "outer": forward(outer, "x", "y"),
    "copy": copy,
    "adam": updating(adam, "p", "m", "v", "g"),
    "adam-list": updating(adam, "p", "m", "v", "g"),
    "momentum": updating(momentum, "p", "m", "g"),
    "momentum-list": updating(momentum, "p", "m", "g"),
    **products(),
    "mlp": training(loss),
    "mlp-adam": training(loss, update=adam, states=2),
    "small": training(loss),
    "digits": training(loss, update=momentum, states=1),
    "convnet": training(networks_in_torch.convnet, layouts=networks_in_torch.CONVNET_LAYOUTS),
    "transformer": training(networks_in_torch.transformer, "y"),
    "transformer-12": training(networks_in_torch.transformer, "y"),
    "lstm": training(networks_in_torch.lstm, layouts=networks_in_torch.LSTM_LAYOUTS),
    "gather": forward(lambda table, at: F.embedding(at, table), "table", "at"),
    "gather-grad": take_grad,
    "cumsum": forward(lambda x: torch.cumsum(x, 0), "x"),
    "sort": forward(lambda x: torch.sort(x)[0], "x"),
    "argmax": forward(lambda x: torch.argmax(x, dim=1), "x"),
    "add1": forward(lambda x: x + 1, "x"),
    "tree": scaled,
    "sizes": Sizes,
}
