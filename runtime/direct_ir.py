"""A call without Python: what reads the arguments' objects, runs the step and makes the results', as LLVM IR text.

    weft_call(self, args, count, names)   a builtin of METH_FASTCALL and METH_KEYWORDS; `self` is a tuple whose first
                                          item is the program
    program    | count, frame's words, owned, result, missed, names | take_array ... | take_float ... | run ... | 0
    frame      | arguments (borrowed) | owned objects | pointers for the step | cells: scalars

A program is a list of instructions, each the address of the function here that does it, its own length, and its
operands: places in the frame as word numbers, objects and dims as they are. An instruction returns DONE, MISSED (the
arguments are not those that the program was made for; nothing has happened, `missed` is returned and the caller
goes the general way) or RAISED. Whatever happened, what the frame owns is released at the end. So the text is the
same for all functions, compiled once, and a leaf costs nanoseconds.

`weft_enter` is what the general way calls: it gets the arrays alone, and finds their addresses.

What lies in arrays is read by offset (checked at import, see `weft.runtime.executable`); all else is asked of CPython
and NumPy by their C API.
"""

from __future__ import annotations

from weft.codegen import entry
from weft.runtime.direct_give_ir import GIVE
from weft.runtime.direct_take_ir import TAKE

DONE, MISSED, RAISED = 0, 1, 2


def direct_ir() -> str:
    """The module that defines `weft_call` and the instructions, each as `weft_<name>`."""
    text = "\n".join([_TEXT, TAKE, GIVE])
    values = {"TYPE": entry.OBJECT_TYPE, "DATA": entry.ARRAY_DATA, "NDIM": entry.ARRAY_NDIM, "DIMS": entry.ARRAY_DIMS,
              "DESCR": entry.ARRAY_DESCR, "BASE": entry.ARRAY_BASE, "FLAGS": entry.ARRAY_FLAGS,
              "ITEMS": entry.TUPLE_ITEMS, "COPY": entry.COPY,
              "MISSED": MISSED, "RAISED": RAISED, "HEADER": entry.HEADER}  # fmt: skip
    for word, value in values.items():
        text = text.replace(f"${word}", str(value))
    return text


