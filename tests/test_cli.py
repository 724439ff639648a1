"""The command line as users type it: what goes to standard output, what to standard error, and the status."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import weft
from weft.__main__ import main
from weft.cli_dump import Request, dump
from weft.cli_output import CommandError
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.pipeline import PASSES
from weft.runtime.cache import cache_key, default_cache

KEY, OTHER = cache_key("test", "text"), cache_key("test", "other text")

STEP = '''
import sys
import numpy as np
import weft

print("out", sys.argv[1:], __name__)

def loss(w, x, y):
    h = np.tanh(x @ w)
    e = h - y
    return e @ e

@weft.compile(donate_argnums=0)
def step(w, x, y, lr):
    l, g = weft.value_and_grad(loss)(w, x, y)
    return l, w - lr * g

@weft.compile
def double(x):
    return x * 2.0

def main():
    print(double(np.ones(3)))
    w = np.ones(3)
    print(step(w, np.ones((4, 3)), np.ones(4), 0.1))

if __name__ == "__main__":
    main()
'''

LOSS = """
def loss(x: f32[4], n: i64) -> f32:
    t0: f32[4] = exp(x)  # net.py:3
    t1: f32[4] = exp(x)  # net.py:3
    y: f32[4] = mul(t0, f32(1.0))
    z: f32[4] = mul(y, t1)
    s: f32 = sum(z, axes=(0,))
    return s
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, cache_dir):
    """A working directory with a script and IR text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "loss.ir").write_text(LOSS)
    return tmp_path


def weft_command(*argv: str, status: int = 0) -> tuple[str, str]:
    """(standard output, standard error) of a `weft` of its own."""
    done = subprocess.run([sys.executable, "-m", "weft", *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def failure(*argv: str) -> str:
    """The one line on standard error of a command that can't be done."""
    out, err = weft_command(*argv, status=2)
    assert out == "" and err.count("\n") == 1
    return err.strip()


@pytest.fixture
def run(capsys):
    """A command that runs no script, in this process: (status, output, errors)."""

    def run(*argv: str) -> tuple[int, str, str]:
        try:
            status = main(list(argv))
        except SystemExit as stop:
            status = stop.code
        return (status, *capsys.readouterr())

    return run


# ---- weft, weft cache


def test_version_and_help(run):
    assert run("--version") == (0, f"weft {weft.__version__}\n", "")
    status, out, _ = run("--help")
    assert status == 0 and "dump" in out and "cache" in out
    status, out, _ = run("dump", "--help")
    assert status == 0 and "--stage" in out and "weft dump train.py" in out


@pytest.mark.parametrize("argv", [[], ["grow"], ["cache"], ["cache", "grow"], ["cache", "list", "all"], ["dump"],
                                  ["dump", "a.py", "--nonsense"], ["--nonsense"]])  # fmt: skip
def test_commands_that_are_none(run, argv):
    status, out, err = run(*argv)
    assert (status, out, err.count("\n")) == (2, "", 1) and err.startswith("weft")


def test_the_installed_command_is_main():
    import tomllib

    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"weft": "weft.__main__:main"}


def test_cache(cache_dir, run):
    assert run("cache", "path") == (0, f"{cache_dir}\n", "")
    assert run("cache", "list") == (0, "", "")
    assert run("cache", "clear") == (0, f"0 entries removed from {cache_dir}, 0 bytes\n", "")
    default_cache().put(KEY, b"x" * 5000, {"kind": "step"}, label="train.<locals>.step")
    default_cache().put(OTHER, b"x" * 50, {"kind": "pool"})
    os.utime(cache_dir / f"{OTHER}.weft", (1e9, 1e9))
    status, out, _ = run("cache", "list")
    head, first, second = out.splitlines()
    assert status == 0 and head.split() == ["key", "kind", "bytes", "age", "last", "use", "label"]
    assert re.fullmatch(rf"{KEY[:12]}  step  5,\d\d\d +\d s +\d s  train.<locals>.step", first)
    assert re.fullmatch(rf"{OTHER[:12]}  pool +\d\d\d +\d s  \d{{4,}} days", second)
    assert run("cache", "verify") == (0, "2 entries good, 0 bad\n", "")
    (cache_dir / f"{KEY}.weft").write_bytes(b"?")
    assert run("cache", "verify") == (1, f"{KEY}.weft: not a weft cache entry\n1 entry good, 1 bad\n", "")
    left = sum(path.stat().st_size for path in cache_dir.iterdir())
    assert run("cache", "clear") == (0, f"2 entries removed from {cache_dir}, {left:,} bytes\n", "")
    assert list(cache_dir.iterdir()) == []


