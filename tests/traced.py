"""Comparing a NumPy program with what weft makes of it, for tests of the NumPy functions.

`Case(f, *arguments)` is one call. `check` traces it and runs the graph by the interpreter; `check_native` runs
many cases as one compiled function. Both compare with NumPy: values, dtypes and shapes.
"""

import runpy

import numpy as np

import weft
from tests.against_numpy import interpreted


def graph_of(f, *arguments):
    """The captured graph."""
    return interpreted(f).lower(*arguments)


class Case:
    """`f(*arguments)`, compared with rtol (0: to the last bit)."""

    def __init__(self, f, *arguments, rtol=0.0):
        self.f, self.arguments, self.rtol = f, arguments, rtol


def table(known, *cases):
    """[(name, Case)] of cases `(text, *arguments)`, the text over x, y, z, which are the arguments, np and `known`.

    A dict as the last argument holds the Case's keywords.
    """
    found = []
    for text, *arguments in cases:
        more = arguments.pop() if isinstance(arguments[-1], dict) else {}
        function = eval(f"lambda {', '.join('xyz'[: len(arguments)])}: {text}", {"np": np, **known})  # noqa: S307
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in arguments)
        found.append((f"{text}  {shapes}", Case(function, *arguments, **more)))
    return found


def ids(cases):
    """A name for each of a list of (name, Case)."""
    return [name for name, _ in cases]


def in_a_file(text, folder):
    """The function of x that returns the expression, which stands in line 4 of program.py."""
    program = folder / "program.py"
    program.write_text(f"import numpy as np\n\ndef f(x):\n    return {text}\n")
    return runpy.run_path(str(program))["f"]


def agree(got, want, rtol=0.0):
    """Assert that a result of weft's is NumPy's, in trees of tuples and lists too."""
    if isinstance(want, list | tuple):
        assert type(got) is type(want) and len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            agree(g, w, rtol)
        return
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    if rtol:
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(got, want)
        if want.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def check(case):
    agree(interpreted(lambda *a: case.f(*a))(*case.arguments), case.f(*case.arguments), case.rtol)


def check_native(cases):
    """All cases as one compiled function."""
    everything = weft.compile(lambda groups: [c.f(*a) for c, a in zip(cases, groups, strict=True)])
    results = everything([c.arguments for c in cases])
    for case, got in zip(cases, results, strict=True):
        agree(got, case.f(*case.arguments), case.rtol)


def check_gradient(f, *arguments, step=1e-6, rtol=1e-6):
    """Gradients of sum(w * f(...)), for random w, by all float64 arguments against central differences."""
    rng = np.random.default_rng(3)
    weights = rng.standard_normal(np.shape(f(*arguments)))

    def loss(*a):
        y = f(*a)
        return (y * weights).reshape(-1) @ np.ones(y.size)

    found = weft.grad(loss, argnums=tuple(range(len(arguments))))(*arguments)
    compiled = weft.compile(weft.grad(loss, argnums=tuple(range(len(arguments)))))(*arguments)
    for n, (g, c) in enumerate(zip(found, compiled, strict=True)):
        np.testing.assert_allclose(c, g, rtol=1e-12, atol=1e-12)
        x = np.array(arguments[n])
        want = np.empty_like(x)
        for at in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                shifted = x.copy()
                shifted[at] += sign * step
                ends.append(loss(*arguments[:n], shifted, *arguments[n + 1 :]))
            want[at] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(g, want, rtol=rtol, atol=rtol)
