"""Object bytes become callable addresses.

    bytes --read_symbols--> names --resolve--> addresses --loader, else LLVM's JIT linker--> executable pages

A symbol that an object asks for is looked up in this order: what ``define_symbol`` registered, what a
provider (``provide``) can make when first asked (the thread pool, BLAS), then the process itself, libm and
libgcc (whose helpers convert float16 on CPUs that cannot).  Everything is resolved before LLVM links, so a
missing name is an ``ObjectError`` that says which, never an abort.  A link takes about 0.4 ms and needs
neither Numba nor a compiler, on x86-64 Linux not even llvmlite.

A step is several objects, linked as one (``build_units``). Those of its kernels that an earlier step brought
along are in the process already, and are used from there.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from weft.codegen.objects import LLVM_LOCK, binding, compile_object, compile_objects
from weft.codegen.unit import KERNEL, Unit
from weft.ir.records import dataclass
from weft.runtime.cache import DiskCache, Entry, cache_key, default_cache
from weft.runtime.elf import ObjectError, read_symbols
from weft.runtime.loader import link
from weft.runtime.stamp import stamped

__all__ = ["Library", "ObjectError", "build", "build_units", "define_symbol", "load", "provide", "symbol_address"]

_addresses: dict[str, int] = {}
_providers: dict[str, Callable[[], int]] = {}
_sources: dict[str, Callable[[], Sequence[Source]]] = {}
_names = itertools.count()
T = TypeVar("T")
_DECLARED = re.compile(r"^declare [^@\n]*@([\w.]+)", re.M)


@dataclass(frozen=True)
class Source:
    """A module of weft's own, which a provider loads. write: gives its LLVM IR text."""

    kind: str
    label: str
    write: Callable[[], str]


def once(make: Callable[..., T]) -> Callable[..., T]:
    """What `make` gives for its arguments, made once, whichever threads ask first. Had each a library of its own, the
    first would be unmapped when the second takes its place, and steps that were linked to it would call what is gone.
    """
    made: dict[tuple[Any, ...], T] = {}

    @functools.wraps(make)
    def get(*arguments: Any) -> T:
        if arguments not in made:
            with LLVM_LOCK:
                if arguments not in made:
                    made[arguments] = make(*arguments)
        return made[arguments]

    return get