def test_no_cache(monkeypatch, run):
    monkeypatch.setenv("WEFT_CACHE", "0")
    for action in ("path", "list", "clear", "verify"):
        status, out, err = run("cache", action)
        assert (status, out, err.count("\n")) == (2, "", 1) and "off" in err


def test_why_there_is_no_cache(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "open"))
    _, err = weft_command("cache", "list", status=2)
    assert "can be written by others" in err.splitlines()[0] and "warning above" in err.splitlines()[1]


# ---- weft dump of a script


def test_dump_runs_up_to_the_first_call(folder):
    out, err = weft_command("dump", "step.py", "--", "--epochs", "3")
    assert err == "out ['--epochs', '3'] __main__\n"  # nothing of what comes after the call
    graph = parse(out)
    assert graph.name == "double" and "# step.py:" in out and "@kernel" in out


def test_dump_waits_for_a_function(folder):
    out, err = weft_command("dump", "step.py", "--function", "step", "--stage", "trace")
    assert "[2. 2. 2.]" in err  # the call of `double` went on
    graph = parse(out)
    assert graph.name == "step" and "@kernel" not in out
    assert [v.name for v in graph.inputs] == ["w", "x", "y", "lr"]


@pytest.mark.parametrize(("stage", "shows"), [
    ("trace", "# step.py:"),
    ("grad", "d_w"),
    ("simplified", "d_w"),
    ("fused", "@kernel"),
    ("memory", "output 1 takes over donated input 0"),
    ("kernels", "numba"),
    ("llvm", "define "),
    ("asm", ".text"),
])  # fmt: skip
def test_stages(folder, stage, shows):
    out, _ = weft_command("dump", "step.py", "--function", "step", "--stage", stage)
    assert shows in out


def test_kernels_for_cuda(folder):
    out, _ = weft_command("dump", "step.py", "--stage", "kernels", "--target", "cuda")
    assert "cuda" in out
    compile(out, "kernels.py", "exec")


def test_diff(folder):
    out, _ = weft_command("dump", "step.py", "--function", "step", "--diff")
    passes = re.findall(r"^([a-z ]+): (?:\d+ -> )?\d+ ops", out, re.M)
    assert passes == [p.name for p in PASSES]
    assert "--- before fuse\n+++ after fuse\n" in out and "\n+@kernel\n" in out and "\n-    h: f64[4] = tanh(" in out


def test_the_digits_example(folder):
    """A whole training step: every kernel is there, and every parameter and its momentum comes back."""
    example = Path(__file__).parent.parent / "examples" / "digits.py"
    weft_command("dump", str(example), "-o", "step.svg")
    root = ET.parse(folder / "step.svg").getroot()
    kinds = [g.get("class", "").split() for g in root.iter("{http://www.w3.org/2000/svg}g")]
    assert sum("input" in k for k in kinds) == 11 and sum("output" in k for k in kinds) == 9
    assert sum("dot" in k for k in kinds) == 5 and sum("group" in k for k in kinds) >= 3


NASTY = '''
import atexit, os, sys, tempfile
import numpy as np, weft
atexit.register(lambda: print("at exit"))
atexit.register(lambda: 1 / 0)
f = weft.compile(lambda x: x + 1.0)
os.write(1, b"raw\\n")
os.system("echo shell")
sys.__stdout__.write("original\\n")
for i in range(3):
    try:
        f(np.ones(2))
    except:
        print("caught", i)
with tempfile.TemporaryDirectory() as folder:
    open("where", "w").write(folder)
    try:
        f(np.ones(3))
    finally:
        print("finally")
        raise ValueError("from the script")
'''


def test_a_script_can_not_break_the_dump(folder):
    (folder / "nasty.py").write_text(NASTY)
    out, err = weft_command("dump", "nasty.py")
    assert parse(out).inputs[0].type.dims == (2,)
    for said in ("raw", "shell", "original", "caught 2", "finally", "at exit", "ZeroDivisionError"):
        assert said in err
    assert not Path((folder / "where").read_text()).exists()  # its own cleaning up was done


