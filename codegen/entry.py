"""How Python calls a step: with a tuple of arrays, whose pointers are read natively.

    i64 enter(ptr tuple)      what `step` returns, or COPY with nothing run
"""

from __future__ import annotations

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # numpy's flag bits
# Byte offsets in CPython's and NumPy's structs.
OBJECT_TYPE, TUPLE_ITEMS = 8, 24
ARRAY_DATA, ARRAY_NDIM, ARRAY_DIMS, ARRAY_BASE, ARRAY_DESCR, ARRAY_FLAGS = 16, 24, 32, 48, 56, 64
COPY = 1  # an argument is not as kernels read it: to be copied first
OUT_OF_BOUNDS = 2  # an index was; which is in the step's record of errors
NO_MEMORY = 3


def entry(inputs: int, slots: int, written: set[int]) -> str:
    """`enter`: unpack a tuple of arrays and run the step.

    Reading the pointers from the array objects costs nanoseconds where asking each array for its address
    costs a microsecond. Returns COPY, with nothing run, when an input is not contiguous, aligned and (if
    `written`) writeable. The offsets are checked against NumPy at import.
    """
    lines = ["define i64 @enter(ptr %tuple) nounwind {", f"  %args = alloca [{slots} x ptr]"]
    bad = "0"
    for i in range(slots):
        lines += [
            f"  %i{i} = getelementptr inbounds i8, ptr %tuple, i64 {TUPLE_ITEMS + 8 * i}",
            f"  %o{i} = load ptr, ptr %i{i}",
            f"  %d{i} = getelementptr inbounds i8, ptr %o{i}, i64 {ARRAY_DATA}",
            f"  %p{i} = load ptr, ptr %d{i}",
            f"  %s{i} = getelementptr inbounds ptr, ptr %args, i64 {i}",
            f"  store ptr %p{i}, ptr %s{i}",
        ]
        if i < inputs:
            mask = C_CONTIGUOUS | ALIGNED | (WRITEABLE if i in written else 0)
            lines += [
                f"  %f{i} = getelementptr inbounds i8, ptr %o{i}, i64 {ARRAY_FLAGS}",
                f"  %g{i} = load i32, ptr %f{i}",
                f"  %h{i} = and i32 %g{i}, {mask}",
                f"  %k{i} = xor i32 %h{i}, {mask}",
                f"  %b{i} = or i32 %k{i}, {bad}",
            ]
            bad = f"%b{i}"
    lines += [
        f"  %bad = icmp ne i32 {bad}, 0",
        "  br i1 %bad, label %copy, label %run",
        "copy:",
        f"  ret i64 {COPY}",
        "run:",
        "  %end = call i64 @step(ptr %args)",
        "  ret i64 %end",
        "}",
    ]
    return "\n".join(lines) + "\n"
