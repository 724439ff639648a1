"""The thread pool: every index once, everything seen by everybody, from threads, in forks, at exit."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import weft
from weft.runtime import cpus, native, pool

JOBS = """
declare void @weft_parallel_for(ptr, ptr, i64)
declare i64 @weft_pool_size()
%chain = type {ptr, ptr, i64}

; count[i] += 1
define internal void @count(ptr %a, i64 %i) {
  %p = getelementptr i64, ptr %a, i64 %i
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  store i64 %w, ptr %p
  ret void
}
define void @counts(ptr %a, i64 %n, i64 %times) {
entry:
  br label %loop
loop:
  %t = phi i64 [0, %entry], [%t1, %loop]
  call void @weft_parallel_for(ptr @count, ptr %a, i64 %n)
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %times
  br i1 %more, label %loop, label %done
done:
  ret void
}

; out[i] = in[i + 1 mod n] + 1: each job reads what other threads wrote in the job before
define internal void @shift(ptr %c, i64 %i) {
  %d = load %chain, ptr %c
  %in = extractvalue %chain %d, 0
  %out = extractvalue %chain %d, 1
  %n = extractvalue %chain %d, 2
  %i1 = add i64 %i, 1
  %j = srem i64 %i1, %n
  %p = getelementptr i64, ptr %in, i64 %j
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  %q = getelementptr i64, ptr %out, i64 %i
  store i64 %w, ptr %q
  ret void
}
define void @shifts(ptr %a, ptr %b, i64 %n, i64 %times) {
entry:
  %even = alloca %chain
  %odd = alloca %chain
  br label %loop
loop:
  %t = phi i64 [0, %entry], [%t1, %loop]
  %in = phi ptr [%a, %entry], [%out, %loop]
  %out = phi ptr [%b, %entry], [%in, %loop]
  %c = phi ptr [%even, %entry], [%spare, %loop]   ; not the arguments of the job before: they must not be used
  %spare = phi ptr [%odd, %entry], [%c, %loop]
  %d0 = insertvalue %chain poison, ptr %in, 0
  %d1 = insertvalue %chain %d0, ptr %out, 1
  %d2 = insertvalue %chain %d1, i64 %n, 2
  store %chain %d2, ptr %c
  call void @weft_parallel_for(ptr @shift, ptr %c, i64 %n)
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %times
  br i1 %more, label %loop, label %done
done:
  ret void
}

; rows of 8: a job within a job
define internal void @row(ptr %a, i64 %i) {
  %o = mul i64 %i, 8
  %p = getelementptr i64, ptr %a, i64 %o
  call void @weft_parallel_for(ptr @count, ptr %p, i64 8)
  ret void
}
define void @nested(ptr %a, i64 %n) {
  call void @weft_parallel_for(ptr @row, ptr %a, i64 %n)
  ret void
}