def test_threads(folder):
    (folder / "threads.py").write_text(
        "import threading\nimport numpy as np, weft\nf = weft.compile(lambda x: x + 1.0)\n"
        "t = threading.Thread(target=f, args=(np.ones(2),))\nt.start()\nt.join()\nprint('joined')\n"
    )
    out, err = weft_command("dump", "threads.py")
    assert parse(out).name == "lambda_" and err == "joined\n"


def test_a_script_is_main_in_its_folder(folder):
    (folder / "lib").mkdir()
    (folder / "lib" / "helper.py").write_text("import weft\n@weft.compile\ndef f(x):\n    return x * x\n")
    (folder / "lib" / "go.py").write_text(
        "import os, pickle, sys, helper, __main__\n"
        "class A: pass\n"
        "assert type(pickle.loads(pickle.dumps(A()))) is A and __main__.A is A\n"
        "assert sys.argv == ['lib/go.py'] and __file__ == 'lib/go.py', (sys.argv, __file__)\n"
        "os.chdir('/')\n"
        "helper.f(3.0)\n"
    )
    weft_command("dump", "lib/go.py", "-o", "f.ir")
    assert parse((folder / "f.ir").read_text()).name == "f"


def test_methods_by_either_name(folder):
    (folder / "model.py").write_text(
        "import weft\nclass Model:\n    @weft.compile\n    def step(self, x):\n        return x * 2.0\n"
        "def make():\n    @weft.compile\n    def step(x):\n        return x * 3.0\n    return step\n"
        "make()(1.0)\nModel().step(1.0)\n"
    )
    factor = {}
    for name in ("step", "Model.step", "make.<locals>.step"):
        out, _ = weft_command("dump", "model.py", "--function", name, "--stage", "trace")
        factor[name] = re.findall(r"f64\((.*?)\)", out)
    assert factor == {"step": ["3.0"], "Model.step": ["2.0"], "make.<locals>.step": ["3.0"]}


SCRIPTS = {
    "raises.py": "import numpy as np\ndef f():\n    return np.ones(3) @ np.ones(4)\nf()\n",
    "long.py": "raise ValueError('''first line\nsecond line''')\n",
    "exits.py": "import sys, weft\nf = weft.compile(abs)\nsys.exit(5)\n",
    "none.py": "import weft\n",
    "calls.py": "import weft\n@weft.compile\ndef a(x):\n    return x\n@weft.compile\ndef b(x):\n    return x\na(1.0)\n",
    "traced.py": "import numpy, weft\n@weft.compile\ndef f(x):\n    if x > 0:\n        return x\nf(numpy.ones(()))\n",
}


@pytest.mark.parametrize(("argv", "line"), [
    (["raises.py"], r"raises\.py:3: ValueError: matmul: .*"),
    (["long.py"], r"long\.py:1: ValueError: first line"),
    (["exits.py"], r"exits\.py exits \(status 5\) without a call of a compiled function; it has abs"),
    (["none.py"], r"none\.py ends without giving a function to weft\.compile"),
    (["calls.py", "--function", "b"], r"calls\.py ends without a call of 'b'; it has a \(called\), b"),
    (["calls.py", "--function", "c"], r"calls\.py ends without a compiled function 'c'; it has a \(called\), b"),
    (["traced.py"], r"traced\.py:4: \w+: traced\.py:4: `x > 0`: the function's result is .*"),
])  # fmt: skip
def test_scripts_that_make_no_such_call(folder, argv, line):
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text)
    err = failure("dump", *argv)
    assert re.fullmatch("weft dump: " + line, err), err


@pytest.mark.parametrize(("options", "line"), [
    ({"file": "prose.txt"}, r"prose\.txt:1: not Python: invalid syntax"),
    ({"file": "binary"}, r"binary is a binary file, not a Python script"),
    ({"file": "latin.py"}, r"latin\.py.*: not Python: .*utf-8.*"),
    ({"file": "missing.py"}, r"missing\.py: No such file or directory"),
    ({"file": "."}, r"\.: Is a directory"),
    ({"stage": "grads"}, r"unknown stage 'grads': there are trace, grad, .*"),
    ({"target": "tpu"}, r"unknown target 'tpu': there are cpu, cuda"),
    ({"format": "png"}, r"unknown format 'png': there are text, dot, svg"),
    ({"passes": "dce,magic"}, r"unknown pass 'magic': there are dce, simplify, loops, cse, .*grad and none"),
    ({"stage": "asm", "target": "cuda"}, r"stage asm is for the target cpu: .*"),
    ({"stage": "llvm", "format": "svg"}, r"--format svg draws graphs: --stage trace, .*, not llvm"),
    ({"stage": "memory", "diff": True}, r"--diff compares graphs: .*"),
    ({"format": "dot", "diff": True}, r"--diff is text: no --format dot"),
])  # fmt: skip
def test_what_is_refused_before_a_script_runs(folder, options, line):
    (folder / "prose.txt").write_text("Dear reader,\nthis is no program.\n")
    (folder / "binary").write_bytes(b"\x7fELF\0\0")
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
    (folder / "marks.py").write_text("open('ran', 'w')\n")
    file = Path(options.get("file", "marks.py"))
    with pytest.raises(CommandError) as caught:
        dump(Request(**{**options, "file": file}))
    assert re.fullmatch(line, str(caught.value)), caught.value
    assert not (folder / "ran").exists()


