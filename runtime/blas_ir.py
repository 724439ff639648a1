"""Matrix products over the thread pool, as LLVM IR text.

    C[m, n] = op(A)[m, k] @ op(B)[k, n]       row-major, op = identity or transpose, in C's place

        n ->                  C is cut into a grid of about as many tiles as there are threads, at multiples
      +----+----+----+  m     of GRAIN, and each tile is one single-threaded BLAS call.  A call first packs
      |  0 |  1 |  2 |  |     its band of A and its band of B, so a tile of h x w costs, in units of GRAIN,
      +----+----+----+  v         h w  (multiply)  +  h + w  (pack)
      |  3 |  4 |  5 |        and the grid with the cheapest tile is taken: squarish tiles, few wasted.
      +----+----+----+

``parts`` is how many tiles to make at most; 0 leaves it to ``@parts``: one while the product is too small to
be worth a wake-up, else one per thread.  ``gemm_ir`` is what happens within a tile.
"""

from __future__ import annotations

from weft.runtime.gemm_ir import TILE, TILE_COMMON

GRAIN = 16
SERIAL_WORK = 1 << 21  # m*n*k*itemsize of a product that takes one thread about 10 us; smaller: not cut


TYPES = {"f32": ("s", "float", 4), "f64": ("d", "double", 8)}


def blas_ir(dtype: str) -> str:
    """The module that defines ``weft_gemm_T`` and ``weft_gemm_batch_T`` for a T of ``TYPES``.

    void weft_gemm_T(i64 transa, transb, m, n, k, T* a, i64 lda, T* b, i64 ldb, T* c, i64 ldc, i64 parts)
    void weft_gemm_batch_T(..., i64 ldc, i64 batch, stride_a, stride_b, stride_c, i64 parts)
    """
    text = "\n".join([TILE_COMMON, _COMMON, TILE + _PRODUCT])
    letter, real, size = TYPES[dtype]
    words = {"TYPE": dtype, "LETTER": letter, "REAL": real, "SIZE": size}
    words |= {"GRAIN": GRAIN, "SERIAL": f"{SERIAL_WORK:.1f}"}
    for word, value in words.items():
        text = text.replace(f"${word}", str(value))
    return text


