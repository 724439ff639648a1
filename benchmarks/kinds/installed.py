"""Bytes of a fresh virtual environment into which weft was installed, with what it requires and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.process import PeerFailed, Run, attempt
from benchmarks.results import Result
from benchmarks.rows import Row

LARGEST = 5  # packages that are named
LEFT_OUT = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "shared")


def measure(row: Row, run: Run) -> list[Result]:
    results = [r for r in run.blank() if r.peer == "weft"]

    def once(result: Result) -> None:
        parts = sizes(install(run))
        result.samples = [float(sum(parts.values()))]
        largest = sorted(parts, key=lambda name: -parts[name])[:LARGEST]
        result.note = ", ".join(f"{name} {parts[name] / 1e6:.0f} MB" for name in largest)

    for result in results:
        attempt(result, lambda result=result: once(result))
    return results


def install(run: Run) -> Path:
    """The environment, without pip."""
    source, venv = run.folder / "source", run.folder / "venv"
    shutil.copytree(run.source, source, ignore=LEFT_OUT)  # pip leaves a folder `build` where it builds
    _do("-m", "venv", "--without-pip", str(venv))
    _do("-m", "pip", "--python", str(venv), "install", "--quiet", str(source))
    return venv


def sizes(venv: Path) -> dict[str, int]:
    """Bytes of files by the package, or other entry of site-packages, that they belong to."""
    found: dict[str, int] = {}
    for path in venv.rglob("*"):
        if path.is_file() and not path.is_symlink():
            parts = path.relative_to(venv).parts
            at = parts.index("site-packages") + 1 if "site-packages" in parts else 0
            found[parts[at]] = found.get(parts[at], 0) + path.stat().st_size
    return found


def _do(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise PeerFailed(f"failed: {last}")
