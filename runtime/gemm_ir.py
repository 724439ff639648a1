"""One matrix product on one thread, as LLVM IR text: which BLAS call it is, and what BLAS cannot do.

    m or n = 0   nothing                         n = 1   gemv:  c  = op(A) b
    k = 0        C = 0 (the empty sum)           m = 1   gemv:  c' = op(B)' a'
    otherwise    gemm, beta = 0; plain loops for sizes beyond 32 bits and for rows that overlap

``TILE`` is a template: $TYPE f32 or f64, $REAL its LLVM name, $SIZE its bytes, $LETTER BLAS's s or d.
"""

from __future__ import annotations

TILE_COMMON = r"""
declare i64 @llvm.smax.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; Whether BLAS takes a stored matrix: 32-bit sizes, rows that do not overlap.
define internal i1 @fits(i64 %rows, i64 %columns, i64 %ld) alwaysinline {
  %a = icmp sle i64 %rows, 2147483647
  %b = icmp sle i64 %columns, 2147483647
  %c = icmp sle i64 %ld, 2147483647
  %d = icmp sge i64 %ld, %columns
  %ab = and i1 %a, %b
  %cd = and i1 %c, %d
  %r = and i1 %ab, %cd
  ret i1 %r
}

; A matrix of one row has no leading dimension; BLAS wants a plausible one all the same.
define internal i64 @leading(i64 %rows, i64 %columns, i64 %ld) alwaysinline {
  %single = icmp sle i64 %rows, 1
  %r = select i1 %single, i64 %columns, i64 %ld
  ret i64 %r
}
"""

