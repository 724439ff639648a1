"""The disk cache: what it keeps, what it refuses, and that nothing wrong with it reaches the user."""

import ctypes
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from weft.codegen.objects import CompileError, compile_object, host_key
from weft.runtime import native
from weft.runtime.cache import DiskCache, cache_key, default_cache, source_stamp

KEY = cache_key("test", "text")
OTHER = cache_key("test", "other text")
DOUBLE = "define double @f(double %x) { %y = fmul double %x, 2.0\n ret double %y }"
as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away"
)
not_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache")


def file_of(cache: DiskCache, key: str = KEY) -> Path:
    return cache.path / f"{key}.weft"


# ---- what it keeps


def test_put_get(cache):
    assert cache.get(KEY) is None
    cache.put(KEY, b"\0payload\xff", {"kind": "kernel", "lines": ["a.py:3"]}, label="k0")
    entry = DiskCache(cache.path).get(KEY)
    assert entry == (b"\0payload\xff", {"kind": "kernel", "lines": ["a.py:3"], "label": "k0"})
    assert cache.get(OTHER) is None


def test_entries_clear_verify(cache):
    cache.put(KEY, b"a" * 10, label="first")
    cache.put(OTHER, b"", {"n": 1})
    os.utime(file_of(cache, KEY), (1, 1))
    first, second = cache.entries()
    assert (first.key, first.meta) == (OTHER, {"n": 1})
    assert (second.key, second.meta, second.host) == (KEY, {"label": "first"}, host_key())
    assert cache.verify() == []
    assert cache.clear() == (2, first.size + second.size)
    assert cache.entries() == [] and cache.get(KEY) is None


def test_directory_and_files_are_private(cache):
    cache.put(KEY, b"x")
    assert cache.path.stat().st_mode & 0o777 == 0o700
    assert file_of(cache).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in cache.path.iterdir()] == [file_of(cache).name]  # no temporary file is left


def test_key_depends_on_every_part():
    keys = {
        cache_key("kernel", "text", host="a"),
        cache_key("kernel", "text2", host="a"),
        cache_key("pool", "text", host="a"),
        cache_key("kernel", "text", host="b"),
        cache_key("kernel", "text", host="a", version="2"),
        cache_key("kernel2", "text", host="a"),  # lengths are hashed too
    }
    assert len(keys) == 6
    assert cache_key("kernel", "text") == cache_key("kernel", "text", host=host_key())
    assert cache_key("kernel", "text") == cache_key("kernel", "text")


def test_source_stamp_follows_the_sources(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = source_stamp(str(tmp_path))
    (tmp_path / "a.py").write_text("x = 2\n")
    source_stamp.cache_clear()
    assert source_stamp(str(tmp_path)) != before


@pytest.mark.parametrize("key", ["", "../up", "a/b", "a.b"])
def test_a_key_cannot_leave_the_directory(cache, key):
    with pytest.raises(ValueError, match="not a cache key"):
        cache.put(key, b"x")


# ---- entries that must not be used


def damage_truncate(data: bytes) -> bytes:
    return data[:-1]


def damage_empty(data: bytes) -> bytes:
    return b""


def damage_flip_payload(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def damage_flip_header(data: bytes) -> bytes:
    at = data.index(b'"host"') + 10
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def damage_magic(data: bytes) -> bytes:
    return b"\x7fELF" + data[4:]


def damage_header_length(data: bytes) -> bytes:
    return data[:8] + b"\xff\xff\xff\xff" + data[12:]


def damage_format(data: bytes) -> bytes:
    """Sound checksum, but a body that is not ours."""
    body = b"[1, 2]" + b"payload"
    return data[:8] + (6).to_bytes(4, "little") + hashlib.sha256(body).digest() + body


def damage_append(data: bytes) -> bytes:
    return data + b"\0"


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_a_miss_and_goes(cache, damage):
    cache.put(KEY, b"payload" * 20, label="k")
    path = file_of(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert [name for name, _ in cache.verify()] == [path.name]
    assert cache.entries() == []
    assert cache.get(KEY) is None
    assert not path.exists()
    cache.put(KEY, b"again")
    assert cache.get(KEY).payload == b"again"


def test_every_single_flipped_byte_is_noticed(cache):
    cache.put(KEY, b"payload")
    path = file_of(cache)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        assert cache.get(KEY) is None, at
        path.write_bytes(data)
    assert cache.get(KEY).payload == b"payload"


def test_the_entry_of_another_key_is_a_miss(cache):
    cache.put(OTHER, b"x")
    file_of(cache, OTHER).rename(file_of(cache, KEY))
    assert cache.verify() == [(file_of(cache).name, "the entry of another key")]
    assert cache.get(KEY) is None


def test_symlinks_fifos_and_directories_are_not_read(cache, tmp_path):
    elsewhere = DiskCache(tmp_path / "elsewhere")
    elsewhere.put(KEY, b"planted")
    file_of(cache).symlink_to(file_of(elsewhere))
    assert cache.get(KEY) is None
    assert file_of(elsewhere).exists()  # the link went, not its target
    os.mkfifo(file_of(cache))
    assert cache.get(KEY) is None  # and did not wait for a writer
    file_of(cache).mkdir()
    assert cache.get(KEY) is None
    cache.put(KEY, b"x")  # cannot be written there: memory
    assert cache.get(KEY).payload == b"x"


def test_an_entry_that_others_can_write_is_not_read(cache):
    cache.put(KEY, b"x")
    file_of(cache).chmod(0o666)
    assert cache.get(KEY) is None


@as_root
def test_an_entry_of_another_user_is_not_read(cache):
    cache.put(KEY, b"x")
    os.chown(file_of(cache), 12345, -1)
    assert "another user" in cache.verify()[0][1]
    assert cache.get(KEY) is None


# ---- directories that must not be used


def is_memory_only(path, caplog, reason: str) -> None:
    with caplog.at_level(logging.WARNING, logger="weft"):
        cache = DiskCache(path)
        cache.put(KEY, b"x", {"a": 1})
        assert cache.get(KEY) == (b"x", {"a": 1})
        cache.put(OTHER, b"y")
    assert cache.path is None and cache.entries() == []
    assert len(caplog.records) == 1
    assert reason in caplog.text
    assert cache.clear()[0] == 2


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_can_write(tmp_path, caplog, mode):
    path = tmp_path / "cache"
    path.mkdir()
    path.chmod(mode)
    is_memory_only(path, caplog, "can be written by others")
    assert list(path.iterdir()) == []


@as_root
def test_a_directory_of_another_user(tmp_path, caplog):
    path = tmp_path / "cache"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, -1)
    is_memory_only(path, caplog, "another user")


@as_root
def test_a_symlink_of_another_user(tmp_path, caplog):
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "link", 12345, -1, follow_symlinks=False)
    is_memory_only(tmp_path / "link", caplog, "symbolic link belongs to another user")


def test_a_symlink_of_ones_own(tmp_path):
    (tmp_path / "scratch").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "scratch")
    cache = DiskCache(tmp_path / "link")
    assert cache.path == (tmp_path / "scratch").resolve()


