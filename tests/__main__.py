"""Everything that has to pass: `python tests` runs the linter, the type checker and the tests.

The type checker wants a package `weft` to look at, and a default editable install only has a finder for one: so
this puts links to the folders where pyproject.toml says that `mypy_path` is.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TYPES = ROOT / "build" / "types"


def link_packages() -> None:
    """build/types/weft: the modules of weft/, and each other folder under its import name."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]
    shutil.rmtree(TYPES, ignore_errors=True)
    face = TYPES / "weft"
    face.mkdir(parents=True)
    for path in (ROOT / folders["weft"]).iterdir():
        if path.suffix in (".py", ".typed"):
            (face / path.name).symlink_to(path)
    for name, folder in folders.items():
        if name.count(".") == 1:  # the subpackages of these come along with them
            (face / name.split(".")[1]).symlink_to(ROOT / folder, target_is_directory=True)


def run(*command: str) -> bool:
    print("$", "python -m", *command, flush=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment).returncode == 0


def main() -> int:
    link_packages()
    passed = [run("ruff", "check", "."), run("mypy"), run("pytest", "-q", *sys.argv[1:])]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
