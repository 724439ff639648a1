"""README.md and ARCHITECTURE.md are run, their links are followed, and their commands are the ones that count.

How a document is written so that it can be run is in `documents.py`. WEFT_UPDATE_DOCS=1 puts what programs print
into the documents, and what they draw into docs/; read the difference before you commit it.
"""

from __future__ import annotations

import operator
import os
import re
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from documents import Document, blocks, masked

import weft

ROOT = Path(__file__).resolve().parent.parent
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "ARCHITECTURE.md"
MARKDOWN = [p for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md") for p in sorted(ROOT.glob(pattern))]
COMMANDS = [b.text.strip() for b in blocks(README.read_text("utf-8")) if b.language == "sh"]


@pytest.mark.parametrize("path", [README, ARCHITECTURE], ids=lambda p: p.stem)
def test_document_is_true(path, tmp_path, monkeypatch):
    update = os.environ.get("WEFT_UPDATE_DOCS")
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("WEFT_") and n != "WEFT_CACHE_DIR"]:
        monkeypatch.delenv(name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    document = Document(path, tmp_path)
    document.run()
    pictures = [p for p in sorted(tmp_path.glob("*.svg")) if (ROOT / "docs" / p.name).exists()]
    if update:
        path.write_text(document.updated(), "utf-8")
        for picture in pictures:
            (ROOT / "docs" / picture.name).write_bytes(picture.read_bytes())
        return
    stale = [p.name for p in pictures if p.read_bytes() != (ROOT / "docs" / p.name).read_bytes()]
    assert not stale, "docs/ has other pictures than the document's commands draw; see above on how to update them"
    assert not document.wrong, "\n\n".join(document.wrong)
    assert sum(b.language == "python" for b in document.blocks) >= 8


def test_links_lead_somewhere():
    missing = []
    for path in MARKDOWN:
        text = re.sub(r"^(```+).*?^\1$", "", path.read_text("utf-8"), flags=re.M | re.S)
        links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
        for link in (a or b for a, b in links):
            file, _, anchor = link.partition("#")
            target = (path.parent / file) if file else path
            if re.match(r"[a-z]+:", link):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{path.relative_to(ROOT)} -> {link}")
    assert not missing


def anchors(path: Path) -> set[str]:
    """The names by which a document's headings can be linked to."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_readme_names_everything_public():
    text = README.read_text("utf-8")
    assert [name for name in weft.__all__ if f"weft.{name}" not in text] == []


def test_the_two_commands():
    """The first trains the digits; the second is what runs for every commit, word for word."""
    train, test = COMMANDS[:2]
    assert re.findall(r"\.venv/bin/python (\S+)", train) == ["examples/digits.py"]
    assert train.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    work = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert work == [test]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"\.\[(\w+)\]", train + test)) <= set(extras)


def test_documents_speak_of_this_project_only():
    for path in MARKDOWN:
        assert not re.search(r"/tmp/|/home/|/work/|/root/", path.read_text("utf-8")), path


def draw(x):
    return x + np.random.default_rng().random(6)


TABLE = np.zeros(6)

# What the README's list of missing things says (words of it), and a program that would work if it were there.
MISSING = [
    ("`x[i::2]`", lambda x: weft.fori_loop(0, 5, lambda i, total: total + x[i::2].sum(), 0.0)),
    ("returned", lambda x: x[: x.sum().astype(int)]),
    ("joined", lambda x: np.concatenate([x[: x.sum().astype(int)], x]).sum()),
    ("neither made", lambda x: operator.setitem(TABLE, slice(None), x)),
    ("sorted", lambda x: np.sort(x[: x.sum().astype(int)]).sum()),
    ("histograms", lambda x: np.histogram(x, weights=x)),
    ("weighted quantiles", lambda x: np.quantile(x, 0.5, weights=x, method="inverted_cdf")),
    ("`as_strided`", lambda x: np.lib.stride_tricks.as_strided(x, (2,), (8,))),
    ("FFT", np.fft.rfft),
    ("`np.linalg.eig`", lambda x: np.linalg.eig(np.outer(x, x))),
    ("`np.unique`", np.unique),
    ("`x[x > 0]`", lambda x: x[x > 0]),
    ("complex", lambda x: x * 1j),
]
TRANSFORMS = ("custom_vjp",)


def missing() -> str:
    return README.read_text("utf-8").partition("## What is not there yet")[2].partition("\n## ")[0]


@pytest.mark.parametrize("words, program", MISSING, ids=[words for words, _ in MISSING])
def test_what_is_missing_is_missing(words, program):
    """When this fails because it works: take it from the README's list, and from this one."""
    assert words in missing()
    with pytest.raises(weft.errors.TracingError):
        weft.compile(program)(np.linspace(0.1, 1, 6))


def test_the_rest_of_what_is_missing():
    for name in TRANSFORMS:
        assert f"`{name}`" in missing() and not hasattr(weft, name)
    x = np.ones(6)
    once = weft.compile(draw)
    with pytest.warns(weft.errors.HostEffectWarning, match="draws random numbers"):
        np.testing.assert_array_equal(once(x), once(x))
    assert "Random numbers" in missing()


def cut(x):
    x[x < 0] = 0
    return x


def test_what_the_list_says_works_works():
    x = np.linspace(-1, 1, 6)
    np.testing.assert_array_equal(weft.compile(lambda x: np.where(x > 0, x, 0))(x), np.maximum(x, 0))
    np.testing.assert_array_equal(weft.compile(cut)(x.copy()), np.maximum(x, 0))
    assert abs(weft.grad(weft.grad(np.sin))(0.5) + np.sin(0.5)) < 1e-12


# The runner itself: what it must not let through.


def run(markdown: str, folder: Path) -> Document:
    path = folder / "doc.md"
    path.write_text(textwrap.dedent(markdown), "utf-8")
    document = Document(path, folder)
    document.run()
    return document


TRUE = """\
    Text.

    ```python one.py
    x = 1
    print(x + 1)
    ```

    ```text
    2
    ```

    ```python
    int("a")
    ```

    ```text
    ValueError: invalid literal for int() with base 10: 'a'
    ```

    ```console
    $ python one.py
    2
    ```
"""


def test_a_true_document_passes(tmp_path):
    document = run(TRUE, tmp_path)
    assert document.wrong == [] and document.updated() == document.markdown


@pytest.mark.parametrize(
    "true, false",
    [
        ("x + 1", "x + 2"),  # the program prints something else
        ("```text\n    2", "```text\n    2\n    3"),  # the document shows more
        ("    ```text\n    2\n    ```\n", ""),  # the document does not show it
        ("base 10", "base 8"),  # another error
        ('int("a")', 'int("1")'),  # no error
        ("$ python one.py\n    2", "$ python one.py\n    7"),  # a command prints something else
    ],
)
def test_a_false_document_fails(tmp_path, true, false):
    assert true in TRUE
    document = run(TRUE.replace(true, false), tmp_path)
    assert document.wrong


def test_updating_puts_the_truth_in(tmp_path):
    document = run(TRUE.replace("x + 1", "x + 2"), tmp_path)
    assert document.updated() == textwrap.dedent(TRUE).replace("x + 1", "x + 2").replace("\n2\n", "\n3\n")


def test_masks_hide_times_and_nothing_else():
    assert masked("compiled in 12.3 ms, 4 times") == masked("compiled in 7.1 ms, 4 times")
    assert masked("compiled in 12.3 ms, 4 times") != masked("compiled in 12.3 ms, 5 times")
    row = "5240e68e2404  step   1,172  1 s       1 s  update"
    assert masked(row) == masked("92bda21ddb75  step  16,254  3 min     2 min  update")
    assert masked(row) != masked(row.replace("step", "blas"))
    assert masked(row) != masked(row.replace("update", "step"))