def test_a_symlink_to_a_directory_that_others_can_write(tmp_path, caplog):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    is_memory_only(tmp_path / "link", caplog, "can be written by others")


def test_a_dangling_symlink(tmp_path, caplog):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    is_memory_only(tmp_path / "link", caplog, "exists")


def test_a_file_in_the_way(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    is_memory_only(tmp_path / "file" / "cache", caplog, "")


def test_an_impossible_name(caplog):
    is_memory_only("a\0b", caplog, "null")


@not_root
def test_a_directory_without_write_permission(tmp_path, caplog):
    (tmp_path / "cache").mkdir(mode=0o500)
    is_memory_only(tmp_path / "cache", caplog, "not writable")


def test_a_full_disk_goes_on_in_memory(cache, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with caplog.at_level(logging.WARNING, logger="weft"):
        cache.put(KEY, b"x")
        cache.put(OTHER, b"y")
    assert cache.get(KEY).payload == b"x" and cache.get(OTHER).payload == b"y"
    assert [record.message for record in caplog.records] == [
        f"cannot write the disk cache {str(cache.path)!r}: No space left on device"
    ]
    assert list(cache.path.iterdir()) == []  # no temporary file stays on the full disk


def test_the_directory_may_vanish(cache):
    cache.put(KEY, b"x")
    for path in cache.path.iterdir():
        path.unlink()
    cache.path.rmdir()
    assert cache.get(KEY) is None and cache.entries() == [] and cache.verify() == [] and cache.clear() == (0, 0)
    cache.put(KEY, b"y")
    assert cache.get(KEY).payload == b"y"
    assert cache.path.stat().st_mode & 0o777 == 0o700


# ---- size


def test_the_least_recently_used_go_first(tmp_path):
    cache = DiskCache(tmp_path / "cache", max_bytes=40_000)
    keys = [cache_key("test", str(i)) for i in range(12)]
    for i, key in enumerate(keys):
        if i == 8:
            used = time.time() - 3 * 86400
            os.utime(file_of(cache, keys[0]), (used, used))
            assert cache.get(keys[0]) is not None  # marks it as used now
        cache.put(key, bytes(4000))
        if i < 8:
            stamp = time.time() - (100 - i) * 86400
            os.utime(file_of(cache, key), (stamp, stamp))
    left = {entry.key for entry in cache.entries()}
    assert sum(path.stat().st_size for path in cache.path.iterdir()) <= 40_000
    assert keys[0] in left and keys[-1] in left
    assert keys[1] not in left and keys[2] not in left


def test_an_entry_larger_than_the_cap_does_not_loop(tmp_path):
    cache = DiskCache(tmp_path / "cache", max_bytes=100)
    for name in "abc":
        cache.put(cache_key("test", name), bytes(1000))
    assert len(cache.entries()) == 1


def test_use_is_noted_once_a_day(cache):
    cache.put(KEY, b"x")
    recent = time.time() - 3600
    os.utime(file_of(cache), (recent, recent))
    cache.get(KEY)
    assert file_of(cache).stat().st_mtime == pytest.approx(recent, abs=1)
    os.utime(file_of(cache), (1, 1))
    cache.get(KEY)
    assert file_of(cache).stat().st_mtime > recent


def test_forgotten_temporary_files_are_swept(cache):
    for name, age in (("old", 2 * 86400), ("new", 10)):
        path = cache.path / f".tmp-{name}"
        path.write_bytes(b"")
        os.utime(path, (time.time() - age,) * 2)
    cache.put(KEY, b"x")  # the first put looks at the directory
    assert not (cache.path / ".tmp-old").exists()
    assert (cache.path / ".tmp-new").exists()


# ---- many at once

WRITER = """
import sys
from weft.runtime.cache import DiskCache, cache_key
cache = DiskCache(sys.argv[1], max_bytes=60_000)
for turn in range(150):
    for name in range(12):
        key = cache_key("test", str(name), host="h")
        entry = cache.get(key)
        if entry is not None and entry.payload != bytes([name]) * 9000:
            sys.exit("torn entry")
        if (turn + name) % 3 == 0:
            cache.put(key, bytes([name]) * 9000)
"""


def test_concurrent_processes_never_see_a_torn_entry(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0 and errors == "", errors
    cache = DiskCache(tmp_path / "cache")
    assert cache.verify() == []
    assert not [path for path in cache.path.iterdir() if path.name.startswith(".tmp-")]


def test_concurrent_threads(cache):
    wrong = []

    def work(seed):
        for turn in range(60):
            name = (turn * seed) % 7
            key = cache_key("test", str(name), host="h")
            entry = cache.get(key)
            if entry is not None and entry.payload != bytes([name]) * 3000:
                wrong.append(name)
            cache.put(key, bytes([name]) * 3000)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and cache.verify() == [] and len(cache.entries()) == 7


# ---- the environment, and the command


def test_default_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path / "own"))
    assert default_cache().path == tmp_path / "own"
    assert default_cache() is default_cache()
    assert default_cache().max_bytes == 512 << 20
    monkeypatch.setenv("WEFT_CACHE_MAX_MB", "1.5")
    assert default_cache().max_bytes == 3 << 19
    monkeypatch.setenv("WEFT_CACHE", "0")
    assert default_cache().path is None
    monkeypatch.delenv("WEFT_CACHE")
    monkeypatch.delenv("WEFT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache().path == tmp_path / "xdg" / "weft"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache().path == tmp_path / "home" / ".cache" / "weft"
    monkeypatch.setenv("WEFT_CACHE", "1")
    assert default_cache().path == tmp_path / "home" / ".cache" / "weft"


@pytest.mark.parametrize("size", ["much", "-1", "nan", "inf"])
def test_a_senseless_cap_is_said_and_ignored(tmp_path, monkeypatch, caplog, size):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("WEFT_CACHE_MAX_MB", size)
    assert default_cache().max_bytes == 512 << 20
    assert "WEFT_CACHE_MAX_MB" in caplog.text


# ---- object code through the cache


def call(library: native.Library, x: float) -> float:
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("f"))(x)


def test_build_compiles_once(cache, monkeypatch):
    assert call(native.build(DOUBLE, cache=cache), 2.5) == 5.0
    monkeypatch.setattr(native, "compile_object", lambda text: pytest.fail("compiled again"))
    assert call(native.build(DOUBLE, cache=DiskCache(cache.path)), 2.5) == 5.0


@pytest.mark.parametrize("payload", [b"", b"\x7fELF", compile_object(DOUBLE)[:300]])
def test_build_compiles_again_what_cannot_be_linked(cache, payload):
    cache.put(cache_key("kernel", DOUBLE), payload)  # a sound entry of unsound bytes
    assert call(native.build(DOUBLE, cache=cache), 2.5) == 5.0
    assert cache.get(cache_key("kernel", DOUBLE)).payload == compile_object(DOUBLE)


def test_a_warm_process_imports_neither_numba_nor_compiles(cache_dir):
    program = (
        "import ctypes, sys; from weft.runtime import native;"
        f"library = native.build({DOUBLE!r});"
        "double = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address('f'));"
        "print(double(4.0), 'numba' in sys.modules)"
    )
    for forbid in ("", "import weft.codegen.objects as o; o._optimised = None;"):
        result = subprocess.run(
            [sys.executable, "-c", forbid + program], capture_output=True, text=True, timeout=60
        )
        assert (result.stdout, result.stderr) == ("8.0 False\n", "")


def test_text_that_llvm_refuses(cache):
    with pytest.raises(CompileError, match="defined with type 'double'"):
        native.build("define double @f(double %x) { ret float %x }", cache=cache)
    with pytest.raises(CompileError, match="dominate"):
        native.build(
            "define i32 @f() {\n %a = add i32 %b, 1\n %b = add i32 %a, 1\n ret i32 %a\n}", cache=cache
        )
    assert cache.entries() == []