TILE = r"""
declare void @weft_cblas_$LETTERgemm(i32, i32, i32, i32, i32, i32, $REAL, ptr, i32, ptr, i32, $REAL, ptr, i32)
declare void @weft_cblas_$LETTERgemv(i32, i32, i32, i32, $REAL, ptr, i32, ptr, i32, $REAL, ptr, i32)

define internal ptr @at_$TYPE(ptr %p, i64 %i) alwaysinline {
  %r = getelementptr $REAL, ptr %p, i64 %i
  ret ptr %r
}

define internal void @zero_$TYPE(i64 %m, i64 %n, ptr %c, i64 %ldc) {
entry:
  %bytes = mul i64 %n, $SIZE
  br label %row
row:
  %i = phi i64 [0, %entry], [%i1, %row]
  %o = mul i64 %i, %ldc
  %p = call ptr @at_$TYPE(ptr %c, i64 %o)
  call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %bytes, i1 false)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %m
  br i1 %more, label %row, label %done
done:
  ret void
}

; For sizes that BLAS does not take.  Steps: along a row of C, along k, for A and for B.
define internal void @loops_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                                  ptr %a, i64 %lda, ptr %b, i64 %ldb, ptr %c, i64 %ldc) noinline {
entry:
  %at = icmp ne i64 %ta, 0
  %bt = icmp ne i64 %tb, 0
  %ai = select i1 %at, i64 1, i64 %lda
  %ak = select i1 %at, i64 %lda, i64 1
  %bj = select i1 %bt, i64 %ldb, i64 1
  %bk = select i1 %bt, i64 1, i64 %ldb
  br label %row
row:
  %i = phi i64 [0, %entry], [%i1, %row_end]
  %oa = mul i64 %i, %ai
  %pa = call ptr @at_$TYPE(ptr %a, i64 %oa)
  %oc = mul i64 %i, %ldc
  %pc = call ptr @at_$TYPE(ptr %c, i64 %oc)
  br label %column
column:
  %j = phi i64 [0, %row], [%j1, %column_end]
  %ob = mul i64 %j, %bj
  %pb = call ptr @at_$TYPE(ptr %b, i64 %ob)
  br label %dot
dot:
  %p = phi i64 [0, %column], [%p1, %dot]
  %sum = phi $REAL [0.0, %column], [%sum1, %dot]
  %ox = mul i64 %p, %ak
  %px = call ptr @at_$TYPE(ptr %pa, i64 %ox)
  %x = load $REAL, ptr %px
  %oy = mul i64 %p, %bk
  %py = call ptr @at_$TYPE(ptr %pb, i64 %oy)
  %y = load $REAL, ptr %py
  %xy = fmul reassoc contract $REAL %x, %y
  %sum1 = fadd reassoc contract $REAL %sum, %xy
  %p1 = add i64 %p, 1
  %more_p = icmp slt i64 %p1, %k
  br i1 %more_p, label %dot, label %column_end
column_end:
  %out = call ptr @at_$TYPE(ptr %pc, i64 %j)
  store $REAL %sum1, ptr %out
  %j1 = add i64 %j, 1
  %more_j = icmp slt i64 %j1, %n
  br i1 %more_j, label %column, label %row_end
row_end:
  %i1 = add i64 %i, 1
  %more_i = icmp slt i64 %i1, %m
  br i1 %more_i, label %row, label %done
done:
  ret void
}

define internal void @gemv_$TYPE(i64 %t, i64 %rows, i64 %columns, ptr %a, i64 %lda,
                                 ptr %x, i64 %incx, ptr %y, i64 %incy) {
  %t1 = add i64 %t, 111
  %t32 = trunc i64 %t1 to i32
  %r32 = trunc i64 %rows to i32
  %c32 = trunc i64 %columns to i32
  %a32 = trunc i64 %lda to i32
  %x1 = call i64 @llvm.smax.i64(i64 %incx, i64 1)
  %x32 = trunc i64 %x1 to i32
  %y1 = call i64 @llvm.smax.i64(i64 %incy, i64 1)
  %y32 = trunc i64 %y1 to i32
  call void @weft_cblas_$LETTERgemv(i32 101, i32 %t32, i32 %r32, i32 %c32, $REAL 1.0, ptr %a, i32 %a32,
                                    ptr %x, i32 %x32, $REAL 0.0, ptr %y, i32 %y32)
  ret void
}

; One tile, on the calling thread.
define internal void @tile_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                                 ptr %a, i64 %lda0, ptr %b, i64 %ldb0, ptr %c, i64 %ldc0) noinline {
entry:
  %m0 = icmp sle i64 %m, 0
  %n0 = icmp sle i64 %n, 0
  %nothing = or i1 %m0, %n0
  br i1 %nothing, label %done, label %some
some:
  %k0 = icmp sle i64 %k, 0
  br i1 %k0, label %empty_sum, label %check
empty_sum:
  call void @zero_$TYPE(i64 %m, i64 %n, ptr %c, i64 %ldc0)
  br label %done
check:
  %at = icmp ne i64 %ta, 0
  %bt = icmp ne i64 %tb, 0
  %ar = select i1 %at, i64 %k, i64 %m
  %ac = select i1 %at, i64 %m, i64 %k
  %br = select i1 %bt, i64 %n, i64 %k
  %bc = select i1 %bt, i64 %k, i64 %n
  %lda = call i64 @leading(i64 %ar, i64 %ac, i64 %lda0)
  %ldb = call i64 @leading(i64 %br, i64 %bc, i64 %ldb0)
  %ldc = call i64 @leading(i64 %m, i64 %n, i64 %ldc0)
  %fa = call i1 @fits(i64 %ar, i64 %ac, i64 %lda)
  %fb = call i1 @fits(i64 %br, i64 %bc, i64 %ldb)
  %fc = call i1 @fits(i64 %m, i64 %n, i64 %ldc)
  %fab = and i1 %fa, %fb
  %fits = and i1 %fab, %fc
  br i1 %fits, label %blas, label %plain
plain:
  call void @loops_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                         ptr %a, i64 %lda0, ptr %b, i64 %ldb0, ptr %c, i64 %ldc0)
  br label %done
blas:
  %n1 = icmp eq i64 %n, 1
  br i1 %n1, label %column, label %wide
column:                                   ; c = op(A) b
  %incb = select i1 %bt, i64 1, i64 %ldb
  call void @gemv_$TYPE(i64 %ta, i64 %ar, i64 %ac, ptr %a, i64 %lda, ptr %b, i64 %incb, ptr %c, i64 %ldc)
  br label %done
wide:
  %m1 = icmp eq i64 %m, 1
  br i1 %m1, label %row, label %full
row:                                      ; c' = op(B)' a'
  %inca = select i1 %at, i64 %lda, i64 1
  %tbn = xor i64 %tb, 1
  call void @gemv_$TYPE(i64 %tbn, i64 %br, i64 %bc, ptr %b, i64 %ldb, ptr %a, i64 %inca, ptr %c, i64 1)
  br label %done
full:
  %ta1 = add i64 %ta, 111
  %ta32 = trunc i64 %ta1 to i32
  %tb1 = add i64 %tb, 111
  %tb32 = trunc i64 %tb1 to i32
  %m32 = trunc i64 %m to i32
  %n32 = trunc i64 %n to i32
  %k32 = trunc i64 %k to i32
  %lda32 = trunc i64 %lda to i32
  %ldb32 = trunc i64 %ldb to i32
  %ldc32 = trunc i64 %ldc to i32
  call void @weft_cblas_$LETTERgemm(i32 101, i32 %ta32, i32 %tb32, i32 %m32, i32 %n32, i32 %k32, $REAL 1.0,
                                    ptr %a, i32 %lda32, ptr %b, i32 %ldb32, $REAL 0.0, ptr %c, i32 %ldc32)
  br label %done
done:
  ret void
}
"""
