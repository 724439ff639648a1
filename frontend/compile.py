"""`compile`: a function that is captured once per kind of arguments, and then runs as native code.

    call -> leaves of the arguments -> key (structure, dtypes, shapes, static values) -> runner
                                        |
                                        +-- not seen: capture, compile_graph, remember

A Python scalar is traced like an array until the function asks for its value (`range(n)`, `if flag`): then
the value is a guard, and other values are captured anew. Several threads may call at once; each
specialisation is compiled by one of them while the others wait.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.arguments import name_of, normal_argnums, positional_names, signature_of
from weft.frontend.boundary import boundary, checking
from weft.frontend.convert import hooks
from weft.frontend.effects import Effects
from weft.frontend.errors import ArgumentError
from weft.frontend.fallback import CAPTURE_ERRORS, fall_back
from weft.frontend.options import Options, unhashable
from weft.frontend.origins import Origins, Stale
from weft.frontend.origins import find as find_origins
from weft.frontend.sizes import Family, Form, Pattern, family_key
from weft.frontend.specialise import Capture, Leaves, Runner, capture, runner, signature_key
from weft.frontend.specialised import Call, Specialisation, Specialised, run_form
from weft.frontend.tracer import Tracer
from weft.ir.boundary import MISSED
from weft.ir.records import replace
from weft.passes.unchecked import unchecked

__all__ = ["CompiledFunction", "Specialisation"]

CompileGraph = Callable[..., Any]
_flatten = tree.flatten
_LEAF = tree.structure(0)
_MOST_DIRECT = 4  # kinds of arguments that a function tries without Python, the latest first
log = logging.getLogger("weft")
times = logging.getLogger("weft.pipeline")


class CompiledFunction:
    """What `weft.compile` returns: called like the function that it was made from, `__wrapped__`."""

    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], compile_graph: CompileGraph, options: Options) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._compile_graph = compile_graph
        self._options = options
        self._label: str = getattr(function, "__qualname__", type(function).__qualname__)
        self._signature = signature_of(function)
        self._static = options.resolve(self._signature)
        self._runners: dict[tuple[Any, ...], Runner] = {}
        self._specialised: dict[tuple[Any, ...], Specialised] = {}
        self._families: dict[tuple[Any, ...], Family] = {}
        self._pending: dict[tuple[Any, ...], tuple[int, threading.Event]] = {}
        self._lock = threading.Lock()
        self._made: list[Specialisation] = []
        self._direct: tuple[Callable[..., Any], ...] = ()
        self._dropped = 0
        self._bound: dict[int, tuple[Any, CompiledFunction]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for direct in self._direct:
            result = direct(*args, **kwargs)
            if result is not MISSED:
                return result
        if kwargs or self._static:
            return self._call_general(args, kwargs)
        leaves, spec = _flatten(args)
        key = (spec, *signature_key(leaves))
        run = self._runners.get(key)
        if run is not None:
            return run(leaves)
        return self._call_general(args, kwargs, key)

    def _call_general(self, args: tuple[Any, ...], kwargs: dict[str, Any], short: Any = None) -> Any:
        """With keywords, or static arguments, or a key (given as `short`) that was not seen."""
        call = self._taken_apart(args, kwargs)
        run = self._runners.get(call.key)
        if run is None:
            if any(type(leaf) is Tracer for leaf in call.leaves):
                return self._function(*args, **kwargs)  # a part of what is being captured around us
            result = self._first_call(call)
            run = self._runners.get(call.key)
            if short is not None and run is not None:
                with self._lock:  # who lets runners go walks over them
                    self._runners[short] = run
            return result
        return run(call.leaves)

    def _taken_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        static: list[tuple[str, type, Any]] = []
        traced: list[Any] = []
        for i, (name, value) in enumerate(zip(self._names(len(args)), args, strict=True)):
            if name in self._static or i in self._static:
                static.append((name, type(value), value))
                traced.append(None)
            else:
                traced.append(value)
        keywords = {}
        for name, value in kwargs.items():
            if name in self._static:
                static.append((name, type(value), value))
            else:
                keywords[name] = value
        leaves, spec = _flatten((tuple(traced), keywords))
        key = (spec, tuple(static), *signature_key(leaves))
        try:
            hash(key)
        except TypeError:
            raise ArgumentError(unhashable(static)) from None
        return Call(key, spec, leaves, tuple(static), (args, kwargs))

    def _names(self, count: int) -> list[str]:
        return positional_names(self._signature, count)

    def _first_call(self, call: Call) -> Any:
        """A call whose key was not seen, or is only with other guards."""
        known = self._specialised.setdefault(call.key, Specialised())
        mine = (threading.get_ident(), threading.Event())
        while True:
            with self._lock:
                run = known.find(call.leaves)
                pending = self._pending.get(call.key)
                if run is None and (pending is None or pending[0] == mine[0]):
                    self._pending[call.key] = mine
                    break
            if run is not None:
                return run_form(run, call)
            assert pending is not None
            pending[1].wait()
        run = before = failed = None
        try:
            run = self._served(call, known)
            if run is None and self._options.fallback:
                before = Effects(self._function, *[value for *_, value in call.static])
            if run is None:
                run = self._symbolic(call, known)
            if run is None:
                start = time.perf_counter()
                made = self._capture(call)
                if made.outer:
                    return made.run_here(call.leaves)
                run = self._compile(call, made, known, time.perf_counter() - start)
        except CAPTURE_ERRORS as error:
            if before is None:
                raise
            before.undo()
            failed = error
        finally:
            with self._lock:
                if self._pending.get(call.key) is mine:
                    del self._pending[call.key]
            mine[1].set()
        if failed is not None:
            remember = partial(known.add, getattr(failed, "guards", {}))
            return fall_back(failed, call, self._by_numpy, remember, self._label)
        assert run is not None
        return run_form(run, call)

    def _family(self, call: Call) -> Family:
        key = (call.spec, call.static, *family_key(call.leaves))
        return self._families.setdefault(key, Family())

    def _served(self, call: Call, known: Specialised) -> Runner | None:
        """The runner of a call for whose sizes there is code: it was compiled for symbols."""
        found = self._family(call).serving(call.leaves)
        if found is None:
            return None
        form, values = found
        with self._lock:
            old = self._family(call).crowded(call.key)
            if old is not None:
                gone = self._specialised.pop(old, None)
                runs = set(gone.runs()) if gone is not None else set()
                self._runners = {k: r for k, r in self._runners.items() if k != old and r not in runs}
        return self._installed(call, *form.instance(values), form.donated, form.origins, known)

    def _symbolic(self, call: Call, known: Specialised) -> Runner | None:
        """The runner of a call that differs from earlier ones in sizes alone, compiled for all such sizes; None where
        that can't be."""
        family = self._family(call)
        pattern = family.pattern(call.leaves)
        if pattern is None or not getattr(self._compile_graph, "symbolic", False):
            return None
        before = Effects(self._function, *[value for *_, value in call.static])
        try:
            start = time.perf_counter()
            made = self._capture(call, pattern)
            if not made.outer:
                return self._compile(call, made, known, time.perf_counter() - start, pattern)
        except Exception as error:  # whatever it is: an error of the user's comes again
            family.failed(error)
        before.undo()
        return None

    def _capture(self, call: Call, pattern: Pattern | None = None) -> Capture:
        args, _ = call.arguments()
        names = self._names(len(args))
        fixed = {name: value for name, _, value in call.static}

        def function(*given: Any, **more: Any) -> Any:
            values = [fixed[n] if n in fixed else g for n, g in zip(names, given, strict=True)]
            more.update({n: v for n, v in fixed.items() if n not in names})
            return hooks.call(self._function, *values, **more)

        symbols = (pattern.sizes, pattern.dims) if pattern is not None else ()
        made = capture(function, call.spec, call.leaves, self._paths(call), name_of(self._function), *symbols)
        return made if self._options.boundscheck else replace(made, graph=unchecked(made.graph))

    def _paths(self, call: Call) -> list[str]:
        """How the user would write each leaf."""
        args, kwargs = call.arguments()
        paths = []
        for name, value in zip(self._names(len(args)), args, strict=True):
            paths += tree.structure(value).paths(name)
        for name in sorted(kwargs):
            paths += tree.structure(kwargs[name]).paths(name)
        return paths

    def _donated(self, call: Call, made: Capture) -> set[int]:
        """Positions of leaves that are donated and not returned as they are."""
        if not self._options.donate:
            return set()
        args, _ = call.arguments()
        chosen = normal_argnums(self._options.donate, len(args), "donate_argnums")
        found: set[int] = set()
        at = 0
        for n, value in enumerate(args):
            count = tree.structure(value).num_leaves
            if n in chosen:
                found.update(i for i in range(at, at + count) if isinstance(call.leaves[i], np.ndarray))
            at += count
        return found - {place[1] for place in made.places if place[0] == "argument"}

    def _reused(self, donated: set[int], made: Capture) -> frozenset[int | tuple[int, int]]:
        """Inputs whose buffers results may take: those donated, and, by what they shall hold, those written."""
        return frozenset({*(donated - {i for i, _ in made.stores}), *made.stores})

    def _compile(
        self, call: Call, made: Capture, known: Specialised, capture_seconds: float, pattern: Pattern | None = None
    ) -> Runner:
        times.info("%s: captured %d ops in %.2f ms", self._label, len(made.graph.ops), capture_seconds * 1e3)
        start = time.perf_counter()
        donated = self._donated(call, made)
        executable = self._compile_graph(made.graph, donate=self._reused(donated, made), label=self._label)
        seconds = time.perf_counter() - start
        origins = find_origins(self._function, made.captured + [array for array, _ in made.examined])
        paths = self._paths(call)
        shown = Specialisation(
            arguments=tuple(f"{p}: {v.type}" for p, v in zip(paths, made.graph.inputs, strict=False)),
            static=tuple((name, value) for name, _, value in call.static),
            guards=tuple((paths[i], value) for i, value in made.guards.items()),
            capture_seconds=capture_seconds,
            compile_seconds=seconds,
            executable=executable,
            sizes=None if pattern is None else pattern.sizes,
            boundscheck=self._options.boundscheck,
        )
        with self._lock:
            self._made.append(shown)
        if pattern is not None:
            pattern.sizes.freeze()
            form = Form(pattern, made, executable, donated, origins)
            family = self._family(call)
            if pattern.sizes.pinned():
                family.failed([f"{n!r} {relation} 0" for relation, n in pattern.sizes.guards])
            else:
                family.forms.append(form)
            made, executable = form.instance(pattern.sizes.values)
        return self._installed(call, made, executable, donated, origins, known)

    def _installed(
        self, call: Call, made: Capture, executable: Any, donated: set[int], origins: Origins, known: Specialised
    ) -> Runner:
        """The runner of such calls from now on."""
        like = call.again([])
        plain = runner(made, executable, call.leaves, donated, origins, self._overlapping(like))
        run = self._checked(plain, known, like) if origins or made.examined else plain
        direct = self._made_direct(call, made, donated, executable, origins)
        with self._lock:
            if direct is not None:
                self._direct = (direct, *self._direct[: _MOST_DIRECT - 1])
            known.add(made.guards, run)
            if not known.guarded:
                self._runners[call.key] = run
            elif not self._options.fallback:  # else each call needs its arguments themselves
                self._runners[call.key] = self._guarded(known, like)
        return run

    def _made_direct(
        self, call: Call, made: Capture, donated: set[int], executable: Any, origins: Origins
    ) -> Callable[..., Any] | None:
        """The way of such calls without Python, if there is one."""
        make: Callable[..., Any] | None = getattr(executable, "direct", None)
        args, _ = call.arguments()
        fixed = {name: value for name, _, value in call.static}
        static = {n: fixed[name] for n, name in enumerate(self._names(len(args))) if name in fixed}
        if make is None or len(static) < len(fixed):
            return None
        said = boundary(made, call.spec, call.leaves, donated, static)
        direct = make(said) if said is not None else None
        return checking(direct, origins) if direct is not None and origins else direct

    def _overlapping(self, call: Call) -> Runner:
        """What is run when an array that is written shares memory with another, or lies otherwise than was taken for
        granted: the function itself."""
        warned = False

        def run(leaves: Leaves) -> Any:
            nonlocal warned
            if not warned:
                warned = True
                log.warning("%s is run by NumPy: an array that it writes shares memory with another argument, or is "
                            "reshaped and does not lie in row-major order", self)  # fmt: skip
            return self._by_numpy(call.again(leaves))

        return run

    def _by_numpy(self, call: Call) -> Any:
        """The function itself, with the arguments of a call."""
        if call.given is not None:
            return self._function(*call.given[0], **call.given[1])
        args, kwargs = call.arguments()
        names = self._names(len(args))
        fixed = {name: value for name, _, value in call.static}
        args = tuple(fixed.get(n, a) for n, a in zip(names, args, strict=True))
        return self._function(*args, **kwargs, **{n: v for n, v in fixed.items() if n not in names})

    def _checked(self, plain: Runner, known: Specialised, call: Call) -> Runner:
        """A runner that captures anew when what the function closes over has changed."""

        def run(leaves: Leaves) -> Any:
            try:
                return plain(leaves)
            except Stale:
                self._drop(run, known)
                return self._first_call(call.again(leaves))

        return run

    def _drop(self, run: Runner, known: Specialised) -> None:
        with self._lock:
            known.remove(run)
            self._families.clear()  # what they have was captured with the same surroundings
            self._runners = {k: r for k, r in self._runners.items() if r is not run}
            self._dropped += 1
            dropped = self._dropped
        if dropped in (8, 64, 512):
            log.warning("%s was captured anew %d times, as what it closes over changes: make it an argument",
                        self, dropped)  # fmt: skip

    def _guarded(self, known: Specialised, call: Call) -> Runner:
        """The runner of a key whose captures looked at Python values."""

        def run(leaves: Leaves) -> Any:
            found = known.find(leaves)
            again = call.again(leaves)
            return run_form(found, again) if found is not None else self._first_call(again)

        return run

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """The stages through which a call with these arguments goes, as objects that print: `.trace`,
        `.simplified`, `.fused`, `.kernels`, ... Nothing is run."""
        call = self._taken_apart(args, kwargs)
        made = self._capture(call)
        lower: Callable[..., Any] = self._compile_graph.lower  # type: ignore[attr-defined]
        donate = self._reused(self._donated(call, made), made)
        return lower(made.graph, donate=donate, label=self._label)

    def cache_info(self) -> list[Specialisation]:
        """The specialisations compiled so far, in order."""
        with self._lock:
            return list(self._made)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: of a tree the first argument; else one compiled function per instance, which is no
        argument of it."""
        if instance is None:
            return self
        if tree.structure(instance) != _LEAF:  # a dataclass, say: its fields are traced
            return _Bound(self, instance)
        known = self._bound.get(id(instance))
        if known is not None and known[0]() is instance:
            return known[1]
        return self._bind(instance)

    def _bind(self, instance: Any) -> CompiledFunction:
        key = id(instance)
        try:
            reference = weakref.ref(instance, lambda _: self._bound.pop(key, None))
        except TypeError:  # no weak references to it: it lives as long as we do
            reference = lambda: instance  # type: ignore[assignment]  # noqa: E731
        function = self._function

        @functools.wraps(function)
        def method(*args: Any, **kwargs: Any) -> Any:
            return function(reference(), *args, **kwargs)

        if self._signature is not None:
            parameters = list(self._signature.parameters.values())[1:]
            method.__signature__ = self._signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        bound = CompiledFunction(method, self._compile_graph, self._options.without_first())
        return self._bound.setdefault(key, (reference, bound))[1]

    @property
    def __weft_function__(self) -> Callable[..., Any]:
        """What `origins` searches in place of this object."""
        return self._function

    def __repr__(self) -> str:
        more = "" if self._options.boundscheck else ", indices not checked"
        return f"<weft.compile of {getattr(self._function, '__qualname__', self._function)!s}{more}>"


class _Bound:
    """A compiled function and the first of its arguments."""

    def __init__(self, function: CompiledFunction, instance: Any) -> None:
        self.__func__ = function
        self.__self__ = instance
        self.__wrapped__ = MethodType(function.__wrapped__, instance)
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """As `CompiledFunction.lower`."""
        return self.__func__.lower(self.__self__, *args, **kwargs)

    def cache_info(self) -> list[Specialisation]:
        """As `CompiledFunction.cache_info`, for all instances."""
        return self.__func__.cache_info()
