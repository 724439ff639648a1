"""Calls without Python: a compiled function's fast way, as a builtin function object. And the last step of the other.

    direct(graph, step, boundary) -> f;    f(*arguments) -> the result, or MISSED: go the general way

What `weft.ir.boundary` says of the arguments and results becomes a program for the instructions of `direct_ir`.
Where objects don't lie in memory as expected, or Python has no global lock, there is no such way.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from weft.codegen import entry
from weft.ir.boundary import MISSED, Argument, Boundary, Constant, Container, Leaf, Node, Result
from weft.ir.graph import Graph
from weft.runtime import native

MOST_WORDS = 4096  # of a frame: it lies on the thread's stack
_FASTCALL, _KEYWORDS = 0x80, 0x2
_NUMPY = {"weft_numpy_new": 94, "weft_numpy_scalar": 60, "weft_numpy_read": 62}  # in NumPy's table for C


def supported() -> bool:
    """Do objects and arrays lie in memory as `direct_ir` reads them, and does one lock guard them?"""
    if sys.implementation.name != "cpython" or "t" in sys.abiflags:
        return False
    array = np.empty((2, 3))[1:]
    word = lambda offset: ctypes.c_void_p.from_address(id(array) + offset).value  # noqa: E731
    small = lambda offset: ctypes.c_int.from_address(id(array) + offset).value  # noqa: E731
    if word(entry.OBJECT_TYPE) != id(np.ndarray):
        return False
    dims = word(entry.ARRAY_DIMS)
    return (
        word(entry.ARRAY_DATA) == array.ctypes.data
        and word(entry.ARRAY_DESCR) == id(array.dtype)
        and word(entry.ARRAY_BASE) == id(array.base)
        and (small(entry.ARRAY_NDIM), small(entry.ARRAY_FLAGS)) == (2, array.flags.num)
        and dims is not None
        and tuple((ctypes.c_int64 * 2).from_address(dims)) == (1, 3)
    )


@native.once
def _library() -> native.Library:
    for name, index in _NUMPY.items():
        native.provide(name, functools.partial(_numpy_address, index))
    return native.build_source(native.Source("direct", "direct calls", _write))


def _write() -> str:
    from weft.codegen.functions import module
    from weft.runtime.direct_ir import direct_ir

    return module(direct_ir())


def _numpy_address(index: int) -> int:
    table = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    found = (ctypes.c_void_p * (index + 1)).from_address(get(table, None))[index]
    assert found is not None
    return found


def enter(step: int, inputs: int, slots: int, written: Collection[int]) -> Callable[[tuple[np.ndarray, ...]], int]:
    """The step at address `step` as a callable over a tuple of arrays, the first `inputs` of which are the inputs.

    Reading the pointers from the array objects costs nanoseconds where asking each array for its address costs a
    microsecond. It returns COPY, with nothing run, unless every input is contiguous, aligned and (those `written`)
    writeable.
    """
    plain = entry.C_CONTIGUOUS | entry.ALIGNED
    masks = [plain | (entry.WRITEABLE if i in written else 0) for i in range(inputs)]
    words = [step, slots, inputs, *masks]
    return functools.partial(_enter(), (ctypes.c_int64 * len(words))(*words))


@native.once
def _enter() -> Callable[..., int]:
    return _library().function("weft_enter", ctypes.c_int64, ctypes.c_void_p, ctypes.py_object)


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]  # fmt: skip


@native.once
def _method() -> _Method:
    return _Method(b"direct", _library().address("weft_call"), _FASTCALL | _KEYWORDS, None)


@functools.cache
def _instructions() -> dict[str, int]:
    return {name.removeprefix("weft_"): _library().address(name) for name in _library().symbols}


@functools.cache
def _python(name: str) -> int:
    """The address of a function of CPython's C API."""
    found = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert found is not None
    return found


@functools.cache
def _make_builtin() -> Callable[..., Any]:
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make


