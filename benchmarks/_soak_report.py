# SPDX-License-Identifier: Apache-2.0
"""What a soak found: promises, each kept or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from _soak_faults import Sample, Soak
from _soak_rig import flatness

_FLAT = 0.02  # of the node's memory


@dataclass(frozen=True)
class Verdict:
    """One promise: what was found, and whether it was kept."""

    promise: str
    found: str
    kept: bool


def judge(samples: list[Sample], soak: Soak, log: str, code: int) -> list[Verdict]:
    """Every promise, kept or not."""
    heard = soak.ear.heard.values()
    tracebacks = log.count("Traceback (most recent call last)")
    disorder, unknown = sum(h.disorder for h in heard), sum(h.unknown for h in heard)
    memory, threads, files = (
        flatness([float(getattr(sample, name)) for sample in samples])
        for name in ("memory_mb", "threads", "files")
    )
    open_counts = [_unaccounted(report) for report in soak.ear.reports.values()]
    accounted = len(open_counts) == len(heard) and all(0 <= n <= 2 for n in open_counts)
    return [
        Verdict("memory is flat", f"{100 * memory:+.2f} %", abs(memory) < _FLAT),
        Verdict("threads are flat", f"{100 * threads:+.1f} %", threads <= 0),
        Verdict("files are flat", f"{100 * files:+.1f} %", files <= 0),
        Verdict("no traceback", str(tracebacks), tracebacks == 0),
        Verdict("answers in order", f"{disorder} out of order", disorder == 0),
        Verdict("answers to what was sent", f"{unknown} to nothing", unknown == 0),
        Verdict("every camera answered", _counts(soak), all(h.answers for h in heard)),
        Verdict("images accounted for", f"{open_counts} open", accounted),
        Verdict("ends with 0 on SIGINT", str(code), code == 0),
    ]


def _unaccounted(report: dict[str, str]) -> int:
    """Images neither answered, replaced nor failed: one may be in work, another one wait."""
    count = {name: int(report.get(name, 0)) for name in ("received", "processed", "dropped")}
    failed = int(report.get("failed", 0))
    return count["received"] - count["processed"] - count["dropped"] - failed


def _counts(soak: Soak) -> str:
    return ", ".join(str(heard.answers) for heard in soak.ear.heard.values())


def print_report(samples: list[Sample], soak: Soak, verdicts: list[Verdict]) -> None:
    """A table of the node's use, one of the cameras, and the verdicts."""
    columns = list(Sample.__dataclass_fields__)
    print("".join(f"{name:>11}" for name in columns))
    for sample in samples[:: max(len(samples) // 20, 1)]:
        print("".join(f"{value:11.0f}" for value in asdict(sample).values()))
    print("\ncamera         sent damaged answered dropped  people")
    for camera in soak.cameras:
        heard = soak.ear.heard[camera.name]
        dropped = soak.ear.reports.get(camera.name, {}).get("dropped", "-")
        numbers = f"{camera.sent:8d}{camera.damaged:8d}{heard.answers:9d}{dropped:>8}"
        print(f"{camera.name:11}{numbers}{heard.people:8d}")
    print("\nfaults: " + ", ".join(f"{n} {name}" for name, n in sorted(soak.faults.items())))
    for verdict in verdicts:
        mark = "kept  " if verdict.kept else "BROKEN"
        print(f"{mark} {verdict.promise}: {verdict.found}")


def content(samples: list[Sample], soak: Soak, verdicts: list[Verdict]) -> dict[str, Any]:
    """The same for a program to read."""
    return {
        "samples": [asdict(sample) for sample in samples],
        "cameras": {
            camera.name: {
                "sent": camera.sent,
                "damaged": camera.damaged,
                **asdict(soak.ear.heard[camera.name]),
                "node": soak.ear.reports.get(camera.name, {}),
            }
            for camera in soak.cameras
        },
        "faults": dict(soak.faults),
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }
