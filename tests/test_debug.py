"""The debug ladder: what each rung of WEFT_DEBUG shows, that nothing is said without it, and weft's loggers in
programs that set up logging themselves."""

import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import weft
from weft import debug
from weft.ir.graph import Graph
from weft.ir.parse import parse
from weft.ir.verify import VerifyError
from weft.passes.manager import Pass, run
from weft.pipeline import PASSES, Stages

PROGRAM = """
import numpy as np, weft

@weft.compile
def f(x):
    y = np.tanh(x * 1.0)
    return y @ y

print(f(np.zeros(4)))
"""
PASS_NAMES = [p.name for p in PASSES]
IR = "def f(x: f32[4]) -> f32[4]:\n    y: f32[4] = exp(x)\n    return y\n"


def record(text: str) -> list[tuple[str, str]]:
    """(logger, message) of each record on a program's standard error."""
    parts = re.split(r"^\[([\w.]+)\] ", text, flags=re.M)
    assert parts[0] == ""
    return list(zip(parts[1::2], parts[2::2], strict=True))


def program(setting: str | None, code: str = PROGRAM, **environment: str) -> str:
    """Run it with WEFT_DEBUG so; its standard error."""
    env = {k: v for k, v in os.environ.items() if k != "WEFT_DEBUG"} | environment
    if setting is not None:
        env["WEFT_DEBUG"] = setting
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "0.0\n", done.stderr
    return done.stderr


@pytest.mark.parametrize("setting", [None, "", "0", "-1", "no"])
def test_silent_without_it(setting):
    assert program(setting) == ""


def test_warnings_are_silent_too(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert program(None, WEFT_CACHE_DIR=str(tmp_path / "open")) == ""
    assert ("weft", True) in [
        (name, "can be written by others" in message)
        for name, message in record(program("1", WEFT_CACHE_DIR=str(tmp_path / "open")))
    ]


@pytest.mark.parametrize(("text", "level"), [
    ("", 0), ("0", 0), ("1", 1), (" 3 ", 3), ("5", 5), ("99", 5), ("-2", 0), ("--5", 0), ("2.5", 0), ("²", 0), ("x", 0)
])  # fmt: skip
def test_levels(monkeypatch, text, level):
    monkeypatch.setenv("WEFT_DEBUG", text)
    assert debug.debug_level() == level


@pytest.fixture(scope="module")
def rungs():
    """The records of each rung."""
    return {n: record(program(str(n))) for n in range(1, 6)}


def test_each_rung_opens_its_loggers(rungs):
    names = {n: {name for name, _ in records} for n, records in rungs.items()}
    assert names[1] == {"weft.passes", "weft.pipeline"}
    assert names[2] == names[1]
    assert names[3] == names[2] | {"weft.kernels"}
    assert names[4] == names[3] | {"weft.simplify"}
    assert names[5] == names[4] | {"weft.llvm"}


def test_rung_1_times_each_pass_and_the_stages(rungs):
    passes = [message for name, message in rungs[1] if name == "weft.passes"]
    found = [re.fullmatch(r"f: ([a-z ]+) (\d+) -> (\d+) ops in \d+\.\d\d ms\n", message) for message in passes]
    assert [m and m[1] for m in found] == PASS_NAMES
    assert all(a[3] == b[2] for a, b in zip(found, found[1:], strict=False))
    stages = [re.sub(r"\d+\.\d\d", "T", message) for name, message in rungs[1] if name == "weft.pipeline"]
    assert stages == [f"f: captured {found[0][2]} ops in T ms\n", "f: kernels in T ms\n", "f: object code in T ms\n"]


def test_rung_2_shows_ir_before_and_after(rungs):
    shown = {}
    for name, message in rungs[2]:
        found = re.match(r"f (before|after) ([a-z ]+):\n", message)
        if name == "weft.passes" and found:
            shown[found[2], found[1]] = message[found.end() :]
    assert "mul(x, f64(1.0))" in shown["simplify", "before"] and "mul(" not in shown["simplify", "after"]
    assert "@kernel" in shown["fuse", "after"] and parse(shown["fuse", "after"]).name == "f"
    assert len(rungs[2]) > len(rungs[1])


def test_rung_3_shows_kernels(rungs):
    (source,) = [message for name, message in rungs[3] if name == "weft.kernels"]
    assert source.startswith("f: kernels\n") and "numba" in source and "def k0" in source
    compile(source.partition("\n")[2], "kernels", "exec")


def test_rung_4_counts_the_rules_that_fired(rungs):
    fired = [message for name, message in rungs[4] if name == "weft.simplify"]
    assert fired and re.fullmatch(r"rules fired: \w+ x\d+(, \w+ x\d+)*\n", fired[0])


def test_rung_5_shows_machine_code(rungs):
    (text,) = [message for name, message in rungs[5] if name == "weft.llvm"]
    llvm, _, assembly = text.partition("\nassembly\n")
    assert "define " in llvm and ".text" in assembly


@pytest.fixture
def untouched():
    """Loggers as they are before anybody sets a level."""
    names = ["weft", *(name for rung in debug.RUNGS.values() for name, _ in rung)]
    before = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names}
    yield
    for name, (level, handlers) in before.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).handlers[:] = handlers


def test_set_up_twice_prints_once(untouched, capsys):
    root = logging.getLogger("weft")
    root.handlers.clear()
    debug.set_up(0)
    assert [type(h) for h in root.handlers] == [logging.NullHandler]
    debug.set_up(1)
    debug.set_up(2)
    logging.getLogger("weft.passes").debug("hello")
    logging.getLogger("weft.kernels").debug("nothing")
    assert capsys.readouterr().err == "[weft.passes] hello\n"


def test_a_program_listens(caplog, untouched):
    """Levels and handlers of its own, without WEFT_DEBUG."""
    with caplog.at_level(logging.INFO, "weft.pipeline"), caplog.at_level(logging.DEBUG, "weft.kernels"):
        weft.compile(lambda x: np.tanh(x) * 3.0)(np.ones(7))
    names = [r.name for r in caplog.records]
    assert set(names) == {"weft.pipeline", "weft.kernels"}
    said = [r.getMessage() for r in caplog.records if r.name == "weft.pipeline"]
    assert [re.sub(r"[\d.]+ ms|\d+ ops", "", m).split("<lambda>: ")[1] for m in said] == [
        "captured  in ", "kernels in ", "object code in "
    ]  # fmt: skip


def test_a_program_with_basic_config():
    code = "import logging; logging.basicConfig(level=logging.INFO, format='%(name)s|%(message)s')\n" + PROGRAM
    lines = program(None, code).splitlines()
    assert [line for line in lines if line.startswith(f"weft.passes|f: {PASS_NAMES[0]} ")]
    assert any(line.startswith("weft.pipeline|f: captured") for line in lines)


def forget(graph: Graph) -> Graph:
    """A pass with a bug: what the outputs need is gone."""
    return Graph(graph.name, graph.inputs, (), graph.outputs)


@pytest.mark.parametrize("setting", ["0", "1"])
def test_graphs_are_verified_from_rung_1_on(monkeypatch, setting):
    monkeypatch.setenv("WEFT_DEBUG", setting)
    stages = Stages(parse(IR))
    assert stages.check == (setting == "1")
    monkeypatch.setattr("weft.pipeline.PASSES", [Pass("forget", forget)])
    if setting == "1":
        with pytest.raises(VerifyError, match="after forget"):
            stages.records  # noqa: B018
    else:
        assert len(stages.records) == 1


def test_records_are_kept(caplog):
    with caplog.at_level(logging.DEBUG, "weft.passes"):
        graph, (only,) = run(parse(IR), [Pass("again", lambda g: g)])
    assert (only.name, only.before, only.after) == ("again", 1, 1) and only.graph is graph
    assert len(caplog.records) == 1  # nothing changed: no IR is shown
