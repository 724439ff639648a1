"""The thread pool's native half, as LLVM IR text.

    caller                                   worker
    ------                                   ------
    lock: 0 -> 1, or run serially            wait until epoch changes (spin, then futex)
    write job, deal the shares
    gate |= OPEN               release --+
    epoch += 1, wake sleepers            +-> gate += 1, acquire; not OPEN: gate -= 1, wait again
    run its share, then from the others'     run its share, then from the others'
    gate &= ~OPEN                         +- gate -= 1   release (the last one out wakes the caller)
    wait until gate's count is 0  acquire <
    lock = 0

A job's indices are dealt out in equal shares, one behind the other: who is through with its own goes on with those
of the others. So a thread meets the same part of an array in one job after another, and finds it in its cache.

One word, the gate, holds both "a job is open" and how many workers are inside, so a worker that comes late
either is counted before the caller looks, or finds the gate closed: it can never touch the job of one caller
while another writes the next.  Whoever finds the lock taken (a nested call, another Python thread) does its
own work serially.  The sleepers count and the epoch are sequentially consistent: a worker counts itself
before it re-reads the epoch, the caller moves the epoch before it reads the count, so one of them sees the
other.  The futex wait re-checks the word in the kernel.
"""

from __future__ import annotations

import platform

from weft.runtime.cpus import FUTEX_CALL

OPEN, WAITED = 1 << 30, 1 << 29
SHARES = 64  # at most: beyond that, threads begin with the same one
COUNT = WAITED - 1
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129  # both with FUTEX_PRIVATE_FLAG
_PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause()", "()", ""),
    "amd64": ("llvm.x86.sse2.pause()", "()", ""),
    "aarch64": ("llvm.aarch64.hint(i32)", "(i32 1)", "yield"),
    "arm64": ("llvm.aarch64.hint(i32)", "(i32 1)", "yield"),
}


def pool_ir() -> str:
    """The module that defines ``weft_parallel_for``, the worker loop and their switches for this machine."""
    machine = platform.machine().lower()
    if machine in _PAUSE:
        declaration, arguments, _ = _PAUSE[machine]
        name = declaration.split("(")[0]
        declare_pause = f"declare void @{declaration}"
        pause = f"call void @{name}{arguments}"
    else:
        declare_pause, pause = "", 'fence syncscope("singlethread") seq_cst'  # spin on the load alone
    text = _TEXT.replace("PAUSE_DECLARATION", declare_pause).replace("PAUSE", pause)
    for word, value in {
        "FUTEX_CALL": FUTEX_CALL[machine],
        "FUTEX_WAIT": _FUTEX_WAIT,
        "FUTEX_WAKE": _FUTEX_WAKE,
        "NOT_OPEN": ~OPEN,
        "NOT_WAITED": ~WAITED,
        "OPEN": OPEN,
        "WAITED": WAITED,
        "COUNT": COUNT,
        "SHARES": SHARES,
    }.items():
        text = text.replace(f"${word}", str(value))
    return text