; keeps its thread busy for a while
define internal void @spin(ptr %a, i64 %i) {
entry:
  %v = alloca i64
  store i64 0, ptr %v
  br label %loop
loop:
  %k = load volatile i64, ptr %v
  %k1 = add i64 %k, 1
  store volatile i64 %k1, ptr %v
  %more = icmp slt i64 %k1, 100000
  br i1 %more, label %loop, label %done
done:
  call void @count(ptr %a, i64 %i)
  ret void
}
define void @slow(ptr %a, i64 %n) {
  call void @weft_parallel_for(ptr @spin, ptr %a, i64 %n)
  ret void
}
define i64 @size() {
  %n = call i64 @weft_pool_size()
  ret i64 %n
}
"""
SIGNATURES = {"counts": "pii", "shifts": "ppii", "nested": "pi", "slow": "pi"}


class Jobs:
    """The functions of JOBS; numbers and NumPy arrays go in."""

    def __init__(self):
        self.library = native.build(JOBS, kind="test")
        kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int64}
        for name, letters in SIGNATURES.items():
            signature = ctypes.CFUNCTYPE(None, *(kinds[letter] for letter in letters))
            setattr(self, name, self._wrap(signature(self.library.address(name))))
        self.size = ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address("size"))

    @staticmethod
    def _wrap(function):
        def call(*values):
            pool.ensure_started()
            function(*(v.ctypes.data if isinstance(v, np.ndarray) else v for v in values))

        return call


@pytest.fixture(scope="module")
def jobs():
    return Jobs()


@pytest.fixture(params=[1, 2, 4])
def team(request):
    """A pool of some size; more threads than CPUs make the awkward interleavings."""
    pool.set_threads(request.param)
    yield request.param
    pool.set_threads(cpus.usable_cpus())


def check_counts(jobs, n, times):
    a = np.zeros(n + 2, np.int64)
    jobs.counts(a[1:], n, times)
    assert a[0] == a[-1] == 0
    np.testing.assert_array_equal(a[1:-1], times)


def check_shifts(jobs, n, times):
    a, b = np.zeros(n, np.int64), np.zeros(n, np.int64)
    jobs.shifts(a, b, n, times)
    last, before = (a, b) if times % 2 == 0 else (b, a)
    np.testing.assert_array_equal(last, times)
    np.testing.assert_array_equal(before, times - 1)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000])
def test_every_index_once(jobs, team, n):
    check_counts(jobs, n, 200)


@pytest.mark.parametrize("n", [0, -1, -(2**40)])
def test_nothing_to_do(jobs, team, n):
    a = np.zeros(4, np.int64)
    jobs.counts(a, n, 3)
    np.testing.assert_array_equal(a, 0)


def test_a_hundred_thousand_tiny_jobs(jobs, team):
    check_shifts(jobs, 5, 100_000 if team <= cpus.usable_cpus() else 5_000)


def test_jobs_after_pauses(jobs, team):
    """The workers have gone to sleep between the jobs."""
    for n in (2, 3, 16):
        for pause in (0, 1e-4, 3e-3):
            time.sleep(pause)
            check_shifts(jobs, n, 7)


def test_work_is_shared(jobs):
    pool.set_threads(2)
    if cpus.usable_cpus() < 2:
        pytest.skip("one CPU")
    a = np.zeros(64, np.int64)
    jobs.slow(a, 64)
    seen = time.thread_time()
    start = time.perf_counter()
    while time.perf_counter() - start < 10:  # a busy machine may leave us one CPU for a while
        seen, wall = time.thread_time(), time.process_time()
        jobs.slow(a, 64)
        mine, everybody = time.thread_time() - seen, time.process_time() - wall
        if everybody > 1.5 * mine:
            return
    pytest.fail("the caller did all the work")


def test_nested_jobs(jobs, team):
    a = np.zeros(8 * 40, np.int64)
    for _ in range(50):
        jobs.nested(a, 40)
    np.testing.assert_array_equal(a, 50)


def test_many_python_threads_at_once(jobs, team):
    failures = []

    def work(seed):
        try:
            for turn in range(20):
                check_shifts(jobs, 2 + (seed + turn) % 9, 101)
        except AssertionError as error:
            failures.append(error)

    callers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert failures == []


def test_the_size_changes_under_running_jobs(jobs):
    stop = threading.Event()
    failures = []

    def work():
        while not stop.is_set():
            try:
                check_shifts(jobs, 6, 300)
            except AssertionError as error:
                failures.append(error)

    caller = threading.Thread(target=work)
    caller.start()
    for n in (1, 3, 2, 4, 1, 2) * 5:
        pool.set_threads(n)
        pool.ensure_started()
        assert pool.threads() == n == jobs.size()
    stop.set()
    caller.join(60)
    pool.set_threads(cpus.usable_cpus())
    assert not caller.is_alive() and failures == []
    assert sum(thread.name.startswith("weft-") for thread in threading.enumerate()) == 0


def test_workers_start_when_first_needed(jobs):
    pool.set_threads(3)
    assert jobs.size() == 1
    pool.ensure_started()
    pool.ensure_started()
    assert jobs.size() == 3
    assert sorted(t.name for t in threading.enumerate() if t.name.startswith("weft-")) == ["weft-0", "weft-1"]
    pool.set_threads(cpus.usable_cpus())


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", None, True])
def test_set_threads_refuses(wrong):
    with pytest.raises(ValueError, match="number of threads"):
        pool.set_threads(wrong)


# ---- fork


def in_child(work) -> int:
    """Run ``work`` in a forked child; its exit status, or -1 when it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_child_runs_jobs(jobs, team, busy):
    """Also when another thread of the parent is in the middle of one."""
    check_shifts(jobs, 4, 10)
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            check_shifts(jobs, 6, 200)

    def child():
        assert jobs.size() == 1  # no workers yet
        check_shifts(jobs, 5, 500)
        assert jobs.size() == team
        assert in_child(lambda: check_shifts(jobs, 5, 50)) == 0

    other = threading.Thread(target=keep_busy)
    if busy:
        other.start()
    statuses = [in_child(child) for _ in range(6)]
    stop.set()
    if busy:
        other.join()
    assert statuses == [0] * 6
    check_shifts(jobs, 5, 50)  # the parent's workers are still there


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_multiprocessing_by_fork(jobs):
    check_shifts(jobs, 4, 10)
    process = multiprocessing.get_context("fork").Process(target=check_shifts, args=(jobs, 7, 300))
    process.start()
    process.join(30)
    assert process.exitcode == 0


