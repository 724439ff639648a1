"""Objects of x86-64 Linux placed in memory and linked, without LLVM, whose loading takes longer than all of the rest.

    objects --sections, by what may be done with them--> | code, stubs | constants, addresses | data | --> protected

It knows what LLVM emits for weft's modules (position-independent code, the small code model): sections, symbols, and
the relocations below. For anything else it says None, and LLVM links. Unwind tables are left out: nothing is thrown
through this code.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from weft.ir.records import dataclass

_X86_64, _PAGE = 62, mmap.PAGESIZE
_RELA, _SYMTAB, _NOBITS, _UNWIND = 4, 2, 8, 0x70000001
_INITIALISERS = {14, 15, 16}
_WRITE, _ALLOCATE, _EXECUTE, _THREAD = 0x1, 0x2, 0x4, 0x400
_LOCAL, _GLOBAL, _WEAK = 0, 1, 2
_PLAIN_SYMBOLS = {0, 1, 2, 3, 4}  # none, object, function, section, file
_ABS64, _PC32, _PLT32, _PC64 = 1, 2, 4, 24
_BY_ADDRESS = {9, 41, 42}  # relative to the place of the address, in a table
_STUB = b"\xff\x25\x00\x00\x00\x00"  # jmp *(the eight bytes after this)
_STUB_SIZE = 16
_READ, _READ_WRITE, _READ_EXECUTE = 1, 3, 5  # mprotect's


class Unknown(Exception):
    """Something that LLVM has to link."""


@dataclass(frozen=True)
class Loaded:
    """memory: has to be kept as long as the code is used. addresses: of the global symbols."""

    memory: Any
    addresses: dict[str, int]


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int


def link(objects: Sequence[bytes], imports: Mapping[str, int]) -> Loaded | None:
    """The objects as one, whose undefined symbols are each other's or have these addresses.  None where that can't be
    done here."""
    if sys.platform != "linux" or any(len(o) < 64 or o[18:20] != bytes([_X86_64, 0]) for o in objects):
        return None
    try:
        return _Link(objects, imports).loaded()
    except (Unknown, struct.error, OSError, IndexError, ValueError):
        return None


class _Memory:
    """Pages of this process, unmapped with the last reference to this; never when Python goes down, as a thread may
    still run there."""

    def __init__(self, size: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        allocate, self._protect, release = libc.mmap, libc.mprotect, libc.munmap
        pointer, length, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        allocate.restype, allocate.argtypes = pointer, [pointer, length, number, number, number, ctypes.c_long]
        self._protect.argtypes, release.argtypes = [pointer, length, number], [pointer, length]
        found = allocate(None, size, _READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if found is None or found == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "no memory for code")
        self.address: int = found
        weakref.finalize(self, release, found, size).atexit = False

    def protect(self, offset: int, size: int, how: int) -> None:
        if size and self._protect(self.address + offset, size, how):
            raise OSError(ctypes.get_errno(), "code can't be made executable")


class _Link:
    def __init__(self, objects: Sequence[bytes], imports: Mapping[str, int]) -> None:
        self.objects = objects
        self.imports = imports
        self.sections = [_sections(obj) for obj in objects]
        self.places: dict[tuple[int, int], int] = {}  # object and section -> offset in the image
        self.image = bytearray()
        self.names: list[list[tuple[str, int, int, int, int]]] = []
        self.stubs: dict[int, int] = {}
        self.table: dict[int, int] = {}

    def loaded(self) -> Loaded:
        self.names = [_symbols(o, s) for o, s in zip(self.objects, self.sections, strict=True)]
        relocations = [(n, *r) for n, o in enumerate(self.objects) for r in _relocations(o, self.sections[n])]
        code = self._place(_EXECUTE)
        stubs = self._room(_STUB_SIZE * sum(len(n) for n in self.names))
        constants = self._place(0)
        table = self._room(8 * sum(len(n) for n in self.names))
        data = self._place(_WRITE)
        self._pad(_PAGE)
        memory = _Memory(max(len(self.image), _PAGE))
        base = memory.address
        defined = self._defined(base)
        for n, section, offset, kind, symbol, addend in relocations:
            if (n, section) in self.places:
                at = self.places[n, section] + offset
                target, outside = self._target(n, symbol, base, defined)
                self._relocate(kind, at, target, outside, addend, base, stubs, table)
        buffer = (ctypes.c_char * len(self.image)).from_buffer(self.image)
        ctypes.memmove(base, buffer, len(self.image))
        memory.protect(code, constants - code, _READ_EXECUTE)
        memory.protect(constants, data - constants, _READ)
        return Loaded(memory, defined)

    # ---- the image ----

    def _place(self, wanted: int) -> int:
        """Put all sections of one sort into the image, from a page of their own on; where that is."""
        self._pad(_PAGE)
        start = len(self.image)
        for n, sections in enumerate(self.sections):
            for i, s in enumerate(sections):
                if s.kind in _INITIALISERS or s.flags & _THREAD:
                    raise Unknown
                unwinding = s.kind == _UNWIND or s.name == ".eh_frame"
                if s.flags & _ALLOCATE and not unwinding and s.flags & (_WRITE | _EXECUTE) == wanted:
                    self._pad(max(s.align, 1))
                    self.places[n, i] = len(self.image)
                    empty = s.kind == _NOBITS
                    self.image += bytes(s.size) if empty else self.objects[n][s.offset : s.offset + s.size]
        return start

    def _room(self, size: int) -> int:
        self._pad(16)
        start = len(self.image)
        self.image += bytes(size)
        return start

    def _pad(self, align: int) -> None:
        self.image += bytes(-len(self.image) % align)

    # ---- symbols ----

    def _defined(self, base: int) -> dict[str, int]:
        found: dict[str, int] = {}
        weak: dict[str, int] = {}
        for n, symbols in enumerate(self.names):
            for name, bind, kind, section, value in symbols:
                if bind in (_GLOBAL, _WEAK) and section:
                    if kind not in _PLAIN_SYMBOLS or (n, section) not in self.places or name in found:
                        raise Unknown
                    (weak if bind == _WEAK else found)[name] = base + self.places[n, section] + value
        return {**weak, **found}

    def _target(self, n: int, symbol: int, base: int, defined: Mapping[str, int]) -> tuple[int, bool]:
        """The address of a symbol, and whether it is far away."""
        name, bind, kind, section, value = self.names[n][symbol]
        if kind not in _PLAIN_SYMBOLS:
            raise Unknown
        if bind == _LOCAL:
            if (n, section) not in self.places:
                raise Unknown
            return base + self.places[n, section] + value, False
        if name in defined:
            return defined[name], False
        if name not in self.imports:
            raise Unknown
        return self.imports[name], True

    # ---- relocations ----

    def _relocate(
        self, kind: int, at: int, target: int, outside: bool, addend: int, base: int, stubs: int, table: int
    ) -> None:
        if kind == _ABS64:
            struct.pack_into("<Q", self.image, at, (target + addend) & (1 << 64) - 1)
        elif kind == _PC64:
            struct.pack_into("<q", self.image, at, target + addend - (base + at))
        elif kind in (_PC32, _PLT32):
            if outside and kind == _PLT32:
                target = base + self._stub(target, stubs)
            struct.pack_into("<i", self.image, at, target + addend - (base + at))
        elif kind in _BY_ADDRESS:
            struct.pack_into("<i", self.image, at, self._entry(target, table) + addend - at)
        else:
            raise Unknown

    def _stub(self, target: int, stubs: int) -> int:
        """Code within reach that jumps there."""
        if target not in self.stubs:
            at = self.stubs[target] = stubs + _STUB_SIZE * len(self.stubs)
            self.image[at : at + 14] = _STUB + struct.pack("<Q", target)
        return self.stubs[target]

    def _entry(self, target: int, table: int) -> int:
        """A place within reach that holds the address."""
        if target not in self.table:
            at = self.table[target] = table + 8 * len(self.table)
            struct.pack_into("<Q", self.image, at, target)
        return self.table[target]


def _sections(obj: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", obj, 40)
    size, count, names = struct.unpack_from("<HHH", obj, 58)
    found = [struct.unpack_from("<IIQQQQIIQQ", obj, start + size * i) for i in range(count)]
    strings = found[names][4]
    return [_Section(_text(obj, strings + s[0]), s[1], s[2], s[4], s[5], s[6], s[7], s[8]) for s in found]


def _text(obj: bytes, at: int) -> str:
    return obj[at : obj.index(b"\0", at)].decode()


def _symbols(obj: bytes, sections: Sequence[_Section]) -> list[tuple[str, int, int, int, int]]:
    """(name, binding, kind, section, value) of each. Raises Unknown where they are no list of plain ones."""
    tables = [s for s in sections if s.kind == _SYMTAB]
    if len(tables) != 1:
        raise Unknown
    strings = sections[tables[0].link].offset
    found = []
    for at in range(tables[0].offset, tables[0].offset + tables[0].size, 24):
        name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", obj, at)
        found.append((_text(obj, strings + name), info >> 4, info & 15, section, value))
    return found


def _relocations(obj: bytes, sections: Sequence[_Section]) -> list[tuple[int, int, int, int, int]]:
    """(section, offset, kind, symbol, addend) of each."""
    found = []
    for s in sections:
        if s.kind == _RELA:
            for offset, info, addend in struct.iter_unpack("<QQq", obj[s.offset : s.offset + s.size]):
                found.append((s.info, offset, info & 0xFFFFFFFF, info >> 32, addend))
    return found
