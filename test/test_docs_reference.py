# SPDX-License-Identifier: Apache-2.0
"""The reference that is written from the source says all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from docs_pages import ROOT, blocks
from docs_shell import parameters as known_parameters

from alphapose_ros.cli import COMMANDS
from alphapose_ros.cli.train import _TRAININGS

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
from command_reference import commands, parsers
from interface_reference import (
    declared_services,
    messages,
    published,
    read_message,
    services,
    topics,
)
from markdown_text import code, plain, table
from parameter_reference import fixed_parameters, parameters


def rows(text: str) -> dict[str, str]:
    """First cell -> the rest of its line."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line.split("|", 2)[2] for line in lines}


def test_every_parameter_is_there() -> None:
    found = rows(parameters(ROOT))
    others = {"cameras", "NAME.image_topic", "NAME.camera_info_topic", "NAME.depth_topic"}
    assert found.keys() == (known_parameters() - {"use_sim_time"}) | others
    assert fixed_parameters(ROOT) == {"autostart", "bond"}
    assert "read once" in found["autostart"]
    assert "float, a number in \\[0, 1\\]; live" in found["detector.nms_iou"]
    assert "unconfigured" in found["device"]


def test_every_field_of_every_message_is_there() -> None:
    text = messages(ROOT)
    for path in (ROOT / "msg").glob("*.msg"):
        about, fields = read_message(path)
        assert f"## {path.stem}\n" in text
        assert about
        section = text.partition(f"## {path.stem}\n")[2].partition("\n## ")[0]
        assert {field.name for field in fields} == rows(section).keys()
        assert all(field.text for field in fields)


def test_a_comment_below_a_field_belongs_to_it(tmp_path: Path) -> None:
    file = tmp_path / "A.msg"
    file.write_text(
        "# About\n# it.\n\nuint8 ONE = 1  # one\nfloat32[9] x   # long\n      # text\n"
    )
    about, (one, x) = read_message(file)
    assert about == "About it."
    assert (one.name, one.value, one.text) == ("ONE", "1", "one")
    assert (x.kind, x.name, x.value, x.text) == ("float32[9]", "x", "", "long text")
    file.write_text("not a line\n")
    with pytest.raises(ValueError, match="not a line of a message"):
        read_message(file)


def test_every_topic_and_service_has_a_meaning() -> None:
    """A new publisher or service without one is a KeyError."""
    text = topics(ROOT)
    assert {topic.name for topic in published(ROOT)} <= rows(text).keys()
    assert "humans/bodies/<id>/skeleton2d" in text
    assert rows(services(ROOT)).keys() == {name for name, _ in declared_services(ROOT)}


def test_topics_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [t.name for t in published(ROOT) if f"`{t.name}`" not in readme]


def test_every_command_is_there() -> None:
    names = {parser.prog for parser in parsers()}
    assert {f"alphapose-ros train {what}" for what in _TRAININGS} <= names
    assert len({name.split()[1] for name in names if " " in name}) == len(COMMANDS)
    text = commands(ROOT)
    assert "`--gallery DIR`" in text
    assert all(f" {name}\n" in text for name in names)


def test_pages_ask_for_what_there_is() -> None:
    generated_pages = pytest.importorskip("generated_pages", reason="NO SPHINX: pages not filled")
    asked = set()
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        asked |= set(generated_pages.MARK.findall(text))
        assert not generated_pages.MARK.search(generated_pages.filled(text, ROOT))
    assert asked == generated_pages.GENERATORS.keys()


def test_text_is_no_markup() -> None:
    assert plain("a_b [x] <y> | ``c|d`` see :class:`Other`") == (
        "a\\_b \\[x\\] \\<y\\> \\| ``c\\|d`` see ``Other``"
    )
    assert code("a|b") == "`a\\|b`"
    assert code("") == ""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_docstrings_are_not_misread() -> None:
    fixes = pytest.importorskip("docstring_fixes", reason="NO SPHINX: docstrings not checked")
    assert fixes.escaped('("left_hand_" there)') == '("left_hand\\_" there)'
    assert fixes.escaped("``left_hand_`` of snake_case") == "``left_hand_`` of snake_case"


def test_rosdoc2_finds_the_pages() -> None:
    _, settings = yaml.safe_load_all((ROOT / "rosdoc2.yaml").read_text(encoding="utf-8"))
    (builder,) = settings["builders"]
    assert (ROOT / builder["sphinx"]["sphinx_sourcedir"] / "conf.py").is_file()
    assert blocks(ROOT / "docs" / "index.md")
