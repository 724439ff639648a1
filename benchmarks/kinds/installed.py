"""Bytes of a fresh virtual environment into which weft was installed, with what it requires and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys

from benchmarks.process import PeerFailed, Run, attempt
from benchmarks.results import Result
from benchmarks.rows import Row

LEFT_OUT = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "shared")


def measure(row: Row, run: Run) -> list[Result]:
    results = [r for r in run.blank() if r.peer == "weft"]
    for result in results:
        attempt(result, lambda result=result: result.samples.append(size(run)))
    return results


def size(run: Run) -> float:
    source, venv = run.folder / "source", run.folder / "venv"
    shutil.copytree(run.source, source, ignore=LEFT_OUT)  # pip leaves a folder `build` where it builds
    _do("-m", "venv", "--without-pip", str(venv))
    _do("-m", "pip", "--python", str(venv), "install", "--quiet", str(source))
    return float(sum(p.stat().st_size for p in venv.rglob("*") if p.is_file() and not p.is_symlink()))


def _do(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise PeerFailed(f"failed: {last}")