class Library:
    """Loaded objects.  Their code is unmapped with the last reference to this: keep it beside the address.  It keeps
    the libraries whose code it calls."""

    def __init__(self, tracker: Any, addresses: dict[str, int], used: Sequence[Library] = ()) -> None:
        self._tracker = tracker
        self._addresses = addresses
        self._used = tuple(used)

    def address(self, symbol: str) -> int:
        """The address of a global symbol that the object defines; ``ObjectError`` if it does not."""
        try:
            return self._addresses[symbol]
        except KeyError:
            known = ", ".join(sorted(self._addresses)) or "none"
            raise ObjectError(f"the object defines no symbol {symbol!r} (it defines: {known})") from None

    def function(self, symbol: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        """``symbol`` as a ctypes function of the given C types; it keeps the library loaded."""
        function = ctypes.CFUNCTYPE(result, *arguments)(self.address(symbol))
        function.library = self  # type: ignore[attr-defined]
        return function

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the global symbols that the object defines, sorted."""
        return tuple(sorted(self._addresses))

    def __repr__(self) -> str:
        return f"Library({', '.join(self.symbols)})"


_kernels: WeakValueDictionary[str, Library] = WeakValueDictionary()  # what is in the process, by symbol


def load(obj: bytes) -> Library:
    """Link the bytes of an object file into this process.

    Raises ``ObjectError`` when they are no object of this machine or when a symbol they need is unknown.
    """
    return _link([obj], {})


def _link(objects: Sequence[bytes], known: Mapping[str, Library]) -> Library:
    """Several objects as one library; `known` symbols are those of other libraries."""
    defined: set[str] = set()
    undefined: set[str] = set()
    for obj in objects:
        symbols = read_symbols(obj)
        defined |= symbols.defined
        undefined |= symbols.undefined
    imports = {}
    used = []
    for name in undefined - defined - {"_GLOBAL_OFFSET_TABLE_"}:
        library = known.get(name)
        address = symbol_address(name) if library is None else library.address(name)
        if address is None:
            raise ObjectError(f"the object needs the symbol {name!r}, which nothing in this process defines")
        if library is not None:
            used.append(library)
        imports[name] = address
    loaded = link(objects, imports)
    if loaded is not None:
        return Library(loaded.memory, loaded.addresses, used)
    with LLVM_LOCK:
        builder = binding().JITLibraryBuilder()
        for obj in objects:
            builder.add_object_img(obj)
        for name, address in imports.items():
            builder.import_symbol(name, address)
        for name in defined:
            builder.export_symbol(name)
        try:
            tracker = builder.link(_linker(), f"weft.{next(_names)}")
        except RuntimeError as error:
            raise ObjectError(f"LLVM could not link the object: {error}") from None
    return Library(tracker, {name: tracker[name] for name in defined}, used)


def build(llvm_text: str, *, kind: str = "kernel", label: str = "", cache: DiskCache | None = None) -> Library:
    """Load LLVM IR text: from the disk cache if it was compiled before, else compiled now and kept there.

    An entry that is sound but cannot be linked here is compiled anew.  Raises ``CompileError`` for text that
    LLVM refuses and ``ObjectError`` for a symbol that nothing defines.
    """
    cache = cache if cache is not None else default_cache()
    key = cache_key(kind, llvm_text)
    entry = cache.get(key)
    if entry is not None:
        try:
            return load(entry.payload)
        except ObjectError:
            cache.remove(key)
    obj = compile_object(llvm_text)
    library = load(obj)
    cache.put(key, obj, {"kind": kind}, label=label)
    return library


def build_source(source: Source) -> Library:
    """Load a module of weft's own, as ``build`` does, without writing its text where that is the same as ever."""
    cache = default_cache()
    name = stamped(source.kind, source.label) if cache.path is not None else None
    if name is None:
        return build(source.write(), kind=source.kind, label=source.label)
    noted = cache.get(name)
    if noted is not None:
        library = load_cached([(source.kind, source.label, noted.payload.decode())], cache)
        if library is not None:
            return library
    text = source.write()
    library = build(text, kind=source.kind, label=source.label)
    cache.put(name, cache_key(source.kind, text).encode(), {"kind": "note"}, label=source.label)
    return library


def unit_key(unit: Unit) -> str:
    """The key under which the cache has the object code of a unit."""
    return cache_key(unit.kind, unit.text, version=f"O{unit.level}")


def load_cached(parts: Sequence[tuple[str, str, str]], cache: DiskCache) -> Library | None:
    """Modules, each by its kind, its symbol and the key of its object code, as one library.  None where not all of
    them are in the cache and can be linked."""
    loaded = {symbol: library for _, symbol, _ in parts if (library := _kernels.get(symbol)) is not None}
    entries = {symbol: cache.get(key) for _, symbol, key in parts if symbol not in loaded}
    known = {name: library for library in loaded.values() for name in library.symbols}
    objects = [entry.payload for entry in entries.values() if entry is not None]
    if len(objects) < len(entries):
        return None
    try:
        library = _link(objects, known)
    except ObjectError:
        return None
    _kernels.update((symbol, library) for kind, symbol, _ in parts if kind == KERNEL and symbol not in loaded)
    return library


def build_units(units: Sequence[Unit], *, threads: int, label: str = "", cache: DiskCache | None = None) -> Library:
    """Load the modules of a step as one library, each from the disk cache if it was compiled before.  Those that were
    not are compiled by so many threads, and kept there.

    A kernel that is in the process already is not loaded again.  When entries are sound but cannot be linked here,
    they are compiled anew.  Raises as ``build`` does.
    """
    cache = cache if cache is not None else default_cache()
    loaded = {u.symbol: library for u in units if (library := _kernels.get(u.symbol)) is not None}
    known = {name: library for library in loaded.values() for name in library.symbols}
    units = [u for u in units if u.symbol not in loaded]
    keys = [unit_key(u) for u in units]
    entries = [cache.get(key) for key in keys]
    more = _missing(units) if None in entries else {}
    objects, fresh = _objects(units, entries, threads, more)
    try:
        library = _link(objects, known)
    except ObjectError:
        if len(fresh) == len(units):
            raise
        for key in keys:
            cache.remove(key)
        objects, fresh = _objects(units, [None] * len(units), threads, {})
        library = _link(objects, known)
    for i in fresh:
        cache.put(keys[i], objects[i], {"kind": units[i].kind}, label=label)
    _kernels.update((u.symbol, library) for u in units if u.kind == KERNEL)
    return library


def _objects(
    units: Sequence[Unit], entries: Sequence[Entry | None], threads: int, more: Mapping[str, Source]
) -> tuple[list[bytes], list[int]]:
    """Their bytes, and which of them had to be compiled.  What was compiled with them goes to the cache at once."""
    objects = [b"" if entry is None else entry.payload for entry in entries]
    fresh = [i for i, entry in enumerate(entries) if entry is None]
    texts = [(units[i].text, units[i].level) for i in fresh] + [(source.write(), 3) for source in more.values()]
    made = compile_objects(texts, threads=threads)
    for i, obj in zip(fresh, made, strict=False):
        objects[i] = obj
    for (key, source), obj in zip(more.items(), made[len(fresh) :], strict=True):
        default_cache().put(key, obj, {"kind": source.kind}, label=source.label)
    return objects, fresh


def _missing(units: Sequence[Unit]) -> dict[str, Source]:
    """The modules of weft's own that a step will load and the cache does not have, by key."""
    declared = {name for u in units for name in _DECLARED.findall(u.text)} & _sources.keys() - _addresses.keys()
    sources = {source for name in sorted(declared) for source in _sources[name]()}
    keys = {cache_key(s.kind, s.write()): s for s in sorted(sources, key=lambda source: source.label)}
    return {key: source for key, source in keys.items() if default_cache().get(key) is None}


def define_symbol(name: str, address: int) -> None:
    """Make ``name`` resolve to ``address`` in every object loaded from now on."""
    _addresses[name] = address


def provide(name: str, maker: Callable[[], int], sources: Callable[[], Sequence[Source]] = tuple) -> None:
    """Register ``maker`` to give the address of ``name`` when the first object that needs it is loaded.

    It builds ``sources``.  Those that the cache does not have are compiled together with the step that needs them.
    """
    _providers[name], _sources[name] = maker, sources


def symbol_address(name: str) -> int | None:
    """What ``name`` resolves to in an object loaded now, or None."""
    if name not in _addresses and name in _providers:
        define_symbol(name, _providers[name]())
    if name in _addresses:
        return _addresses[name]
    for library in _system_libraries():
        try:
            return ctypes.cast(library[name], ctypes.c_void_p).value
        except AttributeError:
            continue
    return None


@functools.cache
def _system_libraries() -> tuple[ctypes.CDLL, ...]:
    found = [ctypes.CDLL(None)]
    for name in ("libm.so.6", "libgcc_s.so.1"):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:  # a C library that keeps its mathematics elsewhere (musl: all in libc)
            continue
    return tuple(found)


@once
def _linker() -> Any:
    # suppress_errors: LLVM would print what the exception says anyway.
    linker = binding().create_lljit_compiler(use_jit_link=True, suppress_errors=True)
    linker._owned = True  # never unmapped: a thread may still be inside a kernel while Python goes down
    return linker
