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


def _bound(op: Op) -> _Run:
    """An op on arrays that lie at the addresses which native code gives: operands, then results."""
    kind, attrs, count = op.kind, dict(op.attrs), len(op.operands)
    views = [_view(v) for v in (*op.operands, *op.results)]
    pointers = ctypes.c_void_p * len(views)
    into = kind.into if kind.into is not None else _copied(kind.reference)
    pairs = kind.over

    def run(addresses: int) -> None:
        at = pointers.from_address(addresses)
        arrays = [view(p) for view, p in zip(views, at, strict=True)]
        for r, p in pairs:
            if at[count + r] == at[p]:
                arrays[p] = arrays[count + r]
        into(tuple(arrays[count:]), *arrays[:count], **attrs)

    return run


def _view(value: Value) -> Callable[[int | None], np.ndarray]:
    """Addresses of values of this type as arrays."""
    dims, dtype, nbytes = value.type.dims, value.type.np_dtype, value.type.nbytes
    if not nbytes:
        return lambda address: np.empty(dims, dtype)
    raw = ctypes.c_char * nbytes
    return lambda address: np.ndarray(dims, dtype, raw.from_address(address or 0))  # type: ignore[arg-type]


def _copied(reference: Callable[..., Any]) -> Callable[..., None]:
    """A reference as an `into`."""

    def into(results: tuple[np.ndarray, ...], *operands: np.ndarray, **attrs: Any) -> None:
        found = reference(*operands, **attrs)
        for result, array in zip(results, found if isinstance(found, tuple) else (found,), strict=True):
            np.copyto(result, array)

    return into
