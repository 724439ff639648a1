"""Copying around the cache, as LLVM IR text.

Whole cache lines are stored with the nontemporal hint. What is before the first and behind the last of them is copied
as ever: the line is shared with what another call writes. Such stores pass those that come after them, so a function
that made some ends with a fence.
"""

from __future__ import annotations

STREAMED = "  fence seq_cst"

STREAM = """\
define internal void @weft_stream(ptr noalias %to, ptr noalias %from, i64 %bytes) noinline nounwind {
entry:
  %address = ptrtoint ptr %to to i64
  %past = sub i64 0, %address
  %before = and i64 %past, 63
  %head = call i64 @llvm.umin.i64(i64 %before, i64 %bytes)
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %head, i1 false)
  %rest = sub i64 %bytes, %head
  %lines = and i64 %rest, -64
  %end = add i64 %head, %lines
  br label %test
test:
  %at = phi i64 [ %head, %entry ], [ %next, %line ]
  %more = icmp ult i64 %at, %end
  br i1 %more, label %line, label %last
line:
  %source = getelementptr inbounds i8, ptr %from, i64 %at
  %target = getelementptr inbounds i8, ptr %to, i64 %at
  %value = load <16 x i32>, ptr %source, align 1
  store <16 x i32> %value, ptr %target, align 64, !nontemporal !1000000
  %next = add nuw i64 %at, 64
  br label %test
last:
  %tail = sub i64 %bytes, %end
  %source.tail = getelementptr inbounds i8, ptr %from, i64 %end
  %target.tail = getelementptr inbounds i8, ptr %to, i64 %end
  call void @llvm.memcpy.p0.p0.i64(ptr %target.tail, ptr %source.tail, i64 %tail, i1 false)
  ret void
}
!1000000 = !{i32 1}
"""
