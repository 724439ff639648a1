"""What the code that calls a step knows of it, and of Python's objects: flags, byte offsets, how a step ends.

    i64 step(ptr args)        0, or why its results are none: OUT_OF_BOUNDS, NO_MEMORY, RAISED
    i64 weft_enter(...)       the same from a tuple of arrays, or COPY with nothing run: see `weft.runtime.direct_ir`
"""

from __future__ import annotations

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # numpy's flag bits
# Byte offsets in CPython's and NumPy's structs.
OBJECT_TYPE, TUPLE_ITEMS = 8, 24
ARRAY_DATA, ARRAY_NDIM, ARRAY_DIMS, ARRAY_BASE, ARRAY_DESCR, ARRAY_FLAGS = 16, 24, 32, 48, 56, 64
COPY = 1  # an argument is not as kernels read it: to be copied first
OUT_OF_BOUNDS = 2  # an index was; which is in the step's record of errors
NO_MEMORY = 3
RAISED = 4  # a library op did
HEADER = 6  # words of a direct call's program before the first instruction
