"""Where in the user's program an op comes from, and which variable its result is stored in.

    loss = np.mean(e * e)          the frame outside weft and NumPy whose call we are in: file, line, and the
           ^^^^^^^ f_lasti         instruction. The one after it is `STORE_FAST loss`: the value's name.

Both depend on the code object and the instruction only, so they are looked up once per place.
"""

from __future__ import annotations

import linecache
import opcode
import os
import sys
from functools import cached_property
from inspect import CO_OPTIMIZED
from itertools import islice
from types import CodeType, FrameType

import numpy as np

from weft import frontend, ir, passes
from weft.ir.graph import Location

LONGEST = 88  # characters of an expression that are shown


class SourceLocation(Location):
    """A Location that reads its expression from the source when somebody asks for it."""

    def __init__(self, file: str, line: int, code: CodeType, instruction: int) -> None:
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "line", line)
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "instruction", instruction)

    @cached_property
    def expression(self) -> str:  # type: ignore[override]
        code, instruction = self.__dict__["code"], self.__dict__["instruction"]
        return expression_at(code, instruction) or line_of(code.co_filename, self.line)


class InputLocation(SourceLocation):
    """Where an input of a graph comes from: `role` says how it got there."""

    def __init__(self, at: SourceLocation, role: str) -> None:
        super().__init__(at.file, at.line, at.__dict__["code"], at.__dict__["instruction"])
        object.__setattr__(self, "role", role)

    role: str


class Site:
    """One instruction of the user's program: its location, and the variable its result goes to, or ""."""

    __slots__ = ("location", "name")

    def __init__(self, location: SourceLocation, name: str) -> None:
        self.location = location
        self.name = name


_Known = tuple[CodeType, dict[int, Site] | None]
_CODES: dict[int, _Known] = {}  # by id: hashing a code object reads all of it. None: code of weft or NumPy
_MANY = 4096

_INSIDE = tuple(
    os.path.dirname(os.path.abspath(str(module.__file__))) + os.sep
    for module in (frontend, ir, passes, sys.modules["weft"], np)
)


def _lookup(code: CodeType) -> _Known:
    known = _CODES.get(id(code))
    if known is None:
        if len(_CODES) > _MANY:
            _CODES.clear()
        file = code.co_filename
        inside = file.startswith(_INSIDE) or os.path.abspath(file).startswith(_INSIDE)
        known = _CODES[id(code)] = (code, None if inside else {})
    return known


def user_frame(depth: int = 1) -> FrameType | None:
    """The first frame outside weft and NumPy, seen from the caller's `depth`-th caller."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        known = _CODES.get(id(frame.f_code)) or _lookup(frame.f_code)
        if known[1] is not None:
            return frame
        frame = frame.f_back
    return None


def site_of(frame: FrameType | None) -> Site | None:
    """The place at which `frame` is; None for a frame of weft or NumPy, or for no frame."""
    if frame is None:
        return None
    code = frame.f_code
    sites = (_CODES.get(id(code)) or _lookup(code))[1]
    if sites is None:
        return None
    site = sites.get(frame.f_lasti)
    if site is None:
        at = frame.f_lasti
        location = SourceLocation(shown_path(code.co_filename), frame.f_lineno or 0, code, at)
        site = sites[at] = Site(location, _stored_name(code, at))
    return site


def here(depth: int = 2) -> SourceLocation | None:
    """Location of the user's expression that is being evaluated."""
    site = site_of(user_frame(depth))
    return site.location if site is not None else None


def in_subscript() -> bool:
    """Whether the user's expression that is being evaluated is `a[b]`."""
    frame = user_frame(2)
    if frame is None:
        return False
    kind, argument = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    return kind == _SUBSCRIPT[0] and _SUBSCRIPT[1] in (None, argument)


def variable_of(obj: object) -> str:
    """The variable by which the user's current function knows an object, or ""."""
    frame = user_frame(2)
    if frame is None:
        return ""
    known = frame.f_locals
    found = next((name for name, held in known.items() if held is obj and name.isidentifier()), "")
    if type(known) is dict and frame.f_code.co_flags & CO_OPTIMIZED:
        known.clear()  # a copy, which the frame would keep, and all that is in it (up to Python 3.12)
    return found or next((name for name in frame.f_code.co_names if frame.f_globals.get(name) is obj), "")


def shown_path(file: str) -> str:
    """`file` relative to the working directory when it is below it."""
    if file.startswith("<"):
        return file
    try:
        relative = os.path.relpath(file)
    except (ValueError, OSError):  # another drive, or a working directory that is gone
        return file
    return file if relative.startswith("..") else relative


_STORES = {
    opcode.opmap[name] for name in ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")
}
_BY_NAME = {opcode.opmap["STORE_NAME"], opcode.opmap["STORE_GLOBAL"]}
# From Python 3.13 on a store may be merged with the instruction after it: the variable is in the high bits.
_MERGED = {opcode.opmap[n] for n in ("STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST") if n in opcode.opmap}
# From Python 3.14 on `a[b]` is a BINARY_OP.
_SUBSCRIPT: tuple[int, int | None] = (opcode.opmap.get("BINARY_SUBSCR", -1), None)
if "BINARY_SUBSCR" not in opcode.opmap:
    operators = [name for name, _ in opcode._nb_ops]  # type: ignore[attr-defined]
    _SUBSCRIPT = (opcode.opmap["BINARY_OP"], operators.index("NB_SUBSCR"))
_CACHE = opcode.opmap.get("CACHE", 0)
_EXTENDED = opcode.opmap["EXTENDED_ARG"]


def _stored_name(code: CodeType, at: int) -> str:
    """The variable into which the result of the instruction at byte `at` goes straight, or ""."""
    text = code.co_code
    at += 2
    while at < len(text) and text[at] == _CACHE:
        at += 2
    argument = 0
    while at < len(text) and text[at] == _EXTENDED:
        argument = (argument | text[at + 1]) << 8
        at += 2
    if at >= len(text):
        return ""
    kind, argument = text[at], argument | text[at + 1]
    if kind in _MERGED:
        argument >>= 4
    elif kind not in _STORES:
        return ""
    names = code.co_names if kind in _BY_NAME else _local_names(code)
    name = names[argument] if argument < len(names) else ""
    return name if name.isidentifier() else ""


def _local_names(code: CodeType) -> tuple[str, ...]:
    """Variables in the interpreter's order: locals, cells that are no arguments, free ones."""
    cells = tuple(name for name in code.co_cellvars if name not in code.co_varnames)
    return code.co_varnames + cells + code.co_freevars


def expression_at(code: CodeType, at: int) -> str:
    """Source text of the instruction at byte `at`, or "" when it can't be had."""
    if code.co_code[at] == opcode.opmap["STORE_SUBSCR"]:
        return ""  # its columns leave out what is stored: the whole line says more
    place = next(islice(code.co_positions(), at // 2, None), (None, None, None, None))
    line, end_line, start, end = place
    if line is None or end_line is None or start is None or end is None:
        return ""
    lines = [text.encode() for text in linecache.getlines(code.co_filename)[line - 1 : end_line]]
    if len(lines) != end_line - line + 1:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]  # columns are counted in bytes
    return shorten(b" ".join(text.strip() for text in lines).decode(errors="replace"))


def line_of(file: str, line: int) -> str:
    """One line of the source, stripped, or ""."""
    return shorten(linecache.getline(file, line).strip())


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
