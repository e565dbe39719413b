# SPDX-License-Identifier: Apache-2.0
"""Curves against slow obvious versions, and pictures that show what they should."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cli_stand_in import fails

from alphapose_ros.base.errors import InputError, MissingDependencyError
from alphapose_ros.base.skeletons import FACE68, HAND21, Skeleton
from alphapose_ros.data.people import People
from alphapose_ros.eval.curves import precision_recall, reliability, share_above
from alphapose_ros.eval.metrics import ImageMatches, average_precision
from alphapose_ros.eval.panels import Panel, check_plot, draw
from alphapose_ros.eval.plots import pose_panels, stage_panels, tracking_panels
from alphapose_ros.eval.pose import Estimates, measure_parts
from alphapose_ros.eval.track_metrics import ALPHAS, MatchedFrame, count, measures


def matches_of(rng: np.random.Generator, count: int) -> ImageMatches:
    scores = -np.sort(-rng.uniform(size=count))
    hits = rng.uniform(size=(1, count)) < 0.6
    ignored = (rng.uniform(size=(1, count)) < 0.2) & ~hits
    return ImageMatches(scores, hits, ignored, int(hits.sum()) + 2)


def test_precision_and_recall_are_counted(rng: np.random.Generator) -> None:
    images = [matches_of(rng, count) for count in (0, 5, 9)]
    recall, precision = precision_recall(images, 0)
    found = sorted(
        (
            (score, hit)
            for image in images
            for score, hit, ignored in zip(
                image.scores, image.hits[0], image.ignored[0], strict=True
            )
            if not ignored
        ),
        reverse=True,
    )
    truths = sum(image.truths for image in images)
    points = []
    for k in range(1, len(found) + 1):
        true = sum(hit for _, hit in found[:k])
        points.append((true / truths, true / k))
    best = [max(p for _, p in points[k:]) for k in range(len(points))]
    np.testing.assert_allclose(recall, [r for r, _ in points])
    np.testing.assert_allclose(precision, best)


def test_the_area_under_the_curve_is_the_ap(rng: np.random.Generator) -> None:
    images = [matches_of(rng, 40) for _ in range(5)]
    recall, precision = precision_recall(images, 0)
    at = [precision[recall >= r - 1e-12].max(initial=0) for r in np.linspace(0, 1, 101)]
    assert np.mean(at) == pytest.approx(average_precision(images)[0])


@pytest.mark.parametrize("truths", [0, 3])
def test_nothing_found_is_no_curve(truths: int) -> None:
    nothing = ImageMatches(np.zeros(0), np.zeros((1, 0), bool), np.zeros((1, 0), bool), truths)
    recall, precision = precision_recall([nothing], 0)
    assert len(recall) == len(precision) == 0


def test_scores_are_compared_bin_by_bin() -> None:
    scores = np.array([0.05, 0.01, 0.55, 0.58, 0.52, 1.0])
    positive = np.array([False, False, True, False, True, True])
    means, shares, counts = reliability(scores, positive, bins=10)
    np.testing.assert_allclose(means, [0.03, 0.55, 1.0])
    np.testing.assert_allclose(shares, [0, 2 / 3, 1])
    assert counts.tolist() == [2, 3, 1]
    assert [len(part) for part in reliability(np.zeros(0), np.zeros(0, bool))] == [0, 0, 0]


def test_the_share_above_falls() -> None:
    values, shares = share_above(np.array([0.5, np.nan, 0.1, 0.9]))
    np.testing.assert_allclose(values, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(shares, [1, 2 / 3, 1 / 3])
    assert len(share_above(np.zeros(0))[0]) == 0


def test_stages_and_the_rest_are_bars() -> None:
    (panel,) = stage_panels(10.0, {"detect": 3.0, "pose": 5.0})
    assert panel.bars == {"detect": 3.0, "pose": 5.0, "rest": 2.0}
    assert stage_panels(7.0, {"detect": 8.0})[0].bars["rest"] == 0


def test_tracking_is_a_curve_and_its_mistakes() -> None:
    ids, alike = np.array([1, 2]), np.diag([0.9, 0.6])
    swapped = [MatchedFrame(ids, np.array([7, 8 if k < 3 else 9]), alike) for k in range(6)]
    counts = {"a": count(swapped)}
    curves, mistakes = tracking_panels(counts)
    for name, (x, y) in curves.lines.items():
        np.testing.assert_array_equal(x, ALPHAS)
        assert np.mean(y) == pytest.approx(measures(counts["a"])[name])
    assert mistakes.bars["switches"] == 1
    assert "12 boxes" in mistakes.title
    both = {**counts, "b": counts["a"], "all sequences": counts["a"] + counts["a"]}
    titles = [panel.title for panel in tracking_panels(both)]
    assert titles[1:3] == ["HOTA of each sequence", "IDF1 of each sequence"]
    assert titles[0].startswith("all sequences")
    assert list(tracking_panels(both)[1].bars) == ["a", "b"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("skeleton", "name"), [(FACE68, "face"), (HAND21, "hand")], ids=["face", "hand"]
)
@pytest.mark.parametrize(("label", "note"), [(2, ""), (1, ", pseudo labels")])
def test_a_face_or_a_hand_alone_is_judged_by_itself(
    skeleton: Skeleton, name: str, label: int, note: str, rng: np.random.Generator
) -> None:
    points = rng.uniform(0, 60, (3, len(skeleton), 2)).astype(np.float32)
    people = People(
        np.arange(3), np.arange(3), np.tile(np.array([[0, 0, 60, 60]]), (3, 1)),
        np.full(3, 1900.0), points, np.full(points.shape[:2], label, np.uint8),
        tuple(Path(f"{i}.jpg") for i in range(3)), skeleton,
    )  # fmt: skip
    found = Estimates(
        people, points, np.ones(points.shape[:2], np.float32), np.ones(3, np.float32)
    )
    precision, placed, parts, _ = pose_panels(found, measure_parts(found, repeats=2))
    assert precision.title == f"{name}, in annotated boxes{note}"
    for recall, share in precision.lines.values():
        np.testing.assert_allclose(recall, [1 / 3, 2 / 3, 1])
        np.testing.assert_allclose(share, 1)
    assert list(placed.lines) == [name]
    assert parts.bars == {f"{name}{note}": 1}


def panels() -> list[Panel]:
    line = np.linspace(0, 1, 5)
    return [
        Panel("lines", "x", "y", {"a": (line, line**2), "empty": (line[:0], line[:0])}),
        Panel("bars", "AP", bars={"body": 0.4, "face": 0.6}, intervals={"body": (0.3, 0.5)}),
        *stage_panels(0.0, {}),
    ]


def test_panels_become_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    draw(panels(), tmp_path / "out.png", "a title")
    image = cv2.imread(str(tmp_path / "out.png"))
    height, width = image.shape[:2]
    assert height > 400
    assert width > 800
    halves = image[: height // 2, : width // 2], image[: height // 2, width // 2 :]
    assert all(np.ptp(half) > 100 for half in halves)
    assert (image[height // 2 + 10 :, width // 2 + 10 :] == 255).all()  # three panels of four
    draw(panels(), tmp_path / "out.svg")
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def test_a_picture_that_cannot_be_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    with pytest.raises(InputError, match=r"expected a picture to write, .png, .svg, .pdf"):
        check_plot(tmp_path / "out.txt")
    with pytest.raises(InputError, match="cannot write the plot"):
        draw(panels(), tmp_path / "nowhere" / "out.png")


def test_without_matplotlib_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        check_plot(Path("out.png"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["eval", "jitter", "clip.mp4", "--plot", "a.png"], "--plot: expected eval pose or"),
        (["eval", "pose", "--plot", "a.txt"], "a.txt: expected a picture"),
        (["bench", "--plot", "a.txt"], "a.txt: expected a picture"),
        (["bench", "--plot", "nowhere/a.png"], "nowhere/a.png: the folder nowhere"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    assert message in fails(capsys, argv)