def test_no_place_for_the_output(folder, run):
    status, out, err = run("dump", "step.py", "-o", "no/such/place.svg")
    assert (status, out) == (2, "") and re.fullmatch(r"weft dump: .*/place\.svg: there is no folder .*no/such\n", err)


def test_the_scripts_own_arguments_come_after_two_dashes(folder):
    assert failure("dump", "step.py", "3") == "weft: unknown arguments: 3 (a script's own come after --)"


def test_a_full_disk(folder):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        for file in ("step.py", "loss.ir"):
            command = [sys.executable, "-m", "weft", "dump", file]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 2
            assert done.stderr.splitlines()[-1] == "weft dump: standard output: No space left on device"


def test_a_terminal_without_unicode(folder, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (folder / "delta.ir").write_text("def f(δ: f32) -> f32:\n    return δ\n", encoding="utf-8")
    (folder / "delta.py").write_text(
        "import weft\n@weft.compile\ndef f(x):\n    δ = x * 2.0\n    return δ\nf(1.0)\n", encoding="utf-8"
    )
    for file in ("delta.ir", "delta.py"):
        out, _ = weft_command("dump", file, "--stage", "trace")
        assert r"\u03b4: f" in out


def test_a_reader_that_goes_away(folder):
    """More than a pipe holds is waiting when `head` leaves."""
    lines = [f"    x{i}: f32 = exp(x{i - 1})" for i in range(1, 5000)]
    (folder / "long.ir").write_text("\n".join(["def f(x0: f32) -> f32:", *lines, "    return x4999"]))
    (folder / "long.py").write_text("import weft\nweft.compile(lambda x: [x * i for i in range(3000)])(1.0)\n")
    for file, reader, lines in (("long.ir", "head -n 1", 1), ("long.py", "head -n 1", 1), ("loss.ir", "true", 0)):
        command = f"{sys.executable} -m weft dump {file} --stage trace | {reader}"
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
        assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, lines, "")


# ---- weft dump of IR text


def test_ir_is_printed_as_it_was_read(folder, run):
    assert run("dump", "loss.ir") == (0, LOSS.lstrip(), "")


def test_ir_through_passes(folder, run):
    _, out, _ = run("dump", "loss.ir", "--passes", "cse, simplify ,dce")
    assert out == (
        "def loss(x: f32[4], n: i64) -> f32:\n    t0: f32[4] = exp(x)  # net.py:3\n"
        "    z: f32[4] = mul(t0, t0)\n    s: f32 = sum(z, axes=(0,))\n    return s\n"
    )
    assert run("dump", "loss.ir", "--passes", "none")[1] == LOSS.lstrip()


def test_ir_gradient(folder, run):
    import numpy as np

    _, out, _ = run("dump", "loss.ir", "--passes", "grad,simplify,cse,dce")
    graph = parse(out)
    x = np.array([0.5, -1.0, 0.0, 2.0], np.float32)
    value, gradient = interpret(graph, [x, np.asarray(1)])
    np.testing.assert_allclose(value, np.exp(2 * x).sum(), rtol=1e-6)
    np.testing.assert_allclose(gradient, 2 * np.exp(2 * x), rtol=1e-6)


