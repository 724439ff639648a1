"""Random numbers that are drawn while a function is captured: once, and every call of what is compiled has the same.

    noise = rng.normal(size=3)        in a compiled function, or in the body of a loop that is kept: a warning, at the
                                      user's line, the first time in a capture

Converted functions show whose method they call. Where no source was found, the states of NumPy's and Python's own
generators tell. A generator that is made in the captured function, with a seed, would give the same numbers anyway.
"""

from __future__ import annotations

import random
import sys
import warnings
from typing import Any

import numpy as np

from weft.frontend.capture import Trace, captures
from weft.frontend.errors import HostEffectWarning, message
from weft.frontend.location import user_frame

_UNDRAWN = (623, 624)  # where generators of NumPy stand when their module has been loaded, by its version
_NUMPY = "numpy.random"  # which `import numpy` does not load, and takes a tenth as long as that
_QUIET = frozenset({"get_state", "getstate"})


def is_generator(obj: Any) -> bool:
    """Whether it is a generator of NumPy's or Python's."""
    kind = type(obj)
    if kind is random.Random or kind is random.SystemRandom:
        return True
    return _NUMPY in sys.modules and (kind is np.random.Generator or kind is np.random.RandomState)


def note_call(function: Any, owner: Any) -> None:
    """A converted function calls a method of a generator. Warns where that draws for all calls to come."""
    trace = _lasting()
    if trace is None or any(owner is g for g in trace.seeded) or function.__name__ in _QUIET:
        return
    _warn(trace, "draws random numbers")


def note_made(generator: Any, seeded: bool) -> None:
    trace = _lasting()
    if seeded and trace is not None:
        trace.seeded.append(generator)


def state() -> Any:
    """Of NumPy's and Python's own generators; NumPy's is None while nobody has loaded it."""
    if _NUMPY not in sys.modules:
        return None, random.getstate()
    _, keys, *rest = np.random.get_state()
    return (np.asarray(keys).tobytes(), *rest), random.getstate()


def note_state(before: Any, trace: Trace) -> None:
    """Warns, at the end of a capture, if somebody has drawn from those generators and it was not seen."""
    now = state()
    if before[0] is None and now[0] is not None and now[0][1] in _UNDRAWN:
        before = now[0], before[1]
    if before != now:
        name = trace.builder.name
        _warn(trace, f"{name} (or another thread) draws random numbers, in code whose source was not found")


_ADVICE = (
    "They are drawn when the function is traced: all calls of it, or trips of its loop, have the same.\n"
    "Draw them outside, and pass them as an argument."
)


def _lasting() -> Trace | None:
    """The outermost capture of this thread, if what is captured is run more than once."""
    stack = captures()
    return stack[0] if any(t.region or t.compiled for t in stack) else None


def _warn(trace: Trace, text: str) -> None:
    """At the user's line, once in a capture."""
    if trace.warned:
        return
    trace.warned = True
    frame = user_frame(2)
    file, line = (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("<unknown>", 0)
    warnings.warn_explicit(message(text, (), _ADVICE), HostEffectWarning, file, line)
