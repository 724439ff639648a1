"""The instructions of a direct call that make results (`direct_ir`): arrays before the step runs, the rest after it."""

GIVE = r"""
; give_array target pointer class descr ndim dims...: a new array
define i64 @weft_give_array(ptr %f, ptr %op) {
  %class = call ptr @object(ptr %op, i64 4)
  %descr = call ptr @object(ptr %op, i64 5)
  %ndim64 = call i64 @word(ptr %op, i64 6)
  %ndim = trunc i64 %ndim64 to i32
  %dims = getelementptr inbounds i64, ptr %op, i64 7
  call void @Py_IncRef(ptr %descr)
  %new = call ptr @weft_numpy_new(ptr %class, ptr %descr, i32 %ndim, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  %fine = icmp eq i64 %how, 0
  br i1 %fine, label %show, label %end
show:
  %data = call ptr @field(ptr %new, i64 $DATA)
  %p = call ptr @place(ptr %f, ptr %op, i64 3)
  store ptr %data, ptr %p
  ret i64 0
end:
  ret i64 %how
}

; give_cell pointer cell: a 0-d result is left in a cell
define i64 @weft_give_cell(ptr %f, ptr %op) {
  %p = call ptr @place(ptr %f, ptr %op, i64 2)
  %c = call ptr @place(ptr %f, ptr %op, i64 3)
  store ptr %c, ptr %p
  ret i64 0
}

; give_float target cell
define i64 @weft_give_float(ptr %f, ptr %op) {
  %cell = call ptr @place(ptr %f, ptr %op, i64 3)
  %v = load double, ptr %cell
  %new = call ptr @PyFloat_FromDouble(double %v)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  ret i64 %how
}

; give_int target cell
define i64 @weft_give_int(ptr %f, ptr %op) {
  %cell = call ptr @place(ptr %f, ptr %op, i64 3)
  %v = load i64, ptr %cell
  %new = call ptr @PyLong_FromLongLong(i64 %v)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  ret i64 %how
}

; give_bool target cell
define i64 @weft_give_bool(ptr %f, ptr %op) {
  %cell = call ptr @place(ptr %f, ptr %op, i64 3)
  %v = load i8, ptr %cell
  %w = zext i8 %v to i64
  %new = call ptr @PyBool_FromLong(i64 %w)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  ret i64 %how
}

; give_scalar target cell descr: a scalar of NumPy's
define i64 @weft_give_scalar(ptr %f, ptr %op) {
  %cell = call ptr @place(ptr %f, ptr %op, i64 3)
  %descr = call ptr @object(ptr %op, i64 4)
  %new = call ptr @weft_numpy_scalar(ptr %cell, ptr %descr, ptr null)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  ret i64 %how
}

; give_object target object
define i64 @weft_give_object(ptr %f, ptr %op) {
  %o = call ptr @object(ptr %op, i64 3)
  call void @Py_IncRef(ptr %o)
  %how = call i64 @own(ptr %f, ptr %op, ptr %o)
  ret i64 %how
}

; give_items target new set n source...: a tuple or list, by its class's two functions
define i64 @weft_give_items(ptr %f, ptr %op) {
entry:
  %make = call ptr @object(ptr %op, i64 3)
  %set = call ptr @object(ptr %op, i64 4)
  %n = call i64 @word(ptr %op, i64 5)
  %new = call ptr %make(i64 %n)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  %fine = icmp eq i64 %how, 0
  br i1 %fine, label %head, label %end
head:
  %i = phi i64 [0, %entry], [%i1, %item]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item, label %end
item:
  %k = add nuw nsw i64 %i, 6
  %o = call ptr @there(ptr %f, ptr %op, i64 %k)
  call void @Py_IncRef(ptr %o)
  %never = call i32 %set(ptr %new, i64 %i, ptr %o)
  %i1 = add nuw nsw i64 %i, 1
  br label %head
end:
  ret i64 %how
}

; give_keys target n (key source)...: a dict
define i64 @weft_give_keys(ptr %f, ptr %op) {
entry:
  %n = call i64 @word(ptr %op, i64 3)
  %new = call ptr @PyDict_New()
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  %fine = icmp eq i64 %how, 0
  br i1 %fine, label %head, label %bad
head:
  %i = phi i64 [0, %entry], [%i1, %item]
  %k = phi i64 [4, %entry], [%k2, %item]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item, label %end
item:
  %key = call ptr @object(ptr %op, i64 %k)
  %k1 = add nuw nsw i64 %k, 1
  %o = call ptr @there(ptr %f, ptr %op, i64 %k1)
  %set = call i32 @PyDict_SetItem(ptr %new, ptr %key, ptr %o)
  %i1 = add nuw nsw i64 %i, 1
  %k2 = add nuw nsw i64 %k, 2
  %did = icmp eq i32 %set, 0
  br i1 %did, label %head, label %bad
bad:
  ret i64 $RAISED
end:
  ret i64 0
}

; give_made target callable source: what the callable makes of an object
define i64 @weft_give_made(ptr %f, ptr %op) {
  %make = call ptr @object(ptr %op, i64 3)
  %o = call ptr @there(ptr %f, ptr %op, i64 4)
  %new = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %make, ptr %o, ptr null)
  %how = call i64 @own(ptr %f, ptr %op, ptr %new)
  ret i64 %how
}
"""