def test_ir_diff(folder, run):
    _, out, _ = run("dump", "loss.ir", "--passes", "dce,cse", "--diff")
    assert out == (
        "dce: 6 ops, nothing changed\n"
        "cse: 6 -> 5 ops\n--- before cse\n+++ after cse\n@@ -1,7 +1,6 @@\n"
        " def loss(x: f32[4], n: i64) -> f32:\n     t0: f32[4] = exp(x)  # net.py:3\n"
        "-    t1: f32[4] = exp(x)  # net.py:3\n     y: f32[4] = mul(t0, f32(1.0))\n"
        "-    z: f32[4] = mul(y, t1)\n+    z: f32[4] = mul(y, t0)\n"
        "     s: f32 = sum(z, axes=(0,))\n     return s\n\n"
    )


def test_ir_named_passes_come_before_the_stage(folder, run):
    _, out, _ = run("dump", "loss.ir", "--passes", "grad", "--stage", "fused")
    graph = parse(out)
    assert "@kernel" in out and len(graph.outputs) == 2
    _, out, _ = run("dump", "loss.ir", "--passes", "grad", "--stage", "memory")
    assert "arena: " in out and "in output 1" in out
    _, out, _ = run("dump", "loss.ir", "--stage", "asm")
    assert ".text" in out


def test_ir_pictures(folder, run):
    _, out, _ = run("dump", "loss.ir", "--format", "svg")
    assert ET.fromstring(out).tag == "{http://www.w3.org/2000/svg}svg"
    _, out, _ = run("dump", "loss.ir", "--format", "dot", "--stage", "fused")
    assert out.startswith('digraph "loss" {') and "subgraph cluster_0" in out
    assert run("dump", "loss.ir", "-o", "loss.svg") == (0, "", "")
    assert (folder / "loss.svg").read_text().startswith("<svg")
    assert run("dump", "loss.ir", "-o", "loss.dot") == (0, "", "")
    assert (folder / "loss.dot").read_text().startswith("digraph")
    assert run("dump", "loss.ir", "-o", "loss.txt") == (0, "", "")
    assert (folder / "loss.txt").read_text() == LOSS.lstrip()


@pytest.mark.parametrize(("text", "line"), [
    (LOSS.replace("exp(x)", "exq(x)", 1), r"x\.ir:3:18: expected an op .* \(did you mean 'exp'\?\)"),
    (LOSS.replace("mul(y, t1)", "mul(y t1)"), r"x\.ir:6:\d+: not Python syntax .*"),
    (LOSS.replace("mul(y, t1)", "mul(y, 'ü', t9)").replace("z:", "ü:"), r"x\.ir:6:24: .*"),
    ("", r"x\.ir:1: expected a function, .*"),
    ("\0", r"x\.ir is a binary file, not IR text"),
    (b"\xff\xfe", r"x\.ir is a binary file, not IR text"),
    (None, r"x\.ir: No such file or directory"),
])  # fmt: skip
def test_ir_that_can_not_be_read(folder, run, text, line):
    if text is not None:
        (folder / "x.ir").write_bytes(text if isinstance(text, bytes) else text.encode())
    status, out, err = run("dump", "x.ir")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.fullmatch("weft dump: " + line, err.strip()), err


@pytest.mark.parametrize(("argv", "line"), [
    (["--function", "f"], r"--function is for scripts: loss\.ir holds one graph"),
    (["--", "3"], r"arguments are for scripts: loss\.ir is IR text"),
    (["--passes", "fuse,grad"], r"grad needs a graph before fusion: loss calls kernels"),
])  # fmt: skip
def test_ir_that_can_not_be_dumped(folder, run, argv, line):
    status, out, err = run("dump", "loss.ir", *argv)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.fullmatch("weft dump: " + line, err.strip()), err


def test_ir_without_a_gradient(folder, run):
    (folder / "v.ir").write_text("def f(x: f32[3]) -> f32[3]:\n    return x\n")
    assert run("dump", "v.ir", "--passes", "grad") == (
        2, "", "weft dump: grad needs a float scalar as the first output: f returns f32[3]\n"
    )  # fmt: skip


def test_a_picture_nobody_could_read(folder, run):
    lines = [f"    a{i}: f32 = exp(a{i - 1})" for i in range(1, 500)]
    lines += [f"    b{i}: f32 = add(b{i - 1}, a{500 - i})" for i in range(1, 500)]
    text = "\n".join(["def f(a0: f32, b0: f32) -> f32:", *lines, "    return b499"])
    (folder / "deep.ir").write_text(text)
    status, out, err = run("dump", "deep.ir", "--format", "svg")
    assert (status, out) == (2, "") and re.match("weft dump: 1001 boxes with 1498 links are too many", err)
