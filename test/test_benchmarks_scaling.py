# SPDX-License-Identifier: Apache-2.0
"""Scenes, slopes, percentiles, the table of scaling and the page of all tables."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import InputError

pytestmark = pytest.mark.usefixtures("benchmarks")


def test_percentiles_of_hand_made_numbers():
    from _results import median, percentiles, ratio

    assert percentiles([3.0]) == [3, 3, 3]
    assert percentiles(range(101)) == pytest.approx([50, 95, 99])
    assert percentiles([10, 0]) == pytest.approx([5, 9.5, 9.9])
    assert percentiles([]) == [None, None, None]
    assert median([None, 4, 2, None]) == 3
    assert median([]) is None
    assert ratio(3, 2) == 1.5
    assert ratio(None, 2) is None
    assert ratio(3, 0) is None


def test_slopes_of_hand_made_lines():
    from _results import slope

    assert slope([1, 2, 5], [12, 14, 20]) == pytest.approx((2, 10))
    assert slope([0, 1, 2], [0, 3, 0]) == pytest.approx((0, 1))  # least squares, not the ends
    for xs, ys in (([1], [2]), ([3, 3], [1, 2]), ([], []), ([1, 2], [1])):
        with pytest.raises(InputError, match="two or more different x"):
            slope(xs, ys)


def test_stamps_are_matched_when_answers_are_missing_repeated_or_foreign():
    from _camera import Answer, match

    sent = [10_000_000, 20_000_000, 30_000_000, 40_000_000]
    heard = [
        Answer(5, 6),  # of an earlier round
        Answer(10_000_000, 13_000_000),
        Answer(10_000_000, 99_000_000),  # again: the first receipt counts
        Answer(40_000_000, 45_000_000),
        Answer(30_000_000, 46_000_000),  # late
    ]
    found = match(sent, heard)
    assert found.latencies_ms == pytest.approx([3, 5, 16])
    assert (found.sent, found.answered, found.skipped) == (4, 3, 1)
    assert (found.repeated, found.unknown, found.disorder) == (1, 1, 1)
    nothing = match([], [])
    assert (nothing.sent, nothing.answered, nothing.latencies_ms) == (0, 0, [])


def test_memory_that_grows_is_seen_in_the_last_three_quarters():
    from end_to_end import flatness

    begin = [{"s": 10.0 * k, "memory MB": 900.0 - k, "threads": 20, "wrong": 0} for k in range(4)]
    rows = begin + [
        {"s": 40.0 + 10 * k, "memory MB": 500.0 + k, "threads": 9, "wrong": 1} for k in range(12)
    ]
    found = flatness(rows)
    assert found["memory's slope, MB per hour"] == pytest.approx(360)
    assert found["threads' slope, per hour"] == pytest.approx(0)
    assert found["answers out of order or twice"] == 12
    assert flatness([]) == {}


def test_json_has_no_nan(tmp_path):
    from _results import Results, Table

    table = Table("t", ("a",), [[float("nan")], [np.float32(0.5)], [None]])
    path = tmp_path / "out.json"
    Results("x", "about", [table], numbers={"n": np.int64(3)}).write(path)
    content = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert content["tables"][0]["rows"] == [[None], [0.5], [None]]
    assert content["numbers"] == {"n": 3}
    assert content["machine"]["torch"]


@pytest.mark.parametrize("people", [0, 1, 5, 50])
def test_scenes_hold_as_many_people_who_move_and_stay_inside(people, skimage):
    from _scenes import scenes

    first, second = scenes(people, (480, 640), 2)
    assert first.image.shape == (480, 640, 3)
    assert first.image.dtype == np.uint8
    for boxes in (first.boxes, second.boxes):
        assert boxes.shape == (people, 4)
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes <= [640, 480, 640, 480]).all()
    if people:
        assert (first.boxes != second.boxes).any(1).all()
        overlap = box_iou(first.boxes, first.boxes)
        assert (overlap[~np.eye(people, dtype=bool)] == 0).all()


def test_sizes_have_names():
    from _scenes import size_named

    assert size_named("4K") == (2160, 3840)
    assert size_named("800x600") == (600, 800)
    for wrong in ("", "8K", "0x3", "ax3", "640"):
        with pytest.raises(InputError, match=r"expected VGA, .* or 640x480"):
            size_named(wrong)


def scaling_row(**changes):
    row = {
        "people": 5, "cameras": 1, "size": "VGA", "frame_ms": 50.0, "frame_p95_ms": 60.0,
        "frames_per_second": 20.0, "networks_ms": {"detector": 10.0, "pose": 30.0},
        "stages_ms": {"detect": 12.0, "pose": 33.0, "track": 5.0}, "outside_ms": 10.0,
        "outside_share": 0.2, "ratio": 1.25, "cpu_share": 1.0, "memory_mb": 500.0,
    }  # fmt: skip
    return {**row, **changes}


def test_scaling_fits_the_cost_of_one_more():
    from scaling import results

    people = [
        scaling_row(people=n, frame_ms=20.0 + 6 * n, networks_ms={"pose": 15.0 + 5 * n})
        for n in (1, 2, 5)
    ]
    cameras = [scaling_row(cameras=n, memory_mb=400.0 + 50 * n) for n in (1, 8)]
    found = results({"people": people, "cameras": cameras, "size": [scaling_row()]}, {})
    numbers = found.numbers
    assert numbers["ms per extra person"] == pytest.approx(6)
    assert numbers["extra person: whole / networks"] == pytest.approx(1.2)
    assert numbers["MB per extra camera"] == pytest.approx(50)
    assert numbers["memory of 8 cameras / of one"] == pytest.approx(800 / 450)
    assert len(found.tables) == 6
    assert [len(row) for table in found.tables for row in table.rows] == [
        len(table.columns) for table in found.tables for _ in table.rows
    ]
    assert "ms per extra person" in found.text()


def test_given_people_pay_for_the_detector():
    from scaling import GivenPeople, Point, _turns

    inner = type("Detector", (), {"model": 1, "__call__": lambda self, b: seen.append(b)})()
    seen = []
    detector = GivenPeople(inner)
    detector.model = 2
    assert inner.model == detector.model == 2
    from _scenes import Scene

    scene = Scene(np.zeros((4, 4, 3), np.uint8), np.array([[0, 0, 2, 2]], np.float32))
    made = list(_turns(Point(cameras=2, frames=3), [scene], detector))
    assert len(made) == 6
    assert [frame.camera for frame in made[0]] == ["camera0", "camera1"]
    assert made[1][0].stamp_ns > made[0][0].stamp_ns
    found = detector([None, None])
    assert seen == [[None, None]]
    assert [len(each) for each in found] == [1, 1]


def test_scaling_refuses_no_frames(capsys):
    import scaling

    assert scaling.main(["--frames", "0"]) == 1
    assert "at least 1" in capsys.readouterr().err


def test_scaling_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    import scaling

    monkeypatch.setattr(
        scaling, "measure", lambda p: scaling_row(people=p.people, frame_ms=9.0 * p.people)
    )
    path = tmp_path / "scaling.json"
    assert scaling.main(["--quick", "--json", str(path)]) == 0
    assert "A frame over people" in capsys.readouterr().out
    content = json.loads(path.read_text())
    assert content["benchmark"] == "scaling"
    assert content["numbers"]["ms per extra person"] == pytest.approx(9)


def test_page_contains_every_table_and_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    import page

    contents = {
        **page.example(),
        "other": {
            "ratio": 1.5,
            "rows": [{"a": 1, "b": {"c": "<x>"}}, {"a": None}],
            "deep": {"k": [4]},
        },
        "list": [{"z": 9}],
    }
    files = []
    for name, content in contents.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    output = tmp_path / "page.html"
    options = ["--output", str(output), "--png", str(tmp_path / "plots")]
    assert page.main([*map(str, files), *options]) == 0
    text = output.read_text()
    for caption in ("An example", "Numbers", "other", "other: rows", "other: deep: k", "list"):
        assert f"<caption>{caption}</caption>" in text
    assert text.count("<table>") == text.count("<caption>") == 6
    assert text.count("data:image/png;base64,") == 1
    assert "&lt;x&gt;" in text
    assert "<x>" not in text
    assert [path.read_bytes()[:4] for path in (tmp_path / "plots").iterdir()] == [b"\x89PNG"]
    assert "http" not in text  # it needs nothing else


def test_page_without_plots_and_with_wrong_files(tmp_path, monkeypatch, capsys):
    import page

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    output = tmp_path / "page.html"
    assert page.main(["--quick", "--output", str(output)]) == 1
    assert "--no-plots" in capsys.readouterr().err
    assert page.main(["--quick", "--no-plots", "--output", str(output)]) == 0
    assert "<img" not in output.read_text()
    bad = tmp_path / "bad.json"
    for content, message in (
        ("{", "expected a JSON file"),
        ('{"tables": [{"x": 1}], "plots": [], "about": ""}', "expected a table with"),
        ('{"tables": [{"title": "t"}], "plots": [], "about": ""}', "not whole"),
    ):
        bad.write_text(content)
        assert page.main([str(bad), "--output", str(output)]) == 1
        assert message in capsys.readouterr().err
    assert page.main([]) == 1