_TEXT = r"""
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare i64 @PyDict_Size(ptr)
declare ptr @PyDict_New()
declare i32 @PyDict_SetItem(ptr, ptr, ptr)
declare double @PyFloat_AsDouble(ptr)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare ptr @PyObject_CallFunction(ptr, ptr, ...)
declare ptr @PyErr_NoMemory()
declare void @PyErr_Clear()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @weft_numpy_new(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)
declare ptr @weft_numpy_scalar(ptr, ptr, ptr)
declare void @weft_numpy_read(ptr, ptr)
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
@three = internal constant [4 x i8] c"LLL\00"

define ptr @weft_call(ptr %self, ptr %args, i64 %positional, ptr %names) {
entry:
  %first = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %program = call ptr @field(ptr %first, i64 $DATA)
  %missed = call ptr @object(ptr %program, i64 4)
  %wanted = load i64, ptr %program
  %wanted.names = call ptr @object(ptr %program, i64 5)
  %named = call i64 @matching(ptr %names, ptr %wanted.names)
  %count = add i64 %positional, %named
  %known = icmp sge i64 %named, 0
  %enough = icmp eq i64 %wanted, %count
  %fits = and i1 %known, %enough
  br i1 %fits, label %begin, label %other
other:
  call void @Py_IncRef(ptr %missed)
  ret ptr %missed
begin:
  %words = call i64 @word(ptr %program, i64 1)
  %owned = call i64 @word(ptr %program, i64 2)
  %frame = alloca i64, i64 %words, align 16
  %borrowed.bytes = mul i64 %count, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %frame, ptr %args, i64 %borrowed.bytes, i1 false)
  %mine = getelementptr inbounds i64, ptr %frame, i64 %count
  %own = sub i64 %owned, %count
  %own.bytes = mul i64 %own, 8
  call void @llvm.memset.p0.i64(ptr %mine, i8 0, i64 %own.bytes, i1 false)
  %start = getelementptr inbounds i64, ptr %program, i64 $HEADER
  br label %next
next:
  %at = phi ptr [%start, %begin], [%after, %did]
  %do = load ptr, ptr %at
  %over = icmp eq ptr %do, null
  br i1 %over, label %finish, label %work
work:
  %how = call i64 %do(ptr %frame, ptr %at)
  %fine = icmp eq i64 %how, 0
  br i1 %fine, label %did, label %stop
did:
  %length = call i64 @word(ptr %at, i64 1)
  %after = getelementptr inbounds i64, ptr %at, i64 %length
  br label %next
stop:
  %miss = icmp eq i64 %how, $MISSED
  %nothing = select i1 %miss, ptr %missed, ptr null
  br label %release
finish:
  %r = call i64 @word(ptr %program, i64 3)
  %result = call ptr @object(ptr %frame, i64 %r)
  br label %release
release:
  %out = phi ptr [%nothing, %stop], [%result, %finish]
  call void @Py_IncRef(ptr %out)
  br label %drop
drop:
  %i = phi i64 [%count, %release], [%i1, %dropped]
  %more = icmp slt i64 %i, %owned
  br i1 %more, label %dropped, label %end
dropped:
  %o = call ptr @object(ptr %frame, i64 %i)
  call void @Py_DecRef(ptr %o)
  %i1 = add nuw nsw i64 %i, 1
  br label %drop
end:
  ret ptr %out
}

; weft_enter program tuple: run a step on a tuple of arrays: inputs, results, constants, arena. program: the step, the
; number of arrays, that of inputs, and for each of these the flags that it has to have.
define i64 @weft_enter(ptr %program, ptr %tuple) {
entry:
  %step = load ptr, ptr %program
  %count = call i64 @word(ptr %program, i64 1)
  %inputs = call i64 @word(ptr %program, i64 2)
  %args = alloca ptr, i64 %count, align 16
  %items = getelementptr inbounds i8, ptr %tuple, i64 $ITEMS
  br label %head
head:
  %i = phi i64 [0, %entry], [%i1, %on]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %run
item:
  %o = call ptr @object(ptr %items, i64 %i)
  %data = call ptr @field(ptr %o, i64 $DATA)
  %p = getelementptr inbounds ptr, ptr %args, i64 %i
  store ptr %data, ptr %p
  %i1 = add nuw nsw i64 %i, 1
  %given = icmp slt i64 %i, %inputs
  br i1 %given, label %look, label %on
look:
  %flags.at = getelementptr inbounds i8, ptr %o, i64 $FLAGS
  %flags = load i32, ptr %flags.at
  %k = add nuw nsw i64 %i, 3
  %mask64 = call i64 @word(ptr %program, i64 %k)
  %mask = trunc i64 %mask64 to i32
  %set = and i32 %flags, %mask
  %fine = icmp eq i32 %set, %mask
  br i1 %fine, label %on, label %copy
on:
  br label %head
copy:
  ret i64 $COPY
run:
  %end = call i64 %step(ptr %args)
  ret i64 %end
}

; How many names there are, or -1 if they are others than wanted. Both are tuples, or null for none.
define internal i64 @matching(ptr %names, ptr %wanted) {
  %none = icmp eq ptr %names, null
  %none.wanted = icmp eq ptr %wanted, null
  %no.names = and i1 %none, %none.wanted
  br i1 %no.names, label %nothing, label %some
nothing:
  ret i64 0
some:
  %one.only = or i1 %none, %none.wanted
  br i1 %one.only, label %differ, label %measure
differ:
  ret i64 -1
measure:
  %n = call i64 @PyTuple_Size(ptr %names)
  %m = call i64 @PyTuple_Size(ptr %wanted)
  %as.many = icmp eq i64 %n, %m
  br i1 %as.many, label %head, label %differ
head:
  %i = phi i64 [0, %measure], [%i1, %on]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item, label %done
item:
  %a = call ptr @PyTuple_GetItem(ptr %names, i64 %i)
  %b = call ptr @PyTuple_GetItem(ptr %wanted, i64 %i)
  %same = icmp eq ptr %a, %b
  br i1 %same, label %on, label %differ
on:
  %i1 = add nuw nsw i64 %i, 1
  br label %head
done:
  ret i64 %n
}

; ---- reading words ----

define internal i64 @word(ptr %at, i64 %k) alwaysinline {
  %p = getelementptr inbounds i64, ptr %at, i64 %k
  %w = load i64, ptr %p
  ret i64 %w
}

define internal ptr @object(ptr %at, i64 %k) alwaysinline {
  %p = getelementptr inbounds ptr, ptr %at, i64 %k
  %w = load ptr, ptr %p
  ret ptr %w
}

define internal ptr @field(ptr %object, i64 %bytes) alwaysinline {
  %p = getelementptr inbounds i8, ptr %object, i64 %bytes
  %w = load ptr, ptr %p
  ret ptr %w
}

; The place in the frame whose number is operand k.
define internal ptr @place(ptr %f, ptr %op, i64 %k) alwaysinline {
  %n = call i64 @word(ptr %op, i64 %k)
  %p = getelementptr inbounds i64, ptr %f, i64 %n
  ret ptr %p
}

; The object at the place in the frame whose number is operand k.
define internal ptr @there(ptr %f, ptr %op, i64 %k) alwaysinline {
  %p = call ptr @place(ptr %f, ptr %op, i64 %k)
  %o = load ptr, ptr %p
  ret ptr %o
}

; Is the object at operand 2 of exactly the class in operand 3?
define internal i1 @is_class(ptr %f, ptr %op) alwaysinline {
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %t = call ptr @field(ptr %o, i64 $TYPE)
  %c = call ptr @object(ptr %op, i64 3)
  %is = icmp eq ptr %t, %c
  ret i1 %is
}

define internal i64 @unless(i1 %fine) alwaysinline {
  %how = select i1 %fine, i64 0, i64 $MISSED
  ret i64 %how
}

; RAISED if a new object is NULL, else it is owned by the place in operand 2.
define internal i64 @own(ptr %f, ptr %op, ptr %new) alwaysinline {
  %p = call ptr @place(ptr %f, ptr %op, i64 2)
  store ptr %new, ptr %p
  %bad = icmp eq ptr %new, null
  %how = select i1 %bad, i64 $RAISED, i64 0
  ret i64 %how
}

; ---- the step ----

; point pointer address
define i64 @weft_point(ptr %f, ptr %op) {
  %p = call ptr @place(ptr %f, ptr %op, i64 2)
  %a = call ptr @object(ptr %op, i64 3)
  store ptr %a, ptr %p
  ret i64 0
}

; point_as pointer other: where another pointer points
define i64 @weft_point_as(ptr %f, ptr %op) {
  %p = call ptr @place(ptr %f, ptr %op, i64 2)
  %a = call ptr @there(ptr %f, ptr %op, i64 3)
  store ptr %a, ptr %p
  ret i64 0
}

; run step pointers arena size held errors raise: without Python's lock. The arena is the one that is held, unless
; another thread has it. An end other than 0 is told to `raise`, with what the step recorded of its first bad index.
define i64 @weft_run(ptr %f, ptr %op) {
entry:
  %step = call ptr @object(ptr %op, i64 2)
  %pointers = call ptr @place(ptr %f, ptr %op, i64 3)
  %slot = call ptr @place(ptr %f, ptr %op, i64 4)
  %held = getelementptr inbounds i64, ptr %op, i64 6
  %kept.word = atomicrmw xchg ptr %held, i64 0 acq_rel
  %kept = inttoptr i64 %kept.word to ptr
  %taken = icmp eq ptr %kept, null
  br i1 %taken, label %make, label %go
make:
  %size = call i64 @word(ptr %op, i64 5)
  %fresh = call ptr @aligned_alloc(i64 64, i64 %size)
  %none = icmp eq ptr %fresh, null
  br i1 %none, label %no.memory, label %go
no.memory:
  %null = call ptr @PyErr_NoMemory()
  ret i64 $RAISED
go:
  %arena = phi ptr [%kept, %entry], [%fresh, %make]
  store ptr %arena, ptr %slot
  %thread = call ptr @PyEval_SaveThread()
  %end = call i64 %step(ptr %pointers)
  call void @PyEval_RestoreThread(ptr %thread)
  %ran = icmp eq i64 %end, 0
  br i1 %ran, label %back, label %tell
tell:
  %errors = call i64 @word(ptr %op, i64 7)
  %raise = call ptr @object(ptr %op, i64 8)
  %record = getelementptr inbounds i8, ptr %arena, i64 %errors
  %number = load i64, ptr %record
  %index = call i64 @word(ptr %record, i64 1)
  %never = call ptr (ptr, ptr, ...) @PyObject_CallFunction(ptr %raise, ptr @three, i64 %end, i64 %number, i64 %index)
  br label %back
back:
  br i1 %taken, label %drop, label %keep
drop:
  call void @free(ptr %arena)
  br label %done
keep:
  store atomic i64 %kept.word, ptr %held release, align 8
  br label %done
done:
  %how = select i1 %ran, i64 0, i64 $RAISED
  ret i64 %how
}
"""
