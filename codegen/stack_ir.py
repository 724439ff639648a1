"""Stacks in compiled code, as LLVM IR: a block of memory that doubles when it is full.

    {next, base, top, size}     next: the call's stacks are in a list, and freed together when it ends
"""

from __future__ import annotations

STACKS = """\
declare ptr @malloc(i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)

; A new stack, entered in the list; null when there is no memory.
define internal ptr @weft_stack_new(ptr %list) nounwind {
  %s = call ptr @malloc(i64 32)
  %none = icmp eq ptr %s, null
  br i1 %none, label %end, label %made
made:
  %next = load ptr, ptr %list
  store ptr %next, ptr %s
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  call void @llvm.memset.p0.i64(ptr %base.at, i8 0, i64 24, i1 false)
  store ptr %s, ptr %list
  br label %end
end:
  ret ptr %s
}

; Room for a record on top of the stack; null when there is no memory.
define internal ptr @weft_stack_push(ptr %s, i64 %bytes) alwaysinline nounwind {
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  %size.at = getelementptr inbounds i8, ptr %s, i64 24
  %top = load i64, ptr %top.at
  %size = load i64, ptr %size.at
  %new = add nuw i64 %top, %bytes
  %full = icmp ugt i64 %new, %size
  br i1 %full, label %grow, label %push
grow:
  %grown = call i1 @weft_stack_grow(ptr %s, i64 %new)
  br i1 %grown, label %push, label %fail
push:
  store i64 %new, ptr %top.at
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %base = load ptr, ptr %base.at
  %room = getelementptr inbounds i8, ptr %base, i64 %top
  ret ptr %room
fail:
  ret ptr null
}

define internal i1 @weft_stack_grow(ptr %s, i64 %least) noinline cold nounwind {
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %size.at = getelementptr inbounds i8, ptr %s, i64 24
  %base = load ptr, ptr %base.at
  %size = load i64, ptr %size.at
  %double = shl i64 %size, 1
  %more = call i64 @llvm.umax.i64(i64 %double, i64 %least)
  %new = call i64 @llvm.umax.i64(i64 %more, i64 4096)
  %grown = call ptr @realloc(ptr %base, i64 %new)
  %none = icmp eq ptr %grown, null
  br i1 %none, label %fail, label %keep
keep:
  store ptr %grown, ptr %base.at
  store i64 %new, ptr %size.at
  ret i1 true
fail:
  ret i1 false
}

; The record on top, which is taken off.
define internal ptr @weft_stack_pop(ptr %s, i64 %bytes) alwaysinline nounwind {
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  %top = load i64, ptr %top.at
  %new = sub i64 %top, %bytes
  store i64 %new, ptr %top.at
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %base = load ptr, ptr %base.at
  %record = getelementptr inbounds i8, ptr %base, i64 %new
  ret ptr %record
}

define internal void @weft_stacks_free(ptr %list) noinline nounwind {
entry:
  %first = load ptr, ptr %list
  br label %head
head:
  %s = phi ptr [ %first, %entry ], [ %next, %body ]
  %none = icmp eq ptr %s, null
  br i1 %none, label %end, label %body
body:
  %next = load ptr, ptr %s
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %base = load ptr, ptr %base.at
  call void @free(ptr %base)
  call void @free(ptr %s)
  br label %head
end:
  ret void
}
"""
