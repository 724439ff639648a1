"""What a `for` goes through: ranges, arrays, and enumerate, zip and reversed of them, by position.

    enumerate(zip(xs, ys))     trip i:  (i, (xs[i], ys[i]))

Their positions may be traced, and so may the number of trips of a range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from weft.frontend.errors import ArgumentError, message
from weft.frontend.lengths import trip_count
from weft.frontend.tracer import Tracer, as_tracer
from weft.ir.dims import Dim
from weft.ir.ops.control import AGAIN, is_checkpoint
from weft.ir.records import dataclass

Number = Any  # an int, or a weak tracer of one


@dataclass(frozen=True)
class Series:
    """Items `at(i)` for i in range(start, stop, step). traced: they hold traced values."""

    start: Number
    stop: Number
    step: int
    at: Callable[[Any], Any]
    traced: bool = False

    @property
    def open(self) -> bool:
        """Whether the number of trips is only known when the program runs."""
        return type(self.start) is Tracer or type(self.stop) is Tracer

    @property
    def trips(self) -> int:
        return trip_count(self.start, self.stop, self.step)

    def __iter__(self) -> Iterator[Any]:
        return (self.at(i) for i in range(int(self.start), int(self.stop), self.step))

    def __len__(self) -> int:
        return self.trips


class Unrolled:
    """`weft.unroll(iterable)`: the loop over it is run trip by trip."""

    def __init__(self, iterable: Any) -> None:
        self.iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def __len__(self) -> int:
        return len(self.iterable)


class Rolled(Unrolled):
    """`weft.rolled(iterable, checkpoint=None)`: the loop over it is kept as a loop, or an error says why it can't be.

    checkpoint: what the loop's gradient keeps, see `as_checkpoint`.
    """

    def __init__(self, iterable: Any, checkpoint: Any = None) -> None:
        super().__init__(iterable)
        self.checkpoint = as_checkpoint(checkpoint)


def as_checkpoint(value: Any) -> int | str | None:
    """What a loop's gradient keeps, as the loop's attribute.

    None: of each trip what the backward pass reads of it. A number s: at most s snapshots of what the loop carries,
    from which trips are run again, as few as can be (Griewank and Walther's Revolve). "sqrt" or True: a number in the
    order of the square root of the number of trips, each trip is run at most three times then; 64 where their number
    is only known when the program runs. "64MB", "1.5GiB": as many as have room. Raises ArgumentError for all else.
    """
    if value is None or value is False:
        return None
    if value is True:
        return "sqrt"
    given = int(value) if isinstance(value, np.integer) else value
    if not is_checkpoint(given) or given == AGAIN:
        advice = 'Give a number of snapshots, "sqrt", or a number of bytes like "64MB".'
        raise ArgumentError(message(f"checkpoint={value!r} is no way to keep what a gradient needs", (), advice))
    return given  # type: ignore[no-any-return]


def as_series(iterable: Any) -> Series | None:
    """A thing that a `for` may go through by position; None for all else."""
    if isinstance(iterable, Series):
        return iterable
    if isinstance(iterable, Rolled):
        return as_series(iterable.iterable)
    if type(iterable) is range:
        return Series(iterable.start, iterable.stop, iterable.step, lambda i: i)
    if type(iterable) is Tracer and iterable.shape:
        return Series(0, iterable.shape[0], 1, lambda i: iterable[i], True)
    if type(iterable) is np.ndarray and iterable.ndim and iterable.dtype.kind in "biuf":
        return Series(0, iterable.shape[0], 1, lambda i: item(iterable, i))
    return None


def item(array: Any, i: Any) -> Any:
    """`array[i]`, of an array that need not be traced when i is."""
    if type(i) is not Tracer or type(array) is Tracer:
        return array[i]
    return as_tracer(array, i)[i]


def range_(*bounds: Any) -> Any:
    """`range`, of traced numbers too (its step has to be known)."""
    if not any(type(b) in (Tracer, Dim) for b in bounds):
        return range(*bounds)
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    return Series(start, stop, step.__index__(), lambda i: i)


def enumerate_(iterable: Any, start: Any = 0) -> Any:
    series = as_series(iterable)
    if series is None or series.step != 1 or type(series.start) is Tracer:
        return enumerate(iterable, start)
    shift = start - series.start
    count = lambda i: i + shift if shift else i  # noqa: E731
    return Series(series.start, series.stop, 1, lambda i: (count(i), series.at(i)), series.traced)


def zip_(*iterables: Any, strict: bool = False) -> Any:
    found = [as_series(x) for x in iterables]
    known = [s for s in found if s is not None and not s.open]
    if len(known) != len(iterables) or not any(s.traced for s in known):
        return zip(*iterables, strict=strict)
    if strict and len({s.trips for s in known}) > 1:
        return zip(*iterables, strict=True)
    trips = min(s.trips for s in known)
    return Series(0, trips, 1, lambda i: tuple(s.at(s.start + i * s.step) for s in known), True)


def reversed_(sequence: Any) -> Any:
    series = as_series(sequence)
    if series is None or series.open:
        return reversed(sequence)
    trips, start, step = series.trips, series.start, series.step
    return Series(start + (trips - 1) * step, start - step, -step, series.at, series.traced)
