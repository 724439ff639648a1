"""One entry of the disk cache: its bytes, and what makes a file or a directory trustworthy.

    +-------+---------------+------------------------+-------------+---------+
    | magic | header length | sha256 of what follows | JSON header | payload |
    +-------+---------------+------------------------+-------------+---------+

Object code is run, so what is read must be what this user wrote: the directory and each file belong to the
user and nobody else can write them.  The checksum is for accidents (truncation, bad disks), not for enemies.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

MAGIC = b"weftobj\n"
_FIXED = len(MAGIC) + 4 + 32
_DAY = 86400.0


class BadEntry(Exception):
    """Why an entry file is not used."""


def encode(key: str, host: str, payload: bytes, meta: dict[str, Any]) -> bytes:
    """The bytes of an entry file."""
    fields = {"key": key, "created": time.time(), "host": host, "size": len(payload), "meta": meta}
    header = json.dumps(fields).encode()
    body = header + payload
    return MAGIC + len(header).to_bytes(4, "little") + hashlib.sha256(body).digest() + body


def decode(data: bytes, key: str) -> tuple[dict[str, Any], bytes]:
    """(header, payload) of the entry of ``key``; ``BadEntry`` for any other bytes."""
    if len(data) < _FIXED or not data.startswith(MAGIC):
        raise BadEntry("not a weft cache entry")
    body = memoryview(data)[_FIXED:]
    if hashlib.sha256(body).digest() != data[_FIXED - 32 : _FIXED]:
        raise BadEntry("truncated or altered: its checksum does not match")
    length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    try:
        header = json.loads(bytes(body[:length]))
        payload = bytes(body[length:])
        if header["key"] != key or header["size"] != len(payload) or not isinstance(header["meta"], dict):
            raise BadEntry("the entry of another key")
    except (ValueError, KeyError, TypeError) as error:
        raise BadEntry(f"unreadable header ({error})") from None
    return header, payload


def read(path: Path) -> bytes:
    """The bytes of an entry file, if it is a plain file that only this user can have written."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadEntry(reason(error)) from None
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise BadEntry("not a plain file")
        _check_owner(info, "the file")
        return file.read()


def private_directory(path: Path) -> Path:
    """``path``, made if need be, resolved, and checked to be writable by this user alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_symlink():
        _check_owner(path.lstat(), "the symbolic link", mode=False)
    path = path.resolve(strict=True)
    _check_owner(path.stat(), "the directory")
    if not os.access(path, os.W_OK | os.X_OK):
        raise BadEntry("the directory is not writable")
    return path


def _check_owner(info: os.stat_result, what: str, *, mode: bool = True) -> None:
    if not hasattr(os, "getuid"):  # no such notion of owner here
        return
    if info.st_uid != os.getuid():
        raise BadEntry(f"{what} belongs to another user (uid {info.st_uid})")
    if mode and info.st_mode & 0o022:
        raise BadEntry(f"{what} can be written by others (mode {stat.S_IMODE(info.st_mode):o})")


def mark_used(path: Path) -> None:
    """Note in the file's time that it was used, at most once a day."""
    try:
        if path.stat().st_mtime < time.time() - _DAY:
            os.utime(path)
    except OSError:  # read-only, or gone: its age is only a hint
        pass


def unlink(path: Path) -> bool:
    """Remove a file if possible; whether it was."""
    try:
        path.unlink()
        return True
    except OSError:
        return False


def reason(error: Exception) -> str:
    """What went wrong, in the system's words, without errno and path."""
    return getattr(error, "strerror", None) or str(error)