def direct(
    graph: Graph, boundary: Boundary, taken: dict[int, int], step: int, constants: list[np.ndarray],
    arena: tuple[np.ndarray, int], tell: Callable[[int, int, int], None], keep: Any
) -> Callable[..., Any] | None:  # fmt: skip
    """A builtin that takes arguments of this boundary, runs the step at address `step` and gives its results.

    Called with anything else it returns MISSED, with nothing done. taken: output -> the input whose buffer it takes.
    arena: what the step works in, and where in it a bad index is recorded. `tell(end, number, index)` raises when the
    step ends with anything but 0. None where the boundary is too wide.
    """
    program = _Program(graph, boundary, taken)
    words = program.assemble(step, constants, arena, tell)
    if words is None:
        return None
    method = _method()
    held = (words, method, program.kept, arena, constants, tell, keep)
    return _make_builtin()(ctypes.addressof(method), held, None)


class _Program:
    """The instructions of one boundary. Objects are owned first, then pointers, then cells: the frame's places are
    numbered once it is known how many of each there are."""

    def __init__(self, graph: Graph, boundary: Boundary, taken: dict[int, int]) -> None:
        self.graph = graph
        self.boundary = boundary
        self.taken = taken
        self.lines: list[tuple[Any, ...]] = []
        self.kept: list[Any] = [MISSED]
        self.objects = len(boundary.arguments)
        self.cells = 0
        self.where: dict[int, tuple[str, int]] = {}  # inputs -> the place of the object

    # ---- writing ----

    def put(self, name: str, *operands: Any) -> None:
        self.lines.append((name, *operands))

    def owned(self, count: int = 1) -> tuple[str, int]:
        self.objects += count
        return ("object", self.objects - count)

    def cell(self) -> tuple[str, int]:
        self.cells += 1
        return ("cell", self.cells - 1)

    def address(self, obj: Any) -> int:
        self.kept.append(obj)
        return id(obj)

    def assemble(
        self, step: int, constants: list[np.ndarray], arena: tuple[np.ndarray, int], tell: Callable[..., None]
    ) -> np.ndarray | None:
        graph, boundary = self.graph, self.boundary
        inputs, outputs = len(graph.inputs), len(graph.outputs)
        for n, node in enumerate(boundary.arguments):
            self.take(node, ("object", n))
        self.guard_writes()
        made = [self.make(j) for j in range(outputs)]
        for k, array in enumerate(constants):
            self.put("point", ("pointer", inputs + outputs + k), array.ctypes.data)
        last = inputs + outputs + len(constants)
        memory, errors = arena
        self.put("run", step, ("pointer", 0), ("pointer", last), memory.nbytes, memory.ctypes.data, errors,
                 self.address(tell))  # fmt: skip
        result = self.give(boundary.result, made)
        first = {"object": 0, "pointer": self.objects, "cell": self.objects + last + 1}
        count = self.objects + last + 1 + self.cells
        if count > MOST_WORDS:
            return None
        number = lambda o: first[o[0]] + o[1] if isinstance(o, tuple) else o  # noqa: E731
        names = self.address(tuple(map(sys.intern, boundary.names))) if boundary.names else 0
        words = [len(boundary.arguments), count, self.objects, number(result), id(MISSED), names]
        assert len(words) == entry.HEADER
        addresses = _instructions()
        for name, *operands in self.lines:
            words += [addresses[name], 2 + len(operands), *map(number, operands)]
        return np.array([*words, 0], np.int64)

    # ---- arguments ----

    def take(self, node: Node, source: tuple[str, int]) -> None:
        if isinstance(node, Leaf):
            self.take_leaf(node, source)
            return
        if isinstance(node, Constant):
            self.put("take_same", source, self.address(node.value))
            return
        assert isinstance(node, Container)
        target = self.owned(len(node.children))
        if node.keys is not None:
            keys = [self.address(key) for key in node.keys]
            self.put("take_keys", source, id(dict), len(keys), target, *keys)
        else:
            size, get = (_python(f"Py{node.cls.__name__.title()}_{what}") for what in ("Size", "GetItem"))
            self.put("take_items", source, id(node.cls), size, get, len(node.children), target)
        for n, child in enumerate(node.children):
            self.take(child, (target[0], target[1] + n))

    def take_leaf(self, leaf: Leaf, source: tuple[str, int]) -> None:
        type_, pointer = self.graph.inputs[leaf.position].type, ("pointer", leaf.position)
        self.where[leaf.position] = source
        if leaf.cls is np.ndarray:
            flags = entry.C_CONTIGUOUS | entry.ALIGNED | (entry.WRITEABLE if leaf.position in self.written else 0)
            descr = self.address(type_.np_dtype)
            self.put("take_array", source, id(np.ndarray), pointer, descr, flags, type_.rank, *type_.dims)
            return
        cell, cls = self.cell(), self.address(leaf.cls)
        name = {float: "take_float", int: "take_int", bool: "take_bool"}.get(leaf.cls, "take_scalar")
        self.put(name, source, cls, pointer, cell, *([id(True)] if leaf.cls is bool else []))
        if leaf.fixed is not None:
            form = "d" if leaf.cls is float else "q"
            self.put("take_value", cell, *struct.unpack("q", struct.pack(form, leaf.fixed)))

    @property
    def written(self) -> set[int]:
        return {*self.taken.values(), *(i for i, _ in self.boundary.stored)}

    def guard_writes(self) -> None:
        """Nobody else may see what is written: neither another argument nor, of donated buffers, the owner of one."""
        sizes = {i: self.graph.inputs[i].type.nbytes for i in self.where}
        for i in sorted(self.written):
            if i in self.boundary.donated:
                self.put("take_own", self.where[i])
            for k in sizes:
                if k != i and not (k in self.written and k < i):
                    self.put("take_apart", ("pointer", i), sizes[i], ("pointer", k), sizes[k])

    # ---- results ----

    def make(self, j: int) -> tuple[str, int]:
        """Room for output j, before the step runs: the place of an array, or of a scalar's cell."""
        type_, pointer = self.graph.outputs[j].type, ("pointer", len(self.graph.inputs) + j)
        if j in self.taken:
            i = self.taken[j]
            self.put("point_as", pointer, ("pointer", i))
            return self.where[i]
        if not type_.dims:
            cell = self.cell()
            self.put("give_cell", pointer, cell)
            return cell
        target = self.owned()
        self.put("give_array", target, pointer, id(np.ndarray), self.address(type_.np_dtype), type_.rank, *type_.dims)
        return target

    def give(self, node: Node, made: list[tuple[str, int]]) -> tuple[str, int]:
        """The place of a result."""
        if isinstance(node, Argument):
            return self.where[node.position]
        if isinstance(node, Result):
            return self.give_result(node, made[node.position])
        target = self.owned()
        if isinstance(node, Constant):
            self.put("give_object", target, self.address(node.value))
            return target
        assert isinstance(node, Container)
        children = [self.give(child, made) for child in node.children]
        if node.keys is not None:
            pairs = zip([self.address(key) for key in node.keys], children, strict=True)
            self.put("give_keys", target, len(children), *(word for pair in pairs for word in pair))
            return target
        name = "List" if node.make is not None else node.cls.__name__.title()
        new, put = (_python(f"Py{name}_{what}") for what in ("New", "SetItem"))
        self.put("give_items", target, new, put, len(children), *children)
        if node.make is None:
            return target
        whole = self.owned()
        self.put("give_made", whole, self.address(node.make), target)
        return whole

    def give_result(self, node: Result, place: tuple[str, int]) -> tuple[str, int]:
        type_ = self.graph.outputs[node.position].type
        if type_.dims:
            return place
        target = self.owned()
        if node.cls is not None:
            self.put(f"give_{node.cls.__name__}", target, place)
        else:
            self.put("give_scalar", target, place, self.address(type_.np_dtype))
        return target
