# SPDX-License-Identifier: Apache-2.0
"""The documentation's pages taken apart: code blocks, links, headings, code in sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^( *)(```+|~~~+) *([\w{}+-]*)")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")
_ASSIGNED = re.compile(r"^\w+=")
_ENDS = {"&&", "||", ";", "|", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block: ``line`` is that of its first line of code.

    ``not_run`` is the reason in a comment ``<!-- not run: REASON -->`` above it.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that people read."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if "_build" not in path.parts]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Its code blocks; those of Sphinx, as ``{toctree}``, too."""
    found: list[Block] = []
    fence, code, start, reason = None, [], 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is None:
            opened = _FENCE.match(line)
            if opened:
                fence, code, start = opened, [], number + 1
            elif line.strip():
                said = _NOT_RUN.match(line)
                reason = said[1] if said else ""
        elif line.strip().startswith(fence[2]) and not line.strip().strip(fence[2][0]):
            text = "\n".join(code) + "\n"
            found.append(Block(name_of(page), start, fence[3], text, reason))
            fence, reason = None, ""
        else:
            code.append(line[len(fence[1]) :] if line.startswith(fence[1]) else line)
    assert fence is None, f"{page}: a block of code does not end"
    return found


def of_language(*languages: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def prose(page: Path) -> str:
    """The page without its blocks and comments."""
    lines, fence = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        found = _FENCE.match(line)
        if found and fence is None:
            fence = found[2]
        elif fence is not None and line.strip().startswith(fence):
            fence = None
        elif fence is None:
            lines.append(line)
    return re.sub(r"<!--.*?-->", "", "\n".join(lines), flags=re.DOTALL)


def spans(page: Path) -> list[str]:
    """Code in sentences and tables."""
    return [found[1].strip() for found in re.finditer(r"`([^`\n]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """Targets of links and pictures."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return [found[1] for found in re.finditer(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", text)]


def anchors(page: Path) -> set[str]:
    """What ``#fragment`` may name, as code hosts make it of headings."""
    out: set[str] = set()
    for line in prose(page).splitlines():
        if line.startswith("#"):
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            out.add(slug if slug not in out else f"{slug}-1")
    return out


@dataclass(frozen=True)
class Command:
    """One simple command of a shell block."""

    words: tuple[str, ...]
    block: Block
    line: int

    def __str__(self) -> str:
        return f"{self.block.page}:{self.line}: {' '.join(self.words)}"


def commands(block: Block) -> Iterator[Command]:
    """Its simple commands, without variables set before them and files they are sent to."""
    logical, start = "", 0
    for number, line in enumerate(block.code.splitlines()):
        start = start if logical else number
        if line.rstrip().endswith("\\"):
            logical += line.rstrip()[:-1] + " "
            continue
        logical += line
        for words in _simple(logical):
            yield Command(tuple(words), block, block.line + start)
        logical = ""


def _without_comment(line: str) -> str:
    """A comment begins with a # at the start of a word, outside of quotes."""
    quote = ""
    for k, sign in enumerate(line):
        if sign in "'\"" and quote in ("", sign):
            quote = "" if quote else sign
        elif sign == "#" and not quote and (k == 0 or line[k - 1] == " "):
            return line[:k]
    return line


def _simple(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(_without_comment(line), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    tokens = list(lexer)
    words: list[str] = []
    skip = False
    for token in [*tokens, ";"]:
        if token in _ENDS:
            while words and (_ASSIGNED.match(words[0]) or words[0] in ("sudo", "nohup", "time")):
                words = words[1:]
            if words:
                yield words
            words = []
        elif skip:
            skip = False
        elif token in (">", ">>", "<"):
            skip = True
        else:
            words.append(token)
