# SPDX-License-Identifier: Apache-2.0
"""The folder of a batch: what it was made with, which recordings are done, which failed and why.

Each recording's results are a folder that gets its name when it is complete, with its own row in
it. These folders are the truth; ``manifest.jsonl`` is all rows in one file, written anew from them
whenever a batch begins, so that no moment at which a process can be killed matters. It is written
anew too where a recording's row replaces one of before.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from alphapose_ros import __version__
from alphapose_ros.base.errors import InputError
from alphapose_ros.batch.worklist import SETTINGS_FILE, Recording
from alphapose_ros.io.closing import Closing

MANIFEST, ROW = "manifest.jsonl", "recording.json"
PARTIAL = ".partial"  # folder of unfinished ones: no pattern for results reaches into it
DONE, FAILED = "done", "failed"
_LOCK = ".lock"


@dataclass(frozen=True)
class Row:
    """What became of one recording.

    Attributes:
        recording, path, size, mtime_ns: see :class:`Recording`.
        status: done or failed.
        version: of this package. config: hash of the batch's settings.
        frames: read. people: rows in the table of people. identities: different ids.
        seconds: of work. attempts: more than one where workers died.
        problems: what was left out without failing, an image that is damaged for instance.
        error: why it failed, one line. trace: where in the code, of what nobody expected.
    """

    recording: str
    path: str
    size: int
    mtime_ns: int
    status: str
    version: str
    config: str
    frames: int = 0
    people: int = 0
    identities: int = 0
    seconds: float = 0.0
    attempts: int = 1
    problems: list[str] = field(default_factory=list)
    error: str = ""
    trace: str = ""

    @classmethod
    def of(cls, recording: Recording, status: str, config: str, **rest: Any) -> Row:
        """The row of a recording, by this version."""
        values = asdict(recording)
        name = values.pop("name")
        return cls(name, **values, status=status, version=__version__, config=config, **rest)

    def is_of(self, recording: Recording, config: str) -> bool:
        """Whether it speaks of this recording as it is now, under these settings."""
        theirs = (self.recording, self.path, self.size, self.mtime_ns, self.config)
        return theirs == (*asdict(recording).values(), config)

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def read(cls, text: str) -> Row | None:
        """From JSON; None where a killed process left half a line."""
        try:
            content = json.loads(text)
            known = {entry.name for entry in fields(cls)}
            return cls(**{key: value for key, value in content.items() if key in known})
        except (ValueError, TypeError, AttributeError):
            return None


def read_row(folder: Path) -> Row | None:
    """The row of a recording's complete folder; None where there is no such folder."""
    try:
        return Row.read((folder / ROW).read_text(encoding="utf-8"))
    except OSError:
        return None


class BatchFolder(Closing):
    """The results of a batch; one process at a time may write there.

    Args:
        path: made where it does not exist.
        settings: all that results depend on, as :func:`settings.describe` gives it.
        restart: remove what another batch left there.

    Raises:
        InputError: it is no batch's folder, another process writes there, or what is there was
            made with other settings.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], config: str, *, restart: bool = False
    ) -> None:
        self.path, self.config = path, config
        if path.is_dir() and not (path / SETTINGS_FILE).is_file() and _holds_something(path):
            raise InputError(f"{path}: expected a new folder or one of an earlier batch")
        path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        self._rows: IO[str] | None = None
        try:
            self._begin(settings, restart)
        except BaseException:
            self.close()
            raise

    def _begin(self, settings: Mapping[str, Any], restart: bool) -> None:
        file = self.path / SETTINGS_FILE
        if restart:
            _remove_results(self.path)
        elif file.is_file():
            _check_settings(file, settings)
        _replace(file, json.dumps({**settings, "hash": self.config}, indent=1) + "\n")
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)
        self.rows = self._gathered()
        self._write_manifest()

    def _write_manifest(self) -> None:
        _replace(self.path / MANIFEST, "".join(row.line() for row in self.rows.values()))
        if self._rows is not None:  # of the file that was replaced
            self._rows.close()
        self._rows = (self.path / MANIFEST).open("a", encoding="utf-8")

    def _gathered(self) -> dict[str, Row]:
        """The last row of each recording by name: of the complete folders, and of failures."""
        try:
            lines = (self.path / MANIFEST).read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        rows = [row for row in map(Row.read, lines) if row is not None and row.status == FAILED]
        folders = (path for path in sorted(self.path.iterdir()) if path.is_dir())
        rows += [row for row in map(read_row, folders) if row is not None]
        return {row.recording: row for row in rows}

    def is_done(self, recording: Recording) -> bool:
        """Whether its results are complete and of the recording as it is now."""
        row = self.rows.get(recording.name)
        return row is not None and row.status == DONE and row.is_of(recording, self.config)

    def add(self, row: Row) -> None:
        """Append a row, or replace the recording's own; it is on its way to the disk after."""
        assert self._rows is not None
        again = row.recording in self.rows
        self.rows[row.recording] = row
        if again:
            self._write_manifest()
            return
        self._rows.write(row.line())
        self._rows.flush()

    def close(self) -> None:
        """Let other processes write there."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        self._lock.close()


def _holds_something(path: Path) -> bool:
    return any(not entry.name.startswith(".") for entry in path.iterdir())


def _locked(path: Path) -> IO[str]:
    file = (path / _LOCK).open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise InputError(f"{path}: another batch is writing there") from error
    except OSError as error:
        file.close()
        raise InputError(f"{path}: this file system has no locks: {error.strerror}") from error
    return file


def _check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise InputError(f"{file}: damaged; use --restart or another folder")
    before.pop("hash", None)
    now = json.loads(json.dumps(settings))
    for key in sorted({*before, *now}, key=lambda name: (name != "version", name)):
        if before.get(key) != now.get(key):
            raise InputError(
                f"{file.parent}: was made with {key} = {before.get(key)!r}, this is "
                f"{now.get(key)!r}; use --restart (removes its results) or another folder"
            )


def _remove_results(path: Path) -> None:
    """Only what a batch made: folders with a row in them and its own files."""
    for folder in path.iterdir():
        if (folder / ROW).is_file():
            shutil.rmtree(folder)
    (path / MANIFEST).unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
