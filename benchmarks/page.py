# SPDX-License-Identifier: Apache-2.0
"""Results of benchmarks -> one HTML page with tables and plots that needs no other file.

    python benchmarks/page.py scaling.json end_to_end.json other.json --output page.html

Files that ``scaling.py`` and ``end_to_end.py`` wrote bring their tables and plots. Of any other
JSON each list of records becomes a table, and all single values together another one.
``--png FOLDER`` writes the plots as files too.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from _results import Plot, Results, Table, shown

from alphapose_ros.base.errors import AlphaPoseError, InputError, MissingDependencyError
from alphapose_ros.eval.panels import Panel, figure_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 0.5em 0 1.5em; font-size: 13px; }
th, td { padding: 3px 9px; border-bottom: 1px solid #ddd; text-align: right; }
th { border-bottom: 2px solid #888; } caption { text-align: left; font-weight: 600; }
td:first-child, th:first-child { text-align: left; }
.scroll { overflow-x: auto; } img { max-width: 520px; width: 100%; } code { font-size: 13px; }
"""
_LONG = 60  # characters that a single value may have in a table


def sections(content: Any, name: str) -> tuple[str, list[Table], list[Plot]]:
    """(what it is about, tables, plots) of one file's content."""
    own = isinstance(content, Mapping) and {"tables", "plots", "about"} <= content.keys()
    if not own:
        return "", list(tables_of(content, name)), []
    tables = [_made(Table, each) for each in content["tables"]]
    for title in ("numbers", "settings", "machine"):
        if content.get(title):
            rows = list(content[title].items())
            tables.append(Table(title.capitalize(), ("", "value"), rows))
    return content["about"], tables, [_made(Plot, each) for each in content["plots"]]


def tables_of(content: Any, name: str) -> Iterator[Table]:
    """Tables of any JSON: lists of records, and the single values of each mapping."""
    if isinstance(content, Mapping):
        single = [(k, v) for k, v in content.items() if not isinstance(v, (Mapping, list))]
        if single:
            yield Table(name, ("", "value"), single)
        for key, value in content.items():
            yield from tables_of(value, f"{name}: {key}")
    elif isinstance(content, list) and content:
        if all(isinstance(row, Mapping) for row in content):
            flat = [_flat(row) for row in content]
            columns = list(dict.fromkeys(key for row in flat for key in row))
            yield Table(name, columns, [[row.get(key) for key in columns] for row in flat])
        else:
            yield Table(name, ("value",), [[value] for value in content])


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{key} ")
        else:
            out[f"{prefix}{key}"] = value
    return out


def _made(kind: Any, values: Any) -> Any:
    known = {item.name for item in fields(kind)}
    if not isinstance(values, Mapping) or not set(values) <= known:
        raise InputError(f"expected a {kind.__name__.lower()} with {', '.join(sorted(known))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"a {kind.__name__.lower()} is not whole: {error}") from error


def page(contents: Mapping[str, Any], *, plots: bool = True) -> tuple[str, dict[str, bytes]]:
    """The page of named contents, and the plots as PNG by file name."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Benchmarks</title>"
        f"<style>{_STYLE}</style></head><body><h1>Benchmarks</h1>"
    ]
    pictures: dict[str, bytes] = {}
    for name, content in contents.items():
        about, tables, drawn = sections(content, name)
        parts.append(f"<h2>{html.escape(name)}</h2><p>{html.escape(about)}</p>")
        command = content.get("command") if isinstance(content, Mapping) else None
        if isinstance(command, str):
            parts.append(f"<p><code>{html.escape(command)}</code></p>")
        parts += [_table(table) for table in tables]
        for plot in drawn if plots else []:
            file = re.sub(r"[^a-z0-9]+", "_", f"{name} {plot.title}".lower()).strip("_") + ".png"
            pictures[file] = picture(plot)
            encoded = base64.b64encode(pictures[file]).decode()
            title = html.escape(plot.title, quote=True)
            parts.append(f"<img alt='{title}' src='data:image/png;base64,{encoded}'>")
    return "\n".join([*parts, "</body></html>\n"]), pictures


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(cell))}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return (
        f"<div class='scroll'><table><caption>{html.escape(table.title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def picture(plot: Plot) -> bytes:
    """A plot as PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    lines = {
        name: (x, [float("nan") if value is None else value for value in y])
        for name, (x, y) in plot.series.items()
    }
    panel = Panel(
        plot.title,
        plot.x_label,
        plot.y_label,
        lines,
        shares=False,
        marked=True,
        levels=plot.limits,
        log_x=plot.log_x,
    )
    stream = io.BytesIO()
    figure_of([panel]).savefig(stream, format="png")
    return stream.getvalue()


def read(paths: Sequence[Path]) -> dict[str, Any]:
    """Contents by file name without its ending.

    Raises:
        InputError: a file cannot be read, or is not JSON.
    """
    contents: dict[str, Any] = {}
    for path in paths:
        try:
            contents[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: expected a JSON file ({error})") from error
    return contents


def example() -> dict[str, Any]:
    """A made-up result, for ``--quick``."""
    from dataclasses import asdict

    table = Table("An example", ("people", "frame ms"), [[1, 10.5], [2, None]])
    plot = Plot("An example", "people", "time of a frame, ms", {"made up": ([1, 2], [10.5, 18])})
    return {"example": asdict(Results("example", "Made up.", [table], [plot], {"a ratio": 1.2}))}


def main(arguments: list[str] | None = None) -> int:
    """Read, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="JSON")
    parser.add_argument("--output", type=Path, default=Path("benchmarks.html"))
    parser.add_argument("--png", type=Path, help="folder for the plots as files")
    parser.add_argument("--no-plots", dest="plots", action="store_false")
    parser.add_argument("--quick", action="store_true", help="a made-up result, no files")
    parser.add_argument("--json", type=Path, help="all results in one file, too")
    args = parser.parse_args(arguments)
    try:
        contents = example() if args.quick else read(args.files)
        if not contents:
            raise InputError("expected JSON files, got none")
        text, pictures = page(contents, plots=args.plots)
    except AlphaPoseError as error:
        hint = "; --no-plots does without" if isinstance(error, MissingDependencyError) else ""
        print(f"page: {error}{hint}", file=sys.stderr)
        return 1
    args.output.write_text(text, encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    if args.png:
        args.png.mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            (args.png / name).write_bytes(data)
    print(f"{args.output}: {len(contents)} results, {len(pictures)} plots")
    return 0


if __name__ == "__main__":
    sys.exit(main())
