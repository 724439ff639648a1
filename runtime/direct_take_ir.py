"""The instructions of a direct call that take arguments apart (`direct_ir`): they miss what it isn't made for."""

TAKE = r"""
; take_items source class size get n target: the items of a tuple or list, by its class's two functions
define i64 @weft_take_items(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %measure, label %miss
miss:
  ret i64 $MISSED
measure:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %size = call ptr @object(ptr %op, i64 4)
  %get = call ptr @object(ptr %op, i64 5)
  %n = call i64 @word(ptr %op, i64 6)
  %target = call ptr @place(ptr %f, ptr %op, i64 7)
  %have = call i64 %size(ptr %o)
  %fits = icmp eq i64 %have, %n
  br i1 %fits, label %head, label %miss
head:
  %i = phi i64 [0, %measure], [%i1, %item]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item, label %done
item:
  %v = call ptr %get(ptr %o, i64 %i)
  call void @Py_IncRef(ptr %v)
  %t = getelementptr inbounds ptr, ptr %target, i64 %i
  store ptr %v, ptr %t
  %i1 = add nuw nsw i64 %i, 1
  br label %head
done:
  ret i64 0
}

; take_keys source class n target key...: the values of a dict that has just these keys
define i64 @weft_take_keys(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %measure, label %miss
miss:
  ret i64 $MISSED
measure:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %n = call i64 @word(ptr %op, i64 4)
  %target = call ptr @place(ptr %f, ptr %op, i64 5)
  %have = call i64 @PyDict_Size(ptr %o)
  %fits = icmp eq i64 %have, %n
  br i1 %fits, label %head, label %miss
head:
  %i = phi i64 [0, %measure], [%i1, %found]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item, label %done
item:
  %k = add nuw nsw i64 %i, 6
  %key = call ptr @object(ptr %op, i64 %k)
  %v = call ptr @PyDict_GetItemWithError(ptr %o, ptr %key)
  %none = icmp eq ptr %v, null
  br i1 %none, label %absent, label %found
absent:
  call void @PyErr_Clear()
  ret i64 $MISSED
found:
  call void @Py_IncRef(ptr %v)
  %t = getelementptr inbounds ptr, ptr %target, i64 %i
  store ptr %v, ptr %t
  %i1 = add nuw nsw i64 %i, 1
  br label %head
done:
  ret i64 0
}

; take_same source object: this very object
define i64 @weft_take_same(ptr %f, ptr %op) {
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %c = call ptr @object(ptr %op, i64 3)
  %same = icmp eq ptr %o, %c
  %how = call i64 @unless(i1 %same)
  ret i64 %how
}

; take_array source class pointer descr flags ndim dims...: an array, of which the step gets the data
define i64 @weft_take_array(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %look, label %miss
miss:
  ret i64 $MISSED
look:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %data = call ptr @field(ptr %o, i64 $DATA)
  %p = call ptr @place(ptr %f, ptr %op, i64 4)
  store ptr %data, ptr %p
  %descr = call ptr @field(ptr %o, i64 $DESCR)
  %wanted.descr = call ptr @object(ptr %op, i64 5)
  %same.descr = icmp eq ptr %descr, %wanted.descr
  %flags.at = getelementptr inbounds i8, ptr %o, i64 $FLAGS
  %flags = load i32, ptr %flags.at
  %mask64 = call i64 @word(ptr %op, i64 6)
  %mask = trunc i64 %mask64 to i32
  %set = and i32 %flags, %mask
  %all.set = icmp eq i32 %set, %mask
  %ndim.at = getelementptr inbounds i8, ptr %o, i64 $NDIM
  %ndim32 = load i32, ptr %ndim.at
  %ndim = sext i32 %ndim32 to i64
  %n = call i64 @word(ptr %op, i64 7)
  %same.ndim = icmp eq i64 %ndim, %n
  %fine1 = and i1 %same.descr, %all.set
  %fine = and i1 %fine1, %same.ndim
  br i1 %fine, label %start, label %miss
start:
  %dims = call ptr @field(ptr %o, i64 $DIMS)
  br label %head
head:
  %i = phi i64 [0, %start], [%i1, %dim]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %dim, label %done
dim:
  %d = call i64 @word(ptr %dims, i64 %i)
  %k = add nuw nsw i64 %i, 8
  %w = call i64 @word(ptr %op, i64 %k)
  %i1 = add nuw nsw i64 %i, 1
  %same.dim = icmp eq i64 %d, %w
  br i1 %same.dim, label %head, label %miss
done:
  ret i64 0
}

; take_float source class pointer cell
define i64 @weft_take_float(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %read, label %miss
miss:
  ret i64 $MISSED
read:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %v = call double @PyFloat_AsDouble(ptr %o)
  %cell = call ptr @place(ptr %f, ptr %op, i64 5)
  store double %v, ptr %cell
  %p = call ptr @place(ptr %f, ptr %op, i64 4)
  store ptr %cell, ptr %p
  ret i64 0
}

; take_int source class pointer cell: one that 64 bits hold
define i64 @weft_take_int(ptr %f, ptr %op) {
  %over = alloca i32
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %read, label %miss
miss:
  ret i64 $MISSED
read:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %v = call i64 @PyLong_AsLongLongAndOverflow(ptr %o, ptr %over)
  %cell = call ptr @place(ptr %f, ptr %op, i64 5)
  store i64 %v, ptr %cell
  %p = call ptr @place(ptr %f, ptr %op, i64 4)
  store ptr %cell, ptr %p
  %out = load i32, ptr %over
  %held = icmp eq i32 %out, 0
  %how = call i64 @unless(i1 %held)
  ret i64 %how
}

; take_bool source class pointer cell true
define i64 @weft_take_bool(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %read, label %miss
miss:
  ret i64 $MISSED
read:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %true = call ptr @object(ptr %op, i64 6)
  %is = icmp eq ptr %o, %true
  %v = zext i1 %is to i64
  %cell = call ptr @place(ptr %f, ptr %op, i64 5)
  store i64 %v, ptr %cell
  %p = call ptr @place(ptr %f, ptr %op, i64 4)
  store ptr %cell, ptr %p
  ret i64 0
}

; take_scalar source class pointer cell: one of NumPy's
define i64 @weft_take_scalar(ptr %f, ptr %op) {
  %same = call i1 @is_class(ptr %f, ptr %op)
  br i1 %same, label %read, label %miss
miss:
  ret i64 $MISSED
read:
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %cell = call ptr @place(ptr %f, ptr %op, i64 5)
  call void @weft_numpy_read(ptr %o, ptr %cell)
  %p = call ptr @place(ptr %f, ptr %op, i64 4)
  store ptr %cell, ptr %p
  ret i64 0
}

; take_value cell bits: the number that the code was compiled for
define i64 @weft_take_value(ptr %f, ptr %op) {
  %cell = call ptr @place(ptr %f, ptr %op, i64 2)
  %v = load i64, ptr %cell
  %w = call i64 @word(ptr %op, i64 3)
  %same = icmp eq i64 %v, %w
  %how = call i64 @unless(i1 %same)
  ret i64 %how
}

; take_apart pointer bytes pointer bytes: two stretches of memory that share none
define i64 @weft_take_apart(ptr %f, ptr %op) {
  %a = call ptr @there(ptr %f, ptr %op, i64 2)
  %an = call i64 @word(ptr %op, i64 3)
  %b = call ptr @there(ptr %f, ptr %op, i64 4)
  %bn = call i64 @word(ptr %op, i64 5)
  %a.end = getelementptr i8, ptr %a, i64 %an
  %b.end = getelementptr i8, ptr %b, i64 %bn
  %a.first = icmp ule ptr %a.end, %b
  %b.first = icmp ule ptr %b.end, %a
  %apart = or i1 %a.first, %b.first
  %how = call i64 @unless(i1 %apart)
  ret i64 %how
}

; take_own source: an array that is no view
define i64 @weft_take_own(ptr %f, ptr %op) {
  %o = call ptr @there(ptr %f, ptr %op, i64 2)
  %base = call ptr @field(ptr %o, i64 $BASE)
  %own = icmp eq ptr %base, null
  %how = call i64 @unless(i1 %own)
  ret i64 %how
}
"""