# Fields of %product: ta tb m n k a lda b ldb c ldc | rows columns of the grid | batch and its strides, chunks
_COMMON = r"""
%product = type {i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64, i64, i64, i64, i64, i64, i64, i64}

declare void @weft_parallel_for(ptr, ptr, i64)
declare i64 @weft_pool_size()
declare i64 @llvm.smin.i64(i64, i64)

define internal i64 @units(i64 %side) alwaysinline {
  %a = add i64 %side, {GRAIN_1}
  %u = sdiv i64 %a, $GRAIN
  ret i64 %u
}

; Where band i of `bands` begins, of a side cut at multiples of GRAIN; band `bands` begins at its end.
define internal i64 @edge(i64 %side, i64 %bands, i64 %i) alwaysinline {
  %u = call i64 @units(i64 %side)
  %t = mul i64 %u, %i
  %q = sdiv i64 %t, %bands
  %e = mul i64 %q, $GRAIN
  %r = call i64 @llvm.smin.i64(i64 %e, i64 %side)
  ret i64 %r
}

; How many threads a product deserves: `given` if positive, else by its work.
define internal i64 @parts(i64 %given, i64 %m, i64 %n, i64 %k, i64 %batch, i64 %size) {
entry:
  %auto = icmp sle i64 %given, 0
  br i1 %auto, label %decide, label %as_told
as_told:
  ret i64 %given
decide:
  %fm = sitofp i64 %m to double
  %fn = sitofp i64 %n to double
  %fk = sitofp i64 %k to double
  %fb = sitofp i64 %batch to double
  %mn = fmul double %fm, %fn
  %mnk = fmul double %mn, %fk
  %work = fmul double %mnk, %fb
  %fs = sitofp i64 %size to double
  %bytes = fmul double %work, %fs
  ; a gemv reads each element of its matrix once, from memory
  %m1 = icmp eq i64 %m, 1
  %n1 = icmp eq i64 %n, 1
  %thin = or i1 %m1, %n1
  %twice = fmul double %bytes, 2.0
  %cost = select i1 %thin, double %twice, double %bytes
  %ratio = fdiv double %cost, $SERIAL
  %big = fcmp ogt double %ratio, 1.0e6
  %ratio1 = select i1 %big, double 1.0e6, double %ratio
  %count = fptosi double %ratio1 to i64
  %count1 = add i64 %count, 1
  %threads = call i64 @weft_pool_size()
  %r = call i64 @llvm.smin.i64(i64 %count1, i64 %threads)
  ret i64 %r
}

; The grid (rows in the high half, columns in the low) whose tile is cheapest, of at most `parts` tiles.
define internal i64 @grid(i64 %m, i64 %n, i64 %parts) {
entry:
  %um = call i64 @units(i64 %m)
  %un = call i64 @units(i64 %n)
  %most = call i64 @llvm.smin.i64(i64 %parts, i64 %um)
  br label %try
try:
  %r = phi i64 [1, %entry], [%r1, %try]
  %best = phi i64 [0, %entry], [%best1, %try]
  %least = phi i64 [9223372036854775807, %entry], [%least1, %try]
  %c0 = sdiv i64 %parts, %r
  %c = call i64 @llvm.smin.i64(i64 %c0, i64 %un)
  %ha = add i64 %um, %r
  %hb = sub i64 %ha, 1
  %h = sdiv i64 %hb, %r
  %wa = add i64 %un, %c
  %wb = sub i64 %wa, 1
  %w = sdiv i64 %wb, %c
  %area = mul i64 %h, %w
  %round = add i64 %h, %w
  %cost = add i64 %area, %round
  %better = icmp slt i64 %cost, %least
  %least1 = select i1 %better, i64 %cost, i64 %least
  %high = shl i64 %r, 32
  %this = or i64 %high, %c
  %best1 = select i1 %better, i64 %this, i64 %best
  %r1 = add i64 %r, 1
  %more = icmp sle i64 %r1, %most
  br i1 %more, label %try, label %done
done:
  ret i64 %best1
}
""".replace("{GRAIN_1}", str(GRAIN - 1))

