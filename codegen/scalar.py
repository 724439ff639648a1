"""Scalar code: what one element of a kernel computes, for both targets.

    expression("a + b * 2", ["f32", "f32"], "f32")    an op's template, over operands a, b, c, ...
    function("tanh", ["f32"])                         a function of codegen/math

Either gives a `Scalar`. From the same typed straight-line body (scalar_ir) it prints LLVM IR that
vectorises inside a loop, and Numba source for the CPU, CUDA and the CUDA simulator. The language that
templates and functions are written in is described in scalar_parse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from weft.codegen import scalar_llvm, scalar_numba
from weft.codegen.scalar_ir import Body, ScalarError
from weft.codegen.scalar_library import function_body, function_names
from weft.codegen.scalar_llvm import declarations
from weft.codegen.scalar_parse import parse_expression
from weft.codegen.scalar_prelude import numba_prelude
from weft.ir.records import dataclass

__all__ = [
    "Scalar", "ScalarError", "declarations", "expression", "function", "function_names", "numba_prelude",
]


@dataclass(frozen=True)
class Scalar:
    """A scalar function of typed arguments. Bool is `i1` in LLVM, `half` is f16."""

    body: Body

    @property
    def name(self) -> str:
        return self.body.name

    @property
    def args(self) -> tuple[str, ...]:
        """dtype names of the arguments."""
        return self.body.args

    @property
    def result(self) -> str:
        """dtype name of the result."""
        return self.body.result

    @property
    def calls(self) -> tuple[Scalar, ...]:
        """Functions that the code needs, each after those that it calls itself."""
        return tuple(Scalar(b) for b in self.body.callees)

    @property
    def cost(self) -> int:
        """Rough number of instructions, callees included."""
        return self.body.cost

    def llvm_define(self) -> str:
        """`define internal T @weft_<name>(...) alwaysinline`, with its constant tables before it."""
        return scalar_llvm.define(self.body)

    def llvm_inline(self, operands: Sequence[str], fresh: Callable[[], str],
                    contract: bool = True) -> tuple[list[str], str]:
        """Lines of LLVM IR that compute it from `operands`, and the operand that holds the result.

        The result may be a constant or one of the operands. `fresh` gives unused names, with their `%`.
        `contract=False` leaves out the flags that let an expression's a*b + c become one operation."""
        return scalar_llvm.inline(self.body, operands, fresh, contract)

    def numba_define(self) -> str:
        """Source of a function called `name`, decorated with the prelude's `@device`."""
        return scalar_numba.define(self.body)

    def numba_inline(self, operands: Sequence[str]) -> str:
        """One expression; a subexpression that is used twice is written twice."""
        return scalar_numba.inline(self.body, operands)

    def numba_statements(self, operands: Sequence[str], fresh: Callable[[], str]) -> tuple[list[str], str]:
        """Assignments to `fresh` names and the expression of the result: nothing is computed twice."""
        return scalar_numba.statements(self.body, operands, fresh)


def expression(template: str, args: Sequence[str], result: str) -> Scalar:
    """The scalar of a template over operands a, b, c, ... of dtypes `args`, cast to `result`.

    Raises ScalarError, which names the template, if it is not well formed or does not type."""
    return _expression(template, tuple(args), result)


@lru_cache(maxsize=4096)
def _expression(template: str, args: tuple[str, ...], result: str) -> Scalar:
    return Scalar(parse_expression(template, args, result, function_body, "expression"))


@lru_cache(maxsize=4096)
def _function(name: str, args: tuple[str, ...]) -> Scalar:
    return Scalar(function_body(name, args))


def function(name: str, args: Sequence[str]) -> Scalar:
    """A math function at these dtypes; raises ScalarError if there is none."""
    return _function(name, tuple(args))
