"""OpenBLAS, one thread at a time, shared out by weft's own pool.

    scipy-openblas32 --ctypes--> cblas_{s,d}gem{m,v} --as symbols--> weft_gemm_{f32,f64} (blas_ir) --> kernels

Two pools on one machine fight for it, so OpenBLAS is loaded with one thread and its calls are spread by
``weft_parallel_for``.  OpenBLAS does not know recent AMD CPUs and gives them AVX2 kernels; where the CPU has
AVX-512 it is told so, for the moment of loading, by ``OPENBLAS_CORETYPE`` (a value of the user's own wins).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weft.runtime import native, pool
from weft.runtime.cpus import described

PRODUCTS = ("weft_gemm_f32", "weft_gemm_f64", "weft_gemm_batch_f32", "weft_gemm_batch_f64")
_ROUTINES = ("sgemm", "dgemm", "sgemv", "dgemv")
_AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


def available() -> bool:
    """Whether there is an OpenBLAS to call; where there is none, weft's own loops multiply matrices."""
    return _openblas() is not None


def core() -> str:
    """The CPU whose kernels OpenBLAS uses ("SkylakeX", "Haswell", ...); "" where it is not available."""
    library = _openblas()
    if library is None:
        return ""
    name = library.scipy_openblas_get_corename
    name.restype = ctypes.c_char_p
    return str((name() or b"").decode())


def address(symbol: str) -> int:
    """The address of one of ``PRODUCTS`` or of ``weft_cblas_{sgemm,dgemm,sgemv,dgemv}``.

    Raises ``ObjectError`` where OpenBLAS is not available.
    """
    library = _openblas()
    if library is None:
        raise native.ObjectError("OpenBLAS is not available: pip install scipy-openblas32")
    if symbol in PRODUCTS:
        return _products(symbol.rpartition("_")[2]).address(symbol)
    routine = library[f"scipy_cblas_{symbol.removeprefix('weft_cblas_')}"]
    return int(ctypes.cast(routine, ctypes.c_void_p).value or 0)


@native.once
def _products(dtype: str) -> native.Library:
    return native.build_source(source(dtype))


@functools.cache
def source(dtype: str) -> native.Source:
    """The module of the products of one dtype."""

    def write() -> str:
        from weft.runtime.blas_ir import blas_ir

        return blas_ir(dtype)

    return native.Source("blas", f"matrix products, {dtype}", write)


@native.once
def _openblas() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec("scipy_openblas32")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder, "lib").glob("libscipy_openblas*")):
            if (library := _load(path)) is not None:
                return library
    return None


def _load(path: Path) -> ctypes.CDLL | None:
    with _environment(_settings()):
        try:
            library = ctypes.CDLL(str(path))
            config = library.scipy_openblas_get_config
            config.restype = ctypes.c_char_p
            for routine in _ROUTINES:
                library[f"scipy_cblas_{routine}"]
            if b"USE64BITINT" in config():  # our calls pass 32-bit sizes
                return None
            library.scipy_openblas_set_num_threads(1)  # where something else had loaded it before
        except (OSError, AttributeError):
            return None
    return library


def _settings() -> dict[str, str]:
    """The environment that OpenBLAS should see while it is loaded."""
    settings = {"OPENBLAS_NUM_THREADS": "1"}  # else it starts its own threads at once
    cpu = described()
    if cpu.get("vendor_id") == "AuthenticAMD" and set(cpu.get("flags", "").split()) >= _AVX512:
        settings["OPENBLAS_CORETYPE"] = "SkylakeX"
    if "OPENBLAS_CORETYPE" in os.environ:
        settings.pop("OPENBLAS_CORETYPE", None)
    return settings


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _sources(dtype: str) -> list[native.Source]:
    return [source(dtype), pool.source()] if available() else []


for _symbol in PRODUCTS:
    _needs = functools.partial(_sources, _symbol.rpartition("_")[2])
    native.provide(_symbol, functools.partial(address, _symbol), _needs)
for _symbol in (f"weft_cblas_{routine}" for routine in _ROUTINES):
    native.provide(_symbol, functools.partial(address, _symbol))
