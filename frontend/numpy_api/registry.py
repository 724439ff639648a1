"""The tables through which tracers find NumPy: filled by the modules of this package, read by the tracer.

    FUNCTIONS[np.mean](tracer, axis=0)       what `__array_function__` calls
    METHODS["mean"](tracer, axis=0)          what `tracer.mean(axis=0)` calls; "__getitem__" too
    CREATORS[np.zeros](tracer, 3)            what `np.zeros(3, like=tracer)` calls
    UFUNCS[np.positive](tracer)              ufuncs that are no single op of the IR (see `frontend/ufunc.py`)

The tables stand below the tracer, so that the modules that fill them may use it without an import cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
CREATORS: dict[Any, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}
UFUNCS: dict[Any, Callable[..., Any]] = {}


def implements(*functions: Any) -> Callable[[F], F]:
    """The decorated function stands for these NumPy functions when an argument is traced."""

    def enter(implementation: F) -> F:
        for function in functions:
            there = FUNCTIONS.setdefault(function, implementation)
            if there is not implementation:
                raise ValueError(f"{function} is implemented in {there.__module__} and in {implementation.__module__}")
        return implementation

    return enter


def creates(*functions: Any) -> Callable[[F], F]:
    """The decorated function, whose first argument is the tracer, stands for these when like= is traced."""

    def enter(implementation: F) -> F:
        for function in functions:
            CREATORS[function] = implementation
        return implementation

    return enter


def method(*names: str) -> Callable[[F], F]:
    """The decorated function, whose first argument is the tracer, is a tracer's method of these names."""

    def enter(implementation: F) -> F:
        for name in names:
            METHODS[name] = implementation
        return implementation

    return enter


def ufunc_rule(*ufuncs: Any) -> Callable[[F], F]:
    """The decorated function gives these ufuncs for operands that are not yet cast to one dtype."""

    def enter(implementation: F) -> F:
        for ufunc in ufuncs:
            UFUNCS[ufunc] = implementation
        return implementation

    return enter
