"""The little of ELF that a loader must know before it trusts an object: its machine, and its symbols.

    header -> section headers -> .symtab -> (name, section): section 0 is undefined, any other defined here

Every offset is checked against the length of the bytes, so garbage raises ``ObjectError`` here, in Python,
before LLVM's linker (which assumes a well-formed file) sees it.
"""

from __future__ import annotations

import platform
import struct
import sys
from typing import NamedTuple

_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183, "riscv64": 243, "ppc64le": 21}
_RELOCATABLE, _SYMTAB = 1, 2
_LOCAL, _SECTION_SYMBOL, _FILE_SYMBOL = 0, 3, 4


class ObjectError(RuntimeError):
    """Bytes that are not a loadable object of this machine, or an object whose symbols cannot be resolved."""


class Symbols(NamedTuple):
    """Names of an object's global symbols: what it defines, what it asks for."""

    defined: frozenset[str]
    undefined: frozenset[str]


def read_symbols(obj: bytes) -> Symbols:
    """The global symbols of a 64-bit ELF object of this machine; ``ObjectError`` for anything else."""
    order = "<" if sys.byteorder == "little" else ">"
    try:
        return _symbols(obj, order)
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise ObjectError(f"truncated or damaged object file ({error})") from None


def _symbols(obj: bytes, order: str) -> Symbols:
    if obj[:4] != b"\x7fELF":
        raise ObjectError("not an ELF object file")
    if obj[4] != 2 or obj[5] != (1 if order == "<" else 2):
        raise ObjectError("not a 64-bit ELF object of this byte order")
    kind, machine = struct.unpack_from(order + "HH", obj, 16)
    if kind != _RELOCATABLE:
        raise ObjectError(f"not a relocatable object (ELF type {kind})")
    if machine != _MACHINES.get(platform.machine().lower(), machine):
        raise ObjectError(f"an object for another machine (ELF machine {machine}, this is {platform.machine()})")
    (table,) = struct.unpack_from(order + "Q", obj, 40)
    entry, count = struct.unpack_from(order + "HH", obj, 58)
    sections = [_section(obj, order, table + entry * i) for i in range(count)]
    defined: set[str] = set()
    undefined: set[str] = set()
    for kind, offset, size, link in sections:
        if kind == _SYMTAB:
            _, names, length, _ = sections[link]
            strings = obj[names : names + length]
            for at in range(offset, offset + size, 24):
                name, info, _, section = struct.unpack_from(order + "IBBH", obj, at)
                if name and info >> 4 != _LOCAL and info & 15 not in (_SECTION_SYMBOL, _FILE_SYMBOL):
                    text = strings[name : strings.index(b"\0", name)].decode()
                    (defined if section else undefined).add(text)
    return Symbols(frozenset(defined), frozenset(undefined))


def _section(obj: bytes, order: str, at: int) -> tuple[int, int, int, int]:
    """(type, offset, size, link) of the section header at ``at``, its extent checked."""
    kind, _, _, offset, size, link = struct.unpack_from(order + "IQQQQI", obj, at + 4)
    if kind != 8 and offset + size > len(obj):  # 8: .bss occupies no bytes of the file
        raise ObjectError("truncated object file: a section ends beyond its last byte")
    return kind, offset, size, link