# ---- exit

EXIT = """
import sys, threading, time
sys.path.insert(0, {tests!r})
from test_pool import Jobs, check_shifts
from weft.runtime import pool
pool.set_threads(3)
jobs = Jobs()
check_shifts(jobs, 5, 20)
def for_ever():
    while True:
        check_shifts(jobs, 5, 20)
{ending}
"""
ENDINGS = {
    "sleeping": "time.sleep(0.05)",
    "spinning": "check_shifts(jobs, 5, 20)",
    "another thread's jobs": "threading.Thread(target=for_ever, daemon=True).start(); time.sleep(0.05)",
    "jobs at exit": "import atexit; atexit.register(check_shifts, jobs, 5, 20)",
    "a new size at exit": "import atexit; atexit.register(pool.set_threads, 2)",
    "sys.exit": "sys.exit(0)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_clean_exit(ending):
    program = EXIT.format(tests=os.path.dirname(__file__), ending=ENDINGS[ending])
    start = time.monotonic()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.monotonic() - start < 4.5  # the pool waits 5 s for a lost worker


# ---- how many threads


def threads_with(value: str | None) -> tuple[str, str]:
    environment = {**os.environ, "WEFT_NUM_THREADS": value} if value is not None else dict(os.environ)
    program = "from weft.runtime import pool; print(pool.threads())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    return result.stdout.strip(), result.stderr


def test_number_of_threads_from_the_environment():
    assert threads_with("3") == ("3", "")
    assert threads_with(" 1 ") == ("1", "")
    for wrong in ("0", "-2", "many", "1.5"):
        count, errors = threads_with(wrong)
        assert count == str(cpus.usable_cpus())
        assert errors.count("\n") == 1 and f"WEFT_NUM_THREADS={wrong!r}" in errors


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_number_of_threads_from_affinity():
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert cpus.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, mine)


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000", "cpu.max": "max 1"}, 4.0),
        ("0::/host/path\n", {"cpu.max": "200000 100000"}, 2.0),  # a container: the path is the host's
        (
            "4:cpu,cpuacct:/d\n",
            {"cpu,cpuacct/d/cpu.cfs_quota_us": "50000", "cpu,cpuacct/d/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("4:cpu:/d\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/d\n0::/\n", {"memory/d/cpu.max": "1 1", "unified/cpu.max": "300000 100000"}, 3.0),
        ("9:cpuset:/\nnonsense\n", {"cpu.max": "what is this"}, None),
    ],
)
def test_cgroup_quota(tmp_path, membership, files, quota):
    (tmp_path / "self").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpus.cgroup_quota(str(tmp_path / "self"), str(tmp_path / "fs")) == quota
    assert cpus.cgroup_quota(str(tmp_path / "missing"), str(tmp_path / "fs")) is None


def test_threads_for_a_while():
    before = pool.threads()
    with weft.threads(3):
        assert pool.threads() == 3
        with weft.threads(1):
            assert pool.threads() == 1
            assert weft.compile(lambda x: x * 2)(np.ones(1 << 17)).sum() == 1 << 18
        assert pool.threads() == 3
    assert pool.threads() == before
    with pytest.raises(RuntimeError), weft.threads(2):
        raise RuntimeError
    assert pool.threads() == before
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="at least 1"):
            weft.threads(bad)
