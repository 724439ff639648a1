"""Stacks in compiled code, as LLVM IR: a block of memory that doubles when it is full.

    {next, base, top, size}     next: a call's stacks are in a list

When a call ends it leaves its stacks to the next one, as fresh pages cost more than what is written to them: those of
up to `KEEP` bytes are a list that whoever calls next takes whole. `release` frees them.
"""

from __future__ import annotations

KEEP = 1 << 28  # bytes

STACKS = f"""\
declare ptr @malloc(i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)

@weft_kept = internal global ptr null

; An empty stack, entered in the list: a spare one or a new one; null when there is no memory.
define internal ptr @weft_stack_new(ptr %list, ptr %spares) nounwind {{
  %spare = load ptr, ptr %spares
  %none = icmp eq ptr %spare, null
  br i1 %none, label %make, label %take
take:
  %other = load ptr, ptr %spare
  store ptr %other, ptr %spares
  br label %enter
make:
  %new = call ptr @malloc(i64 32)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %end, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %new, i8 0, i64 32, i1 false)
  br label %enter
enter:
  %s = phi ptr [ %spare, %take ], [ %new, %clear ]
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  store i64 0, ptr %top.at
  %next = load ptr, ptr %list
  store ptr %next, ptr %s
  store ptr %s, ptr %list
  br label %end
end:
  %r = phi ptr [ %s, %enter ], [ null, %make ]
  ret ptr %r
}}

; Room for a record on top of the stack, which is not longer yet; null when there is no memory.
define internal ptr @weft_stack_room(ptr %s, i64 %bytes) alwaysinline nounwind {{
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  %size.at = getelementptr inbounds i8, ptr %s, i64 24
  %top = load i64, ptr %top.at
  %size = load i64, ptr %size.at
  %new = add nuw i64 %top, %bytes
  %full = icmp ugt i64 %new, %size
  br i1 %full, label %grow, label %fits
grow:
  %grown = call i1 @weft_stack_grow(ptr %s, i64 %new)
  br i1 %grown, label %fits, label %fail
fits:
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %base = load ptr, ptr %base.at
  %room = getelementptr inbounds i8, ptr %base, i64 %top
  ret ptr %room
fail:
  ret ptr null
}}

define internal void @weft_stack_push(ptr %s, i64 %bytes) alwaysinline nounwind {{
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  %top = load i64, ptr %top.at
  %new = add nuw i64 %top, %bytes
  store i64 %new, ptr %top.at
  ret void
}}

define internal i1 @weft_stack_grow(ptr %s, i64 %least) noinline cold nounwind {{
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
}}

; The record on top, which is taken off.
define internal ptr @weft_stack_pop(ptr %s, i64 %bytes) alwaysinline nounwind {{
  %top.at = getelementptr inbounds i8, ptr %s, i64 16
  %top = load i64, ptr %top.at
  %new = sub i64 %top, %bytes
  store i64 %new, ptr %top.at
  %base.at = getelementptr inbounds i8, ptr %s, i64 8
  %base = load ptr, ptr %base.at
  %record = getelementptr inbounds i8, ptr %base, i64 %new
  ret ptr %record
}}

; The call's stacks become spare ones (the first made in front again), those are kept, and what was kept is freed.
define internal void @weft_stacks_end(ptr %list, ptr %spares) noinline nounwind {{
entry:
  %first = load ptr, ptr %list
  br label %head
head:
  %s = phi ptr [ %first, %entry ], [ %next, %keep ], [ %next, %drop ]
  %none = icmp eq ptr %s, null
  br i1 %none, label %end, label %body
body:
  %next = load ptr, ptr %s
  %size.at = getelementptr inbounds i8, ptr %s, i64 24
  %size = load i64, ptr %size.at
  %large = icmp ugt i64 %size, {KEEP}
  br i1 %large, label %drop, label %keep
keep:
  %spare = load ptr, ptr %spares
  store ptr %spare, ptr %s
  store ptr %s, ptr %spares
  br label %head
drop:
  store ptr null, ptr %s
  call void @weft_stacks_free(ptr %s)
  br label %head
end:
  %all = load ptr, ptr %spares
  %old = atomicrmw xchg ptr @weft_kept, ptr %all acq_rel
  call void @weft_stacks_free(ptr %old)
  ret void
}}

define internal void @weft_stacks_free(ptr %list) noinline nounwind {{
entry:
  br label %head
head:
  %s = phi ptr [ %list, %entry ], [ %next, %body ]
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
}}

define void @release() nounwind {{
  %old = atomicrmw xchg ptr @weft_kept, ptr null acq_rel
  call void @weft_stacks_free(ptr %old)
  ret void
}}
"""
