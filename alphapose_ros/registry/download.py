# SPDX-License-Identifier: Apache-2.0
"""Fetching a model's file into the cache: whole and verified, or not at all."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.registry.spec import ModelSpec
from alphapose_ros.registry.store import bundled_path, check_file, location, record_path
from alphapose_ros.registry.transfer import Progress, Transfer, check_space, discard, transfer
from alphapose_ros.weights import sha256_of

_LARGEST_MEMBER = 4 << 30  # bytes; the largest known network has a tenth of it
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are never published
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchOptions:
    """How files are fetched.

    Attributes:
        mirror: address of a folder with the files, in place of their own addresses.
        timeout_s: longest silence of the server, s.
        attempts: how often a connection may be cut before the fetch is given up.
    """

    mirror: str = ""
    timeout_s: float = 30.0
    attempts: int = 3


def fetch(
    spec: ModelSpec,
    options: FetchOptions | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """The file of a model, fetched with the one beside it where the cache has no sound ones.

    An archive that somebody put into the cache by hand is unpacked in place of a download. Where
    nobody knows the file's SHA-256, the one that came is recorded beside it.

    Args:
        spec: the model.
        options: where from and how patiently.
        on_progress: called with the bytes that are here and those of the whole (0: unknown).

    Raises:
        WeightsError: it cannot be had, or is not the file that is known; the cache is as before.
    """
    if spec.bundled:
        return bundled_path(spec.name, {spec.name: spec})
    return [_fetch_file(part, options, on_progress) for part in spec.files][-1]


def _fetch_file(
    spec: ModelSpec, options: FetchOptions | None, on_progress: Progress | None
) -> Path:
    target = location(spec)
    if _is_sound(spec, target):
        return target  # without the lock, since a cache that is provided may be read-only
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not _is_sound(spec, target):
                _bring(spec, target, options or FetchOptions(), on_progress)
    except OSError as error:
        raise WeightsError(f"{error.filename or target}: {error.strerror or error}") from error
    return target


def _bring(
    spec: ModelSpec, target: Path, options: FetchOptions, on_progress: Progress | None
) -> None:
    job = Transfer(
        address=_address(spec, options),
        target=target.with_name(spec.source_file),
        web_page="" if options.mirror else spec.web_page,
        size_bytes=0 if spec.member else spec.size_bytes,
        timeout_s=options.timeout_s,
        attempts=options.attempts,
    )
    by_hand = bool(spec.member) and job.target.is_file()
    whole = job.target if by_hand else transfer(job, on_progress)
    try:
        _take(spec, _unpacked(whole, spec, target) if spec.member else whole, target)
    except (WeightsError, OSError):
        discard(job)
        raise
    discard(job)


def _address(spec: ModelSpec, options: FetchOptions) -> str:
    address = spec.address
    if options.mirror:
        address = f"{options.mirror.rstrip('/')}/{spec.source_file}"
    if not spec.sha256 and _is_open(address):
        raise WeightsError(
            f"{address}: refused, nobody knows the SHA-256 of {spec.file}: expected an https "
            f"address, or fetch the file by hand and put it at {location(spec)}"
        )
    return address


def _is_open(address: str) -> bool:
    """Whether anybody on the way could put another file in the place of the one asked for."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False  # no address, which is refused elsewhere
    if parts.scheme != "http" or parts.hostname in (None, "localhost"):
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True  # a name


def _is_sound(spec: ModelSpec, path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        check_file(spec, path)
    except WeightsError:
        return False  # replaced when a better one is there
    return True


def _take(spec: ModelSpec, new: Path, target: Path) -> None:
    """Verify a new file and put it in its place at once."""
    try:
        found = sha256_of(new)
        _check_new(spec, new, found)
        if not spec.sha256:
            _record(target, found)
        new.chmod(0o644)
        new.replace(target)
    finally:
        if spec.member:  # without it, the next fetch goes on with what has come
            new.unlink(missing_ok=True)


def _record(target: Path, found: str) -> None:
    record = record_path(target)
    new = record.with_name(f"{record.name}.partial")
    try:
        new.write_text(f"{found}  {target.name}\n", encoding="ascii")
        new.replace(record)
    finally:
        new.unlink(missing_ok=True)


def _check_new(spec: ModelSpec, new: Path, found: str) -> None:
    size = new.stat().st_size
    if spec.size_bytes and size != spec.size_bytes:
        raise WeightsError(f"{spec.file}: expected {spec.size_bytes} bytes, got {size}")
    for digits in (spec.sha256, spec.sha256_prefix):
        if not found.startswith(digits):
            what = "a SHA-256 that begins with" if len(digits) < len(found) else "SHA-256"
            raise WeightsError(f"{spec.file}: refused, expected {what} {digits}, got {found}")


def _unpacked(archive: Path, spec: ModelSpec, target: Path) -> Path:
    """The one wanted file of a zip archive, beside ``target``; names in it lead nowhere.

    Raises:
        WeightsError: no usable archive, or it has not exactly one such file.
    """
    new, whole = target.with_name(f"{target.name}.partial"), False
    try:
        with zipfile.ZipFile(archive) as content:
            member = _member(archive, content, spec)
            check_space(new, member.file_size)
            with content.open(member) as source, new.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
        whole = True
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{archive}: not a usable zip archive: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise WeightsError(f"{archive}: not a usable zip archive: an offset lies") from error
    finally:
        if not whole:
            new.unlink(missing_ok=True)
    return new


def _member(archive: Path, content: zipfile.ZipFile, spec: ModelSpec) -> zipfile.ZipInfo:
    found = [
        item
        for item in content.infolist()
        if item.filename == spec.member or PurePosixPath(item.filename).name == spec.member
    ]
    if len(found) != 1:
        raise WeightsError(f"{archive}: expected one {spec.member} inside, got {len(found)}")
    if found[0].compress_type not in _PACKINGS:
        raise WeightsError(
            f"{archive}: expected {spec.member} to be stored or deflated, "
            f"got method {found[0].compress_type}"
        )
    if found[0].file_size > _LARGEST_MEMBER:
        raise WeightsError(
            f"{archive}: expected at most {_LARGEST_MEMBER} bytes of {spec.member}, "
            f"got {found[0].file_size}"
        )
    return found[0]


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process or thread at a time; the others wait here and then find the file.

    The lock is the system's, so that it goes with the process that held it. Its file is removed
    by the holder, so whoever gets a lock looks whether the file is still the one that is there.
    """
    path = target.with_name(f"{target.name}.lock")
    while True:
        with path.open("w") as lock:
            _wait_for(lock, target)
            try:
                ours = os.path.samestat(os.fstat(lock.fileno()), path.stat())
            except FileNotFoundError:
                continue
            if not ours:
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _wait_for(lock: IO[str], target: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _LOG.info("%s: another process is fetching it; waiting", target)
        fcntl.flock(lock, fcntl.LOCK_EX)
