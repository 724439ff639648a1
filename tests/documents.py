"""Documents that are true: a Markdown file is run from top to bottom, and says what it prints.

    ```python step.py      run, in one namespace per document; with a name it is also a file in the working folder
    ```text                right after it: exactly what the block above printed, or the error that it ended with
    ```console             `$ command` lines, run by a shell in that folder with a cache of its own, and their output
    ```py step.py          a file in the working folder, for a command to run
    ```sh, ...             not run

What a machine decides is masked on both sides before they are compared: see MASKS. Unnamed blocks are compiled
at their own lines of the document, so that an error points there.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What differs from run to run and from machine to machine: times, and the cache's keys, sizes and widths.
MASKS = (
    (re.compile(r"^[0-9a-f]{12}  (\w+) +[\d,]+ +\d+ \w+ +\d+ \w+  (.*)$", re.M), r"<key> \1 <bytes> <age> \2"),
    (re.compile(r"^key +kind +bytes +age +last use +label$", re.M), "<head of the cache's list>"),
    (re.compile(r"\d+ threads?: memory \d+ GB/s, .*$", re.M), "<roofline>"),
    (re.compile(r" {2,}[\d.]+ (ms|us) +(launch|caches|memory|flops)$", re.M), "  <predicted>"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|us|ns)\b"), "<time>"),
)
FENCE = re.compile(r"^(`{3,})(\w*)[ ]*(\S*)[ ]*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is that of its first line of text, counted from 1."""

    language: str
    name: str
    line: int
    text: str

    @property
    def end(self) -> int:
        """Line of the closing fence."""
        return self.line + self.text.count("\n")


def blocks(markdown: str) -> Iterator[Block]:
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        opened = FENCE.match(lines[at])
        at += 1
        if opened is None:
            continue
        start = at
        while lines[at].strip() != opened[1]:
            at += 1
        yield Block(opened[2], opened[3], start + 1, "".join(line + "\n" for line in lines[start:at]))
        at += 1


def masked(text: str) -> str:
    for pattern, name in MASKS:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


class Document:
    """One document being run in `folder`. `found` maps a text block's line to what was printed there."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.markdown = path.read_text("utf-8")
        self.namespace: dict[str, object] = {"__name__": "__main__"}
        self.blocks = list(blocks(self.markdown))
        self.wrong: list[str] = []
        self.found: dict[Block, str] = {}

    def run(self) -> None:
        """Run every block in order; what is not as the document says is in `wrong`."""
        for i, block in enumerate(self.blocks):
            if block.language == "python":
                printed = self._python(block)
                self._compare(printed, block, self._shown(i))
            elif block.language == "py":
                (self.folder / block.name).write_text(block.text, "utf-8")
            elif block.language == "console":
                self._console(block)

    def _shown(self, i: int) -> Block | None:
        """The text block that follows a block with nothing but empty lines between."""
        if i + 1 == len(self.blocks) or self.blocks[i + 1].language != "text":
            return None
        between = self.markdown.split("\n")[self.blocks[i].end : self.blocks[i + 1].line - 2]
        return None if any(between) else self.blocks[i + 1]

    def _compare(self, printed: str, block: Block, shown: Block | None) -> None:
        if shown is None:
            if printed:
                self.wrong.append(f"{self.path.name}:{block.line} printed what is not shown:\n{printed}")
            return
        self.found[shown] = printed
        if masked(printed) != masked(shown.text):
            self.wrong.append(f"{self.path.name}:{shown.line} says\n{shown.text}\nbut it printed\n{printed}")

    def _python(self, block: Block) -> str:
        name = block.name or self.path.name
        source = block.text if block.name else "\n" * (block.line - 1) + block.text
        shown = source if block.name else self._program()
        linecache.cache[name] = (len(shown), None, shown.splitlines(keepends=True), name)
        if block.name:
            (self.folder / name).write_text(source, "utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(source, name, "exec"), self.namespace)
            except Exception as error:
                print("".join(traceback.format_exception_only(error)), end="")
        return printed.getvalue()

    def _program(self) -> str:
        """The document's unnamed Python blocks as one file, each at its own lines: functions are looked up there."""
        lines = [""] * (self.markdown.count("\n") + 1)
        for block in self.blocks:
            if block.language == "python" and not block.name:
                text = block.text.splitlines()
                lines[block.line - 1 : block.line - 1 + len(text)] = text
        return "\n".join(lines) + "\n"

    def _console(self, block: Block) -> None:
        """Each `$ command`, with the lines below it as what it prints on both streams."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "WEFT_CACHE_DIR": str(self.folder / "cache")}
        printed = ""
        for command in re.findall(r"^\$ (.*)$", block.text, re.M):
            done = subprocess.run(
                command, shell=True, cwd=self.folder, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            printed += f"$ {command}\n{done.stdout}"
        self._compare(printed, block, block)

    def updated(self) -> str:
        """The document with what was printed in place of what it says, where they differ."""
        lines = self.markdown.split("\n")
        for block, printed in sorted(self.found.items(), key=lambda item: -item[0].line):
            if masked(printed) != masked(block.text):
                lines[block.line - 1 : block.end - 1] = printed.strip("\n").split("\n")
        return "\n".join(lines)
