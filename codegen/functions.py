"""Kernels as functions of LLVM IR, and modules of them.

A kernel becomes `@k_body`, which takes its buffers as `noalias` pointers: that is what lets LLVM vectorise. One of
several chunks gets `@k` besides, which unpacks them from an array, the form in which the thread pool calls it. A short
one in a loop is inlined there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from weft.codegen.kernel import Buffer, Kernel, Statement, Stream, scalars, walk
from weft.codegen.llvm import ROLLED, printed
from weft.codegen.scalar import Scalar, declarations
from weft.codegen.stream_ir import STREAM, STREAMED
from weft.ir.dims import same

OUT_OF_BOUNDS = """\
define internal void @weft_out_of_bounds(ptr %error, i64 %site, i64 %index) noinline cold nounwind {
  %was = cmpxchg ptr %error, i64 0, i64 %site monotonic monotonic
  %first = extractvalue {i64, i1} %was, 1
  br i1 %first, label %keep, label %end
keep:
  %at = getelementptr inbounds i64, ptr %error, i64 1
  store i64 %index, ptr %at
  br label %end
end:
  ret void
}
"""


def _function(name: str, kernel: Kernel, body: Sequence[Statement], how: str) -> str:
    """`@name_body`, which its module alone calls."""
    f = printed(kernel, body, "%chunk")
    params = "".join(f"ptr noalias %{b.name}, " for b in kernel.buffers)
    lines = [f"define internal void @{name}_body({params}i64 %chunk) {how} nounwind {{", "entry:"]
    lines += [*_loaded(kernel), *f.slots, *f.lines, *([STREAMED] if f.streams else []), "  ret void", "}"]
    return "\n".join(lines) + "\n"


def _visible(name: str, kernel: Kernel, body: Sequence[Statement]) -> str:
    """`@name`, which other modules call: of one chunk, so it need not be told which."""
    f = printed(kernel, body, "0")
    params = ", ".join(f"ptr noalias %{b.name}" for b in kernel.buffers)
    lines = [f"define void @{name}({params}) nounwind {{", "entry:", *_loaded(kernel), *f.slots, *f.lines]
    return "\n".join([*lines, *([STREAMED] if f.streams else []), "  ret void", "}"]) + "\n"


def _loaded(kernel: Kernel) -> list[str]:
    """The sizes that a function begins by reading."""
    lines = []
    for i in range(len(kernel.sizes)):
        lines.append(f"  %size.{i}.at = getelementptr inbounds i64, ptr %sizes, i64 {i}")
        lines.append(f"  %size.{i} = load i64, ptr %size.{i}.at")
    return lines


def unpacking(name: str, buffers: Sequence[Buffer], linkage: str = "internal ") -> str:
    """`@name`, which takes the buffers of `@name_body` from an array of pointers."""
    lines = [f"define {linkage}void @{name}(ptr %args, i64 %chunk) nounwind {{"]
    args = []
    for i in range(len(buffers)):
        lines.append(f"  %a{i} = getelementptr inbounds ptr, ptr %args, i64 {i}")
        lines.append(f"  %p{i} = load ptr, ptr %a{i}")
        args.append(f"ptr noalias %p{i}")
    lines.append(f"  call void @{name}_body({', '.join([*args, 'i64 %chunk'])})")
    lines += ["  ret void", "}"]
    return "\n".join(lines) + "\n"


def print_kernels(kernels: Sequence[Kernel], inlined: Collection[str] = ()) -> str:
    """LLVM IR of the kernels and of the scalar functions that they call, without declarations.

    `inlined`: names of those that become part of their callers.
    """
    parts = _scalar_functions(kernels)
    for k in kernels:
        how = "alwaysinline" if k.name in inlined else "noinline"
        parts.append(_function(k.name, k, k.body, how))
        if not same(k.chunks, 1):
            parts.append(unpacking(k.name, k.buffers))
        if k.final:
            parts.append(_function(f"{k.name}_final", k, k.final, how))
    return _with_loops("\n".join([*parts, *_helpers(kernels)]))


def print_alone(k: Kernel) -> str:
    """The same of one kernel that other modules call: as `@k`, and `@k_final`.

    Several chunks go through the pool, which has the buffers in an array.
    """
    parts = _scalar_functions([k])
    if same(k.chunks, 1):
        parts.append(_visible(k.name, k, k.body))
    else:
        parts += [_function(k.name, k, k.body, "noinline"), unpacking(k.name, k.buffers, "")]
    if k.final:
        parts.append(_visible(f"{k.name}_final", k, k.final))
    return _with_loops("\n".join([*parts, *_helpers([k])]))


def _helpers(kernels: Sequence[Kernel]) -> list[str]:
    """The functions that they call beside scalar ones."""
    parts = [OUT_OF_BOUNDS] if any(b.role == "error" for k in kernels for b in k.buffers) else []
    return [*parts, STREAM] if any(isinstance(s, Stream) for k in kernels for s in walk(k.body)) else parts


def _scalar_functions(kernels: Sequence[Kernel]) -> list[str]:
    needed: dict[str, Scalar] = {}
    for k in kernels:
        for s in scalars([*k.body, *k.final]):
            for callee in s.calls:
                needed[callee.name] = callee
    return [scalar.llvm_define() for scalar in needed.values()]


def _with_loops(text: str) -> str:
    """Each rolled loop's metadata, a node of its own."""
    first, *rest = re.split(ROLLED.format(r"(\d)"), text)
    nodes, parts = ['!0 = !{!"llvm.loop.unroll.disable"}'], [first]
    for count, part in zip(rest[::2], rest[1::2], strict=True):
        n = len(nodes)
        parts.append(f", !llvm.loop !{n}{part}")
        nodes.append(f"!{n} = distinct !{{!{n}, !0}}")
        if int(count):
            nodes[n] = f"!{n} = distinct !{{!{n}, !0, !{n + 1}}}"
            nodes.append(f'!{n + 1} = !{{!"llvm.loop.interleave.count", i32 {count}}}')
    return "\n".join(["".join(parts), *nodes]) + "\n" if rest else text


def module(text: str) -> str:
    """Add the declarations that `text` uses."""
    lines = [line for line in declarations().splitlines() if line.startswith("declare")]
    for t in ("float", "double"):
        short = "f32" if t == "float" else "f64"
        lines += [f"declare {t} @llvm.{m}.{short}({t}, {t})" for m in ("maximum", "minimum")]
    for n in (8, 16, 32, 64):
        lines += [f"declare i{n} @llvm.{m}.i{n}(i{n}, i{n})" for m in ("smin", "smax", "umin", "umax")]
    used = set(re.findall(r"@[\w.]+", text))
    defined = set(re.findall(r"^(?:define[^@]*|declare[^@]*)(@[\w.]+)", text, re.M))
    keep = {}
    for line in lines:
        found = re.search(r"@[\w.]+", line)
        if found and found.group() in used - defined:
            keep[found.group()] = line
    return "\n".join(sorted(keep.values())) + "\n\n" + text
