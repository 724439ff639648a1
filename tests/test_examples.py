"""The examples and the benchmarks run as their users run them, and say what they promise."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_digits(tmp_path):
    picture = tmp_path / "deep" / "digits.png"
    out = run("examples/digits.py", "--out", str(picture))
    assert "1438 images to train on, 359 held out; 64 a batch, the last 30." in out
    losses = [float(x) for x in re.findall(r"^epoch .* loss ([\d.]+) ", out, re.M)]
    assert len(losses) == 11 and losses[-1] < 0.01 < 0.5 < losses[0]
    (accuracy,) = re.findall(r"read right, ([\d.]+) %", out)
    (by_hand,) = re.findall(r"NumPy ends at ([\d.]+) %", out)
    assert float(accuracy) > 97 and abs(float(accuracy) - float(by_hand)) < 1
    assert len(re.findall(r"[\d,]+ images/s", out)) == 13
    pytest.importorskip("matplotlib")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_digits_without_matplotlib(tmp_path):
    code = (
        "import sys, runpy; sys.modules['matplotlib'] = None; sys.argv = ['digits.py', '--epochs', '2'];"
        "runpy.run_path('examples/digits.py', run_name='__main__')"
    )
    assert "No picture: matplotlib is not installed" in run("-c", code)


def test_digits_refuses_no_epochs():
    assert "--epochs must be at least 1" in run("examples/digits.py", "--epochs", "0", code=2)


def test_backprop_is_dynamic_programming(tmp_path):
    picture = tmp_path / "deep" / "backprop.svg"
    out = run("examples/backprop_is_dynamic_programming.py", "--out", str(picture))
    rows = [line.split() for line in out.splitlines() if line.endswith(("agree", "DIFFER"))]
    assert len(rows) == 11 and all(row[-1] == "agree" for row in rows)
    counts = {int(row[0]): [int(cell.replace(",", "")) for cell in row[1:6]] for row in rows}
    for n, (paths, multiplications, table, forward, backward) in counts.items():
        assert paths == 2**n and multiplications == 3 * (2**n - 1)
        assert table == 3 * n and forward == 2 * n and backward <= 4 * forward
    for name in ("δx0", "δc1", "δx1", "δc2", "δx2", "δc3", "δx3"):
        assert re.search(rf"\b{name}: f64", out), name
    root = ET.fromstring(picture.read_text("utf-8"))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"x0", "c4", "x4", "adjoint δ", "1.0000"} <= texts


@pytest.mark.slow
def test_the_benchmark_of_checkpoints_runs():
    out = run("-m", "benchmarks.checkpoints", "--trips", "30", "--rounds", "1")
    assert out.count("no checkpoints") == out.count("checkpoint='sqrt'") == 3
    assert out.count("times the value") == 15
