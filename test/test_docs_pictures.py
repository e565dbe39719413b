# SPDX-License-Identifier: Apache-2.0
"""Every picture in the documents is made by a command, and is what the command makes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from docs_pages import ROOT, links, pages
from docs_shell import check_python

sys.path.insert(0, str(ROOT / "docs"))
import pictures

IMAGES = ROOT / "docs" / "images"
LARGEST = 160_000  # bytes
PIXELS = ("astronaut.jpg", "sikr.jpg", "pose_nms.jpg")
DRAWINGS = sorted(pictures.DRAWN.keys() - set(PIXELS))

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of libraries
]


def test_every_picture_has_its_command() -> None:
    shown = {Path(t).name for page in pages() for t in links(page) if "images/" in t}
    made = pictures.DRAWN.keys() | pictures.MEASURED.keys()
    assert shown == made
    assert {path.name for path in IMAGES.iterdir()} == made
    assert not [name for name in made if (IMAGES / name).stat().st_size > LARGEST]


def test_every_log_is_drawn() -> None:
    from curves import LOGS, PLOTS

    drawn = {name for _, runs in PLOTS.values() for name in runs.values()}
    assert {path.stem for path in LOGS.glob("*.csv")} == drawn


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_as_drawn(name: str, tmp_path: Path) -> None:
    pictures.drawer(name)(tmp_path / name)
    drawn, kept = (folder / name for folder in (tmp_path, IMAGES))
    assert near(drawn.read_text("utf-8"), kept.read_text("utf-8")), (
        f"python docs/pictures.py {name}"
    )


def near(first: str, second: str) -> bool:
    """The same text but for the last digit of its numbers."""
    number = re.compile(r"-?\d+\.?\d*")
    if number.sub("", first) != number.sub("", second):
        return False
    values = (np.array(number.findall(text), np.float64) for text in (first, second))
    return bool(np.allclose(*values, atol=0.11))


def test_near_sees_a_change() -> None:
    assert near("a 1.2 b", "a 1.3 b")
    assert not near("a 1.2 b", "a 1.4 b")
    assert not near("a 1.2 b", "a 1.2 c")


@pytest.mark.parametrize("name", PIXELS)
def test_pictures_of_people_are_as_drawn(name: str, tmp_path: Path, skimage: None) -> None:
    """But for rounding, which differs from machine to machine."""
    pictures.drawer(name)(tmp_path / name)
    drawn, kept = (cv2.imread(str(folder / name)) for folder in (tmp_path, IMAGES))
    assert drawn.shape == kept.shape
    difference = cv2.absdiff(drawn, kept)
    assert difference.mean() < 2, f"python docs/pictures.py {name}"


def test_pictures_that_are_measured_name_their_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for commands in pictures.MEASURED.values():
        for line in commands:
            words = tuple(line.partition("#")[0].split())
            assert (ROOT / words[1]).is_file(), line
            if len(words) > 2:  # it has options
                check_python(words, monkeypatch)


def test_the_command_draws_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pictures.main(["states.svg", "scaling_people.png", "--output", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["states.svg"]
    assert "benchmarks/scaling.py" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        pictures.main(["nothing.png"])


def test_the_face_has_its_68_points_and_hands_their_21() -> None:
    from joints import body_places, face_places, hand_places

    found = [*body_places(), *face_places(), *hand_places("left"), *hand_places("right")]
    assert sorted(found) == list(range(136))
