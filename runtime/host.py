"""The host: runs library ops (`weft.ir.ops.library`) for a step, from native code back in Python.

    step --number, addresses--> ctypes callback (takes Python's lock) --arrays on those addresses--> the op's reference
         <--0, or 1: it raised--

Which op has which number, and the types of its operands and results, are the executable's; object code has the number
only, so it may come from the disk. What an op raises waits for the step to end, in the thread that called it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.graph import Op, Value

_Run = Callable[[Any], None]
_raised = threading.local()


class Host:
    """Runs the library ops of one step. pointer: an array that holds the address of the function to be called."""

    def __init__(self, ops: Sequence[Op]) -> None:
        runs = [_bound(op) for op in ops]

        def call(number: int, addresses: int) -> int:
            try:
                runs[number](addresses)
            except BaseException as error:
                location = ops[number].location
                if location is not None:
                    error.add_note(f"at {location}")
                _raised.error = error
                return 1
            return 0

        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(call)
        self.pointer = np.array([ctypes.cast(self._function, ctypes.c_void_p).value], np.uint64)

    def error(self) -> BaseException:
        """What the op that ended this thread's step raised."""
        error: BaseException = _raised.error
        del _raised.error
        return error


def forget() -> None:
    """Let go what an op raised in this thread's step, which ends with another error."""
    _raised.__dict__.pop("error", None)


def _bound(op: Op) -> _Run:
    """An op on arrays that lie at the addresses which native code gives: operands, then results."""
    kind, attrs, count = op.kind, dict(op.attrs), len(op.operands)
    views = [_view(v) for v in (*op.operands, *op.results)]
    read = (ctypes.c_void_p * len(views)).from_address
    into = kind.into if kind.into is not None else _copied(kind.reference)
    pairs, array = kind.over, np.ndarray

    def run(addresses: int) -> None:
        at = read(addresses)[:]
        arrays = [array(dims, dtype, lay(p)) for (dims, dtype, lay), p in zip(views, at, strict=True)]
        results = arrays[count:]
        for r, p in pairs:
            if at[count + r] == at[p]:
                arrays[p] = results[r]
        into(results, *arrays[:count], **attrs)

    return run


def _view(value: Value) -> tuple[Any, ...]:
    """Shape, dtype, and what makes a buffer of an address. Empty arrays need none."""
    nbytes = value.type.nbytes
    return value.type.dims, value.type.np_dtype, (ctypes.c_char * nbytes).from_address if nbytes else lambda p: None


def _copied(reference: Callable[..., Any]) -> Callable[..., None]:
    """A reference as an `into`."""

    def into(results: Sequence[np.ndarray], *operands: np.ndarray, **attrs: Any) -> None:
        found = reference(*operands, **attrs)
        for result, array in zip(results, found if isinstance(found, tuple) else (found,), strict=True):
            np.copyto(result, array)

    return into
