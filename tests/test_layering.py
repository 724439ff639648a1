"""The layers of ARCHITECTURE.md, read from the source of every module, imports inside functions included.

    frontend -> passes -> ir <- codegen <- runtime      and weft/, the face, above them all
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("ir", "passes", "frontend", "codegen", "runtime")
LONGEST = 450

# What the modules of a folder may import beside the standard library: layers of weft, then other packages.
# Packages marked `late` may only be imported inside functions: importing weft must not pay for them.
MAY_IMPORT = {
    "ir": ({"ir"}, {"numpy"}),
    "passes": ({"passes", "ir"}, {"numpy"}),
    "frontend": ({"frontend", "passes", "ir"}, {"numpy"}),
    "codegen": ({"codegen", "ir"}, {"numpy", "llvmlite (late)", "numba (late)"}),
    "runtime": ({"runtime", "codegen", "ir"}, {"numpy", "scipy_openblas32 (late)", "llvmlite (late)"}),
    "weft": ({"weft", *FOLDERS}, {"numpy", "numba (late)"}),
}


def modules() -> dict[str, Path]:
    """Import name -> file, for every module of the package."""
    found = {}
    for folder in (*FOLDERS, "weft"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if folder == "weft" else ("weft", *parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def layer(module: str) -> str:
    """`weft.ir.graph` -> "ir"; the modules of the face -> "weft"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else "weft"


def walk(node: ast.AST, late: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Import statements below `node` but for those that only a type checker sees; whether in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from walk(child, late or inside)


def imports(module: str) -> Iterator[tuple[str, int, bool]]:
    """(imported module, line, late) of every import in `module`; `from m import n` is m.n if that is one."""
    for node, late in walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: write imports in full, from weft"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else str(node.module)), node.lineno, late


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    layers, packages = MAY_IMPORT[layer(module)]
    wrong = []
    for name, line, late in imports(module):
        top = name.split(".")[0]
        if top == "weft":
            allowed = layer(name) in layers
        else:
            allowed = top in packages | sys.stdlib_module_names or (late and f"{top} (late)" in packages)
        if not allowed:
            wrong.append(f"{MODULES[module]}:{line} imports {name}{' late' if late else ''}")
    assert not wrong


def test_no_import_cycles():
    """Late imports count: a module is above everything that it may ever import."""
    edges = {m: {n for n, _, _ in imports(m) if n in MODULES and n != m} for m in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        assert module not in trail, "cycle: " + " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for below in sorted(edges[module]):
                visit(below, [*trail, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_short(module):
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= LONGEST


def test_every_folder_is_in_the_wheel():
    """Each folder with modules is listed in pyproject.toml, under the name by which it is imported."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in MODULES.values()}
    assert set(settings["package-dir"].values()) == folders
    assert set(settings["packages"]) == set(settings["package-dir"])
    for name, folder in settings["package-dir"].items():
        assert (name.removeprefix("weft.").replace(".", "/") or "weft") == folder


def test_import_weft_is_light():
    """`import weft` brings NumPy, and neither a compiler nor a BLAS nor anything of the peers'."""
    heavy = ("numba", "llvmlite", "scipy_openblas32", "scipy", "jax", "torch", "matplotlib")
    code = f"import sys, weft; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_compile_loads_before_the_first_call():
    """The frontend, and of it only what captures: no pass list, no code generator, no runtime, and nothing of NumPy's
    and the standard library's that takes long to load and that the program itself did not ask for."""
    late = ("weft.pipeline", "weft.codegen", "weft.runtime", "weft.passes.fuse", "weft.passes.differentiate",
            "numpy.ma", "numpy.random", "sysconfig", "tempfile", "json")  # fmt: skip
    code = (
        "import sys, numpy; before = set(sys.modules); import weft; weft.compile(lambda x: x);"
        f"print([m for m in {late} if m in sys.modules and m not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_records_are_made_without_generated_methods():
    """Classes that are defined when weft is loaded use `weft.ir.records`: see there."""
    code = (
        "import dataclasses, numpy; made = []; plain = dataclasses._create_fn;"
        "dataclasses._create_fn = lambda name, *rest, **more: (made.append(name), plain(name, *rest, **more))[1];"
        "import weft; weft.compile(lambda x: x); print(made)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