_PRODUCT = r"""
; Tile i of the grid: void (ptr product, i64 i), as the pool calls it.
define internal void @tile_job_$TYPE(ptr %job, i64 %i) {
  %d = load %product, ptr %job
  %ta = extractvalue %product %d, 0
  %tb = extractvalue %product %d, 1
  %m = extractvalue %product %d, 2
  %n = extractvalue %product %d, 3
  %k = extractvalue %product %d, 4
  %a = extractvalue %product %d, 5
  %lda = extractvalue %product %d, 6
  %b = extractvalue %product %d, 7
  %ldb = extractvalue %product %d, 8
  %c = extractvalue %product %d, 9
  %ldc = extractvalue %product %d, 10
  %rows = extractvalue %product %d, 11
  %columns = extractvalue %product %d, 12
  %r = sdiv i64 %i, %columns
  %s = srem i64 %i, %columns
  %r1 = add i64 %r, 1
  %s1 = add i64 %s, 1
  %i0 = call i64 @edge(i64 %m, i64 %rows, i64 %r)
  %i1 = call i64 @edge(i64 %m, i64 %rows, i64 %r1)
  %j0 = call i64 @edge(i64 %n, i64 %columns, i64 %s)
  %j1 = call i64 @edge(i64 %n, i64 %columns, i64 %s1)
  %h = sub i64 %i1, %i0
  %w = sub i64 %j1, %j0
  %at = icmp ne i64 %ta, 0
  %bt = icmp ne i64 %tb, 0
  %as = select i1 %at, i64 1, i64 %lda
  %bs = select i1 %bt, i64 %ldb, i64 1
  %ao = mul i64 %i0, %as
  %bo = mul i64 %j0, %bs
  %cr = mul i64 %i0, %ldc
  %co = add i64 %cr, %j0
  %pa = call ptr @at_$TYPE(ptr %a, i64 %ao)
  %pb = call ptr @at_$TYPE(ptr %b, i64 %bo)
  %pc = call ptr @at_$TYPE(ptr %c, i64 %co)
  call void @tile_$TYPE(i64 %ta, i64 %tb, i64 %h, i64 %w, i64 %k,
                        ptr %pa, i64 %lda, ptr %pb, i64 %ldb, ptr %pc, i64 %ldc)
  ret void
}

define void @weft_gemm_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k, ptr %a, i64 %lda, ptr %b, i64 %ldb,
                             ptr %c, i64 %ldc, i64 %parts) {
entry:
  %job = alloca %product
  %p = call i64 @parts(i64 %parts, i64 %m, i64 %n, i64 %k, i64 1, i64 $SIZE)
  %several = icmp sgt i64 %p, 1
  %ms = icmp sgt i64 %m, 0
  %ns = icmp sgt i64 %n, 0
  %mn = and i1 %ms, %ns
  %cut = and i1 %several, %mn
  br i1 %cut, label %share, label %alone
alone:
  call void @tile_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                        ptr %a, i64 %lda, ptr %b, i64 %ldb, ptr %c, i64 %ldc)
  ret void
share:
  %g = call i64 @grid(i64 %m, i64 %n, i64 %p)
  %rows = lshr i64 %g, 32
  %columns = and i64 %g, 4294967295
  %tiles = mul i64 %rows, %columns
  %d0 = insertvalue %product zeroinitializer, i64 %ta, 0
  %d1 = insertvalue %product %d0, i64 %tb, 1
  %d2 = insertvalue %product %d1, i64 %m, 2
  %d3 = insertvalue %product %d2, i64 %n, 3
  %d4 = insertvalue %product %d3, i64 %k, 4
  %d5 = insertvalue %product %d4, ptr %a, 5
  %d6 = insertvalue %product %d5, i64 %lda, 6
  %d7 = insertvalue %product %d6, ptr %b, 7
  %d8 = insertvalue %product %d7, i64 %ldb, 8
  %d9 = insertvalue %product %d8, ptr %c, 9
  %d10 = insertvalue %product %d9, i64 %ldc, 10
  %d11 = insertvalue %product %d10, i64 %rows, 11
  %d12 = insertvalue %product %d11, i64 %columns, 12
  store %product %d12, ptr %job
  call void @weft_parallel_for(ptr @tile_job_$TYPE, ptr %job, i64 %tiles)
  ret void
}

; Chunk i of a batch: whole products, one after the other, on the calling thread.
define internal void @batch_job_$TYPE(ptr %job, i64 %i) {
entry:
  %d = load %product, ptr %job
  %ta = extractvalue %product %d, 0
  %tb = extractvalue %product %d, 1
  %m = extractvalue %product %d, 2
  %n = extractvalue %product %d, 3
  %k = extractvalue %product %d, 4
  %a = extractvalue %product %d, 5
  %lda = extractvalue %product %d, 6
  %b = extractvalue %product %d, 7
  %ldb = extractvalue %product %d, 8
  %c = extractvalue %product %d, 9
  %ldc = extractvalue %product %d, 10
  %batch = extractvalue %product %d, 13
  %sa = extractvalue %product %d, 14
  %sb = extractvalue %product %d, 15
  %sc = extractvalue %product %d, 16
  %chunks = extractvalue %product %d, 17
  %i1 = add i64 %i, 1
  %t0 = mul i64 %batch, %i
  %begin = sdiv i64 %t0, %chunks
  %t1 = mul i64 %batch, %i1
  %end = sdiv i64 %t1, %chunks
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %each, label %done
each:
  %q = phi i64 [%begin, %entry], [%q1, %each]
  %ao = mul i64 %q, %sa
  %bo = mul i64 %q, %sb
  %co = mul i64 %q, %sc
  %pa = call ptr @at_$TYPE(ptr %a, i64 %ao)
  %pb = call ptr @at_$TYPE(ptr %b, i64 %bo)
  %pc = call ptr @at_$TYPE(ptr %c, i64 %co)
  call void @tile_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                        ptr %pa, i64 %lda, ptr %pb, i64 %ldb, ptr %pc, i64 %ldc)
  %q1 = add i64 %q, 1
  %more = icmp slt i64 %q1, %end
  br i1 %more, label %each, label %done
done:
  ret void
}

; Many products: the batch is shared out where it is at least as long as the threads are many (in four chunks
; each, so that a late thread is waited for less), else each product is.
define void @weft_gemm_batch_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k, ptr %a, i64 %lda,
                                   ptr %b, i64 %ldb, ptr %c, i64 %ldc, i64 %batch,
                                   i64 %sa, i64 %sb, i64 %sc, i64 %parts) {
entry:
  %job = alloca %product
  %any = icmp sgt i64 %batch, 0
  br i1 %any, label %some, label %done
some:
  %p = call i64 @parts(i64 %parts, i64 %m, i64 %n, i64 %k, i64 %batch, i64 $SIZE)
  %several = icmp sgt i64 %p, 1
  %short = icmp slt i64 %batch, %p
  %few = and i1 %several, %short
  br i1 %few, label %each, label %together
each:
  %q = phi i64 [0, %some], [%q1, %each]
  %ao = mul i64 %q, %sa
  %bo = mul i64 %q, %sb
  %co = mul i64 %q, %sc
  %pa = call ptr @at_$TYPE(ptr %a, i64 %ao)
  %pb = call ptr @at_$TYPE(ptr %b, i64 %bo)
  %pc = call ptr @at_$TYPE(ptr %c, i64 %co)
  call void @weft_gemm_$TYPE(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k,
                             ptr %pa, i64 %lda, ptr %pb, i64 %ldb, ptr %pc, i64 %ldc, i64 %p)
  %q1 = add i64 %q, 1
  %more = icmp slt i64 %q1, %batch
  br i1 %more, label %each, label %done
together:
  %p4 = mul i64 %p, 4
  %fine = call i64 @llvm.smin.i64(i64 %p4, i64 %batch)
  %chunks = select i1 %several, i64 %fine, i64 1
  %d0 = insertvalue %product zeroinitializer, i64 %ta, 0
  %d1 = insertvalue %product %d0, i64 %tb, 1
  %d2 = insertvalue %product %d1, i64 %m, 2
  %d3 = insertvalue %product %d2, i64 %n, 3
  %d4 = insertvalue %product %d3, i64 %k, 4
  %d5 = insertvalue %product %d4, ptr %a, 5
  %d6 = insertvalue %product %d5, i64 %lda, 6
  %d7 = insertvalue %product %d6, ptr %b, 7
  %d8 = insertvalue %product %d7, i64 %ldb, 8
  %d9 = insertvalue %product %d8, ptr %c, 9
  %d10 = insertvalue %product %d9, i64 %ldc, 10
  %d13 = insertvalue %product %d10, i64 %batch, 13
  %d14 = insertvalue %product %d13, i64 %sa, 14
  %d15 = insertvalue %product %d14, i64 %sb, 15
  %d16 = insertvalue %product %d15, i64 %sc, 16
  %d17 = insertvalue %product %d16, i64 %chunks, 17
  store %product %d17, ptr %job
  call void @weft_parallel_for(ptr @batch_job_$TYPE, ptr %job, i64 %chunks)
  br label %done
done:
  ret void
}
"""