_TEXT = r"""
; Each word that one side writes while another spins has a pair of cache lines to itself.
@lock = internal global i32 0, align 128
@gate = internal global i32 0, align 128
@epoch = internal global i32 0, align 128
@shares = internal global [$SHARES x [16 x i64]] zeroinitializer, align 128
@entered = internal global i32 0, align 4
@sleepers = internal global i32 0, align 128
@workers = internal global i32 0, align 128
@stop = internal global i32 0, align 4
@spins = internal global i32 0, align 4
@job_fn = internal global ptr null, align 128
@job_args = internal global ptr null, align 8
@job_n = internal global i64 0, align 8
@job_parts = internal global i64 0, align 8

declare i64 @syscall(i64, ...)
declare i64 @llvm.umin.i64(i64, i64)
PAUSE_DECLARATION

define internal void @futex_wait(ptr %word, i32 %value) noinline {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX_CALL, ptr %word, i32 $FUTEX_WAIT, i32 %value, ptr null)
  ret void
}

define internal void @futex_wake(ptr %word, i32 %count) noinline {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX_CALL, ptr %word, i32 $FUTEX_WAKE, i32 %count)
  ret void
}

; The share of participant %self, then the others', of indices that nobody has run yet.
define internal void @run_chunks(ptr %fn, ptr %args, i64 %n, i64 %parts, i64 %self) {
entry:
  br label %share
share:
  %k = phi i64 [0, %entry], [%k1, %through]
  %turn = add i64 %self, %k
  %q = urem i64 %turn, %parts
  %q1 = add i64 %q, 1
  %to = mul i64 %q1, %n
  %end = udiv i64 %to, %parts
  %at = getelementptr inbounds [16 x i64], ptr @shares, i64 %q
  %seen = load atomic i64, ptr %at monotonic, align 8
  %any = icmp slt i64 %seen, %end
  br i1 %any, label %claim, label %through
claim:
  %i = atomicrmw add ptr %at, i64 1 monotonic
  %more = icmp slt i64 %i, %end
  br i1 %more, label %run, label %through
run:
  call void %fn(ptr %args, i64 %i)
  br label %claim
through:
  %k1 = add nuw i64 %k, 1
  %on = icmp ult i64 %k1, %parts
  br i1 %on, label %share, label %done
done:
  ret void
}

define internal void @run_serially(ptr %fn, ptr %args, i64 %n) {
entry:
  %any = icmp sgt i64 %n, 0
  br i1 %any, label %run, label %done
run:
  %i = phi i64 [0, %entry], [%i1, %run]
  call void %fn(ptr %args, i64 %i)
  %i1 = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %run, label %done
done:
  ret void
}

define void @weft_parallel_for(ptr %fn, ptr %args, i64 %n) {
entry:
  %several = icmp sgt i64 %n, 1
  br i1 %several, label %team, label %serial
team:
  %w = load atomic i32, ptr @workers monotonic, align 4
  %alone = icmp eq i32 %w, 0
  br i1 %alone, label %serial, label %look
look:
  %held = load atomic i32, ptr @lock monotonic, align 4
  %free = icmp eq i32 %held, 0
  br i1 %free, label %take, label %serial
take:
  %pair = cmpxchg ptr @lock, i32 0, i32 1 acquire monotonic
  %taken = extractvalue {i32, i1} %pair, 1
  br i1 %taken, label %publish, label %serial
publish:
  store ptr %fn, ptr @job_fn
  store ptr %args, ptr @job_args
  store i64 %n, ptr @job_n
  %w64 = zext i32 %w to i64
  %all = add i64 %w64, 1
  %parts = call i64 @llvm.umin.i64(i64 %all, i64 $SHARES)
  store i64 %parts, ptr @job_parts
  br label %deal
deal:
  %q = phi i64 [0, %publish], [%q1, %deal]
  %before = mul i64 %q, %n
  %from = udiv i64 %before, %parts
  %at = getelementptr inbounds [16 x i64], ptr @shares, i64 %q
  store atomic i64 %from, ptr %at monotonic, align 8
  %q1 = add nuw i64 %q, 1
  %dealt = icmp eq i64 %q1, %parts
  br i1 %dealt, label %open, label %deal
open:
  %g0 = atomicrmw or ptr @gate, i32 $OPEN release
  %e0 = atomicrmw add ptr @epoch, i32 1 seq_cst
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp sgt i32 %asleep, 0
  br i1 %any, label %wake, label %work
wake:
  %need = sub i64 %n, 1
  %few = icmp slt i64 %need, 1000000
  %need32 = trunc i64 %need to i32
  %wakes = select i1 %few, i32 %need32, i32 1000000
  call void @futex_wake(ptr @epoch, i32 %wakes)
  br label %work
work:
  call void @run_chunks(ptr %fn, ptr %args, i64 %n, i64 %parts, i64 0)
  %g1 = atomicrmw and ptr @gate, i32 $NOT_OPEN acquire
  %in1 = and i32 %g1, $COUNT
  %out1 = icmp eq i32 %in1, 0
  br i1 %out1, label %unlock, label %spinning
spinning:
  %limit = load atomic i32, ptr @spins monotonic, align 4
  br label %spin
spin:
  %k = phi i32 [0, %spinning], [%k1, %again]
  %g2 = load atomic i32, ptr @gate acquire, align 4
  %in2 = and i32 %g2, $COUNT
  %out2 = icmp eq i32 %in2, 0
  br i1 %out2, label %unlock, label %again
again:
  PAUSE
  %k1 = add nuw nsw i32 %k, 1
  %on = icmp slt i32 %k1, %limit
  br i1 %on, label %spin, label %flag
flag:
  %g3 = atomicrmw or ptr @gate, i32 $WAITED acquire
  br label %sleep
sleep:
  %g4 = load atomic i32, ptr @gate acquire, align 4
  %in4 = and i32 %g4, $COUNT
  %out4 = icmp eq i32 %in4, 0
  br i1 %out4, label %unflag, label %wait
wait:
  call void @futex_wait(ptr @gate, i32 %g4)
  br label %sleep
unflag:
  %g5 = atomicrmw and ptr @gate, i32 $NOT_WAITED monotonic
  br label %unlock
unlock:
  store atomic i32 0, ptr @lock release, align 4
  ret void
serial:
  call void @run_serially(ptr %fn, ptr %args, i64 %n)
  ret void
}

define void @weft_pool_worker() {
entry:
  %others = atomicrmw add ptr @entered, i32 1 monotonic
  %others64 = zext i32 %others to i64
  %self = add i64 %others64, 1
  br label %idle
idle:
  %start = load atomic i32, ptr @epoch acquire, align 4
  br label %check
check:
  %seen = phi i32 [%start, %idle], [%now, %leave], [%now, %last]
  %s = load atomic i32, ptr @stop acquire, align 4
  %stopping = icmp ne i32 %s, 0
  br i1 %stopping, label %exit, label %spinning
spinning:
  %limit = load atomic i32, ptr @spins monotonic, align 4
  br label %spin
spin:
  %k = phi i32 [0, %spinning], [%k1, %again]
  %e1 = load atomic i32, ptr @epoch acquire, align 4
  %new1 = icmp ne i32 %e1, %seen
  br i1 %new1, label %enter, label %again
again:
  PAUSE
  %k1 = add nuw nsw i32 %k, 1
  %on = icmp slt i32 %k1, %limit
  br i1 %on, label %spin, label %doze
doze:
  %c0 = atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %e2 = load atomic i32, ptr @epoch seq_cst, align 4
  %new2 = icmp ne i32 %e2, %seen
  br i1 %new2, label %woken, label %wait
wait:
  call void @futex_wait(ptr @epoch, i32 %seen)
  br label %sleep
woken:
  %c1 = atomicrmw sub ptr @sleepers, i32 1 monotonic
  br label %enter
enter:
  %now = phi i32 [%e1, %spin], [%e2, %woken]
  %g0 = atomicrmw add ptr @gate, i32 1 acquire
  %o = and i32 %g0, $OPEN
  %closed = icmp eq i32 %o, 0
  br i1 %closed, label %leave, label %work
work:
  %fn = load ptr, ptr @job_fn
  %args = load ptr, ptr @job_args
  %n = load i64, ptr @job_n
  %parts = load i64, ptr @job_parts
  call void @run_chunks(ptr %fn, ptr %args, i64 %n, i64 %parts, i64 %self)
  br label %leave
leave:
  %g1 = atomicrmw sub ptr @gate, i32 1 release
  %one = add i32 $WAITED, 1
  %awaited = icmp eq i32 %g1, %one
  br i1 %awaited, label %last, label %check
last:
  call void @futex_wake(ptr @gate, i32 1)
  br label %check
exit:
  ret void
}

; How many threads work on a job: the workers and the caller.
define i64 @weft_pool_size() {
  %w = load atomic i32, ptr @workers monotonic, align 4
  %n = add i32 %w, 1
  %r = zext i32 %n to i64
  ret i64 %r
}

define void @weft_pool_start(i32 %n, i32 %spins) {
  store atomic i32 0, ptr @stop monotonic, align 4
  store atomic i32 %spins, ptr @spins monotonic, align 4
  store atomic i32 %n, ptr @workers release, align 4
  %none = icmp eq i32 %n, 0
  br i1 %none, label %first, label %end
first:  ; nobody is there yet
  store atomic i32 0, ptr @entered monotonic, align 4
  br label %end
end:
  ret void
}

define void @weft_pool_stop() {
  store atomic i32 0, ptr @workers monotonic, align 4
  store atomic i32 1, ptr @stop release, align 4
  %e = atomicrmw add ptr @epoch, i32 1 seq_cst
  call void @futex_wake(ptr @epoch, i32 1000000)
  ret void
}

; In a forked child: the workers are gone, and so is whoever held the lock.
define void @weft_pool_reset() {
  store atomic i32 0, ptr @workers monotonic, align 4
  store atomic i32 0, ptr @sleepers monotonic, align 4
  store atomic i32 0, ptr @gate monotonic, align 4
  store atomic i32 0, ptr @stop monotonic, align 4
  store atomic i32 0, ptr @lock release, align 4
  ret void
}

define void @weft_pool_spin(i32 %n) {
entry:
  br label %spin
spin:
  %k = phi i32 [0, %entry], [%k1, %spin]
  %e = load atomic i32, ptr @epoch acquire, align 4
  PAUSE
  %k1 = add nuw nsw i32 %k, 1
  %on = icmp slt i32 %k1, %n
  br i1 %on, label %spin, label %done
done:
  ret void
}
"""
