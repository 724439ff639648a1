"""What compiled code depends on beside a program: weft's own sources, the CPU, LLVM, NumPy. Known without loading any.

    stamped("step", digest of a graph) -> the key of a note in the cache: which objects they became

A key of object code is made of LLVM text. To write that text again only to find the code in the cache would take longer
than all the rest; so notes say what became of a thing that is cheaper to name. A note is as good as its name is
complete: the name has the size and time of every file of weft's below the frontend and of LLVM's library, as Python
itself judges bytecode by, and what the system says of the CPU. Where any of that can't be had there are no notes.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator

import numpy as np

from weft.runtime.cpus import described

_FOLDERS = ("weft", "weft.ir", "weft.passes", "weft.codegen", "weft.runtime")
_LLVM = os.path.join("binding", "libllvmlite.so")


def stamped(kind: str, name: str) -> str | None:
    """The key of a note about a thing of this kind that its name determines; None where none can be trusted."""
    stamp = _stamp()
    return None if stamp is None else hashlib.sha256(f"{stamp} {kind} {name}".encode()).hexdigest()


@functools.cache
def _stamp() -> str | None:
    cpu = described()
    if not cpu:
        return None
    facts = [sys.version, os.uname().machine, np.__version__, *map(str, cpu.items())]
    try:
        for folder in _FOLDERS:
            facts += sorted(_files(_place(folder), len(_place(folder))))
        llvm = os.stat(os.path.join(_place("llvmlite"), _LLVM))
    except (OSError, ImportError):
        return None
    return hashlib.sha256("\n".join([*facts, f"{llvm.st_size} {llvm.st_mtime_ns}"]).encode()).hexdigest()


def _place(package: str) -> str:
    """The folder of a package. Raises ImportError where it has none, or several."""
    spec = importlib.util.find_spec(package)
    folders = list((spec and spec.submodule_search_locations) or ())
    if len(folders) != 1:
        raise ImportError(package)
    return os.path.abspath(folders[0])


def _files(folder: str, prefix: int) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                info = entry.stat()
                yield f"{entry.path[prefix:]} {info.st_size} {info.st_mtime_ns}"
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _files(entry.path, prefix)
