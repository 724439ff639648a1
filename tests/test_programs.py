"""Whole NumPy programs with loops, branches and writes (see `programs`): compiled they give what NumPy gives, their
loops stay loops, and the smooth ones have the right gradient."""

import copy

import numpy as np
import pytest
from programs import BY_NAME, FAMILIES, PROGRAMS

import weft
from weft.passes.manager import count

RTOL = {np.float64: 1e-11, np.float32: 1e-4}  # by the arguments
SMOOTH = [p.name for p in PROGRAMS if p.smooth]
STEP = 1e-5  # of the central differences
TOLERANCE = 1e-6


def arguments(program, trips=None):
    return program.arguments(np.random.default_rng(7), program.small[0], trips or program.small[1])


def narrow(given):
    """In single precision."""
    return tuple(a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a for a in given)


def flat(tree):
    return [leaf for item in tree for leaf in flat(item)] if isinstance(tree, tuple) else [tree]


def agree(got, want, rtol):
    for a, b in zip(flat(got), flat(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(b), initial=0.0))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("name", BY_NAME)
def test_values(name, dtype):
    """Results and what the arguments hold afterwards, in both calls of the compiled function."""
    program = BY_NAME[name]
    compiled = weft.compile(program.function)
    given = arguments(program) if dtype is np.float64 else narrow(arguments(program))
    mine = copy.deepcopy(given)
    want = program.function(*mine)
    for _ in range(2):
        others = copy.deepcopy(given)
        agree(compiled(*others), want, RTOL[dtype])
        agree(tuple(others), tuple(mine), RTOL[dtype])
    assert len(compiled.cache_info()) == 1


@pytest.mark.parametrize("name", [p.name for p in PROGRAMS if p.kept])
def test_loops_stay_loops(name):
    """As many ops for 1000 trips as for 10 (less a constant or two that happen to be the same number)."""
    program = BY_NAME[name]
    few, many = (
        weft.compile(program.function).lower(*arguments(program, trips)).trace for trips in (13, 1003)
    )
    assert abs(count(few) - count(many)) <= 2


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    """Of a random combination of all results, in two random directions, compiled and not."""
    program, rng = BY_NAME[name], np.random.default_rng(3)
    given = arguments(program)
    results = flat(program.function(*copy.deepcopy(given)))
    weights = [rng.standard_normal(np.shape(r)) if np.asarray(r).dtype.kind == "f" else None for r in results]

    def loss(*args):
        pairs = zip(weights, flat(program.function(*args)), strict=True)
        return sum(np.sum(w * r) for w, r in pairs if w is not None)

    gradient = weft.grad(loss, argnums=program.smooth)
    found = [weft.compile(gradient)(*copy.deepcopy(given)), gradient(*copy.deepcopy(given))]
    for _ in range(2):
        direction = {i: rng.standard_normal(np.shape(given[i])) for i in program.smooth}

        def at(t, direction=direction):
            moved = copy.deepcopy(given)
            return loss(*(a + t * direction[i] if i in direction else a for i, a in enumerate(moved)))

        h = STEP
        want = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        for by in found:
            parts = [np.sum(d * direction[i]) for d, i in zip(by, program.smooth, strict=True)]
            size = sum(np.sum(np.abs(d * direction[i])) for d, i in zip(by, program.smooth, strict=True))
            assert abs(sum(parts) - want) <= TOLERANCE * size


def test_the_list():
    """Enough programs, each once, and none has heard of weft."""
    assert len(PROGRAMS) == len(BY_NAME) >= 90
    for family in FAMILIES:
        assert "weft" not in family.__dict__ and family.__doc__
        for program in family.PROGRAMS:
            assert program.function.__module__ == family.__name__
