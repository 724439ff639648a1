"""What users read when a program can't be captured: each file in snapshots/ is a program and its error.

WEFT_UPDATE_SNAPSHOTS=1 writes the files anew; read the difference before you commit it.
"""

import linecache
import os
import runpy
from pathlib import Path

import numpy as np
import pytest

import weft
from weft import errors

SNAPSHOTS = Path(__file__).parent / "snapshots"
CUT = "---- "


def error_of(program: str, folder: Path) -> str:
    """Class and text of the error that a program ends with."""
    (folder / "program.py").write_text(program + "\n", "utf-8")
    linecache.clearcache()
    try:
        runpy.run_path("program.py")
    except Exception as error:
        return f"{type(error).__name__}\n{error}\n"
    return "no error\n"


@pytest.mark.parametrize("path", sorted(SNAPSHOTS.glob("*.txt")), ids=lambda p: p.stem)
def test_snapshot(path, tmp_path, monkeypatch):
    program, _, expected = path.read_text("utf-8").partition("\n" + CUT)
    monkeypatch.chdir(tmp_path)
    got = error_of(program, tmp_path)
    if os.environ.get("WEFT_UPDATE_SNAPSHOTS"):
        path.write_text(f"{program}\n{CUT}{got}", "utf-8")
        return
    assert got == expected
    assert len(got.splitlines()) < 15


def test_there_are_snapshots():
    assert len(list(SNAPSHOTS.glob("*.txt"))) >= 15


def test_errors_are_also_the_classes_that_numpy_raises():
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="broadcast"):
        weft.grad(lambda x: x + np.ones(2))(x)
    with pytest.raises(TypeError):
        weft.grad(lambda x: x)(1)
    with pytest.raises(AttributeError):
        weft.grad(lambda x: x.no_such_thing)(x)
    assert not hasattr(x, "no_such_thing")
    for cls in (errors.ShapeError, errors.LeakError, errors.GradientError):
        assert issubclass(cls, errors.WeftError)


def test_numpys_own_errors_stay():
    def raises(kind, f, *args):
        with pytest.raises(kind):
            f(*args)
        with pytest.raises(kind):
            weft.grad(lambda x: f(x, *args[1:]))(args[0])

    x = np.ones(3)
    raises(TypeError, lambda x: x & 1, x)
    raises(TypeError, lambda x: ~x, x)
    raises(ValueError, lambda x: bool(x > 0), x)
    n = np.ones(3, np.uint8)
    with pytest.raises(OverflowError):
        weft.compile(lambda n: n + 300)(n)
    with pytest.raises(ValueError, match="negative integer powers"):
        weft.compile(lambda n: n**-1)(n)
