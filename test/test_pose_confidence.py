# SPDX-License-Identifier: Apache-2.0
"""Calibration: fitted curves rise, find a known truth, and survive being stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.eval.metrics import area_under_roc, calibration_error
from alphapose_ros.pose.confidence import (
    METHODS,
    CalibratedDecoder,
    Calibration,
    Isotonic,
    Logistic,
    fit_calibration,
    fit_isotonic,
    fit_logistic,
)
from alphapose_ros.pose.sikr import SikrDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

TRUTH = Logistic(0.6, 1.2)
BODY, FACE = HALPE136.parts["body"], HALPE136.parts["face"]
samples = st.lists(
    st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=40
)


def drawn(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and whether the joint is right, by the chance that TRUTH gives it."""
    scores = rng.uniform(0.02, 0.98, shape).astype(np.float32)
    return scores, rng.uniform(size=shape) < TRUTH(scores)


def test_the_true_curve_is_found(rng: np.random.Generator) -> None:
    found = fit_logistic(*drawn(rng, 20000))
    assert found.slope == pytest.approx(TRUTH.slope, abs=0.05)
    assert found.bias == pytest.approx(TRUTH.bias, abs=0.05)


def test_the_fit_is_the_minimum_of_the_likelihood(rng: np.random.Generator) -> None:
    scores, right = drawn(rng, 300)
    best = fit_logistic(scores, right)

    def loss(slope: float, bias: float) -> float:
        p, hits = Logistic(slope, bias)(scores.astype(np.float64)), right.sum()
        target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).mean())

    least = loss(best.slope, best.bias)
    for slope in (-0.05, 0, 0.05):
        for bias in (-0.05, 0, 0.05):
            assert loss(best.slope + slope, best.bias + bias) >= least - 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_calibration_lowers_the_error_on_people_it_never_saw(
    rng: np.random.Generator, method: str
) -> None:
    scores, right = drawn(rng, 300, 136)
    calibration = fit_calibration(scores, right, np.ones_like(right), HALPE136, method)
    fresh, truth = drawn(rng, 300, 136)
    told = calibration(fresh, HALPE136)
    before = calibration_error(fresh.ravel(), truth.ravel())
    after = calibration_error(told.ravel(), truth.ravel())
    assert before > 0.15
    assert after < 0.03
    for joints in HALPE136.parts.values():  # a rising curve keeps the order
        first = area_under_roc(fresh[:, joints].ravel(), truth[:, joints].ravel())
        second = area_under_roc(told[:, joints].ravel(), truth[:, joints].ravel())
        assert second == pytest.approx(first, abs=0.01)


def test_every_part_has_its_own_curve(rng: np.random.Generator) -> None:
    scores, right = drawn(rng, 400, 136)
    right[:, FACE] = rng.uniform(size=right[:, FACE].shape) < scores[:, FACE] ** 2
    calibration = fit_calibration(scores, right, np.ones_like(right), HALPE136)
    half = calibration(np.full((1, 136), 0.5, np.float32), HALPE136)
    assert half[0, BODY] == pytest.approx(TRUTH(np.array([0.5]))[0], abs=0.03)
    assert half[0, FACE] == pytest.approx(0.25, abs=0.06)


@given(samples)
def test_isotonic_is_its_slow_twin(sample: list[tuple[float, bool]]) -> None:
    scores, right = np.array([s for s, _ in sample]), np.array([r for _, r in sample])
    curve = fit_isotonic(scores, right)
    levels = np.unique(scores)
    means = [right[scores == level].mean() for level in levels]
    counts = [int((scores == level).sum()) for level in levels]
    # The rising curve of least squares: max over starts, min over stops, of the mean between.
    slow = [
        max(
            min(
                np.average(means[a : b + 1], weights=counts[a : b + 1])
                for b in range(i, len(levels))
            )
            for a in range(i + 1)
        )
        for i in range(len(levels))
    ]
    np.testing.assert_allclose(curve.probabilities, np.unique(np.round(slow, 12)), atol=1e-9)
    for knot, probability in zip(curve.scores, curve.probabilities, strict=True):
        pool = levels[np.isclose(slow, probability, atol=1e-9)]
        assert pool.min() - 1e-9 <= knot <= pool.max() + 1e-9


@given(samples)
def test_curves_rise_and_stay_probabilities(sample: list[tuple[float, bool]]) -> None:
    scores, right = np.array([s for s, _ in sample]), np.array([r for _, r in sample])
    grid = np.linspace(0, 1, 101)
    for curve in (fit_logistic(scores, right), fit_isotonic(scores, right)):
        values = curve(grid)
        assert (np.diff(values) >= 0).all()
        assert (values >= 0).all()
        assert (values <= 1).all()
        assert values[0] == 0


def test_scores_that_rank_the_wrong_way_round_become_level(rng: np.random.Generator) -> None:
    scores = rng.uniform(0.1, 0.9, 500)
    wrong = fit_logistic(scores, scores < 0.5)
    assert wrong.slope == 0
    level = fit_isotonic(scores, scores < 0.5)
    assert len(level.scores) == 1
    assert level(np.array([0.01, 0.99])) == pytest.approx((scores < 0.5).mean())


def test_separable_scores_have_a_finite_curve() -> None:
    scores = np.linspace(0.01, 0.99, 200)
    curve = fit_logistic(scores, scores > 0.5)
    assert np.isfinite([curve.slope, curve.bias]).all()
    assert curve(np.array([0.99]))[0] < 1


def test_parts_with_too_little_to_learn_from_keep_their_scores(rng: np.random.Generator) -> None:
    scores, right = drawn(rng, 300, 136)
    known = np.ones_like(right)
    known[:, HALPE136.parts["feet"]] = False
    known[5:, HALPE136.parts["left_hand"]][:, 1:] = False
    known[:, HALPE136.parts["right_hand"]] = False
    known[:29, HALPE136.parts["right_hand"]] = True  # too few people
    right[:, FACE] = True
    calibration = fit_calibration(scores, right, known, HALPE136)
    assert set(calibration.curves) == {"body", "left_hand"}
    told = calibration(scores, HALPE136)
    assert np.array_equal(told[:, FACE], scores[:, FACE])
    assert not np.array_equal(told[:, BODY], scores[:, BODY])


def test_unknown_joints_and_untaught_ones_do_not_count(rng: np.random.Generator) -> None:
    scores, right = drawn(rng, 300, 17)
    known = rng.uniform(size=right.shape) < 0.5
    first = fit_calibration(scores, right, known, COCO17)
    second = fit_calibration(
        np.where(known, scores, 0.9), np.where(known, right, False), known, COCO17
    )
    third = fit_calibration(np.where(known, scores, 0), right, np.ones_like(known), COCO17)
    assert first == second == third


@pytest.mark.parametrize("method", METHODS)
def test_nobody(method: str) -> None:
    nobody = np.zeros((0, 17), np.float32)
    calibration = fit_calibration(nobody, nobody > 0, nobody > 0, COCO17, method)
    assert calibration.curves == {}
    assert calibration(nobody, COCO17).shape == (0, 17)
    none = np.zeros(0), np.zeros(0, bool)
    np.testing.assert_allclose(fit_logistic(*none)(np.array([0.3])), 0.3)
    np.testing.assert_allclose(fit_isotonic(*none)(np.array([0.3])), 0.3)


@pytest.mark.parametrize("curve", [Logistic(0.5, 1), Isotonic((0.2, 0.6), (0.3, 0.9))])
def test_a_score_of_zero_stays_zero_and_arguments_stay_whole(curve) -> None:
    scores = np.array([[0.0, 0.4] + [0.5] * 15], np.float32)
    before = scores.copy()
    told = Calibration("coco17", {"body": curve})(scores, COCO17)
    assert told.dtype == np.float32
    assert told[0, 0] == 0
    assert told[0, 1] > 0.5
    assert np.array_equal(scores, before)


@pytest.mark.parametrize("method", METHODS)
def test_files_come_back_as_they_were(
    tmp_path: Path, rng: np.random.Generator, method: str
) -> None:
    scores, right = drawn(rng, 100, 136)
    saved = fit_calibration(scores, right, np.ones_like(right), HALPE136, method)
    saved.save(tmp_path / "a.json")
    loaded = Calibration.load(tmp_path / "a.json")
    assert loaded == saved
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert set(json.loads((tmp_path / "a.json").read_text())) == {"skeleton", "curves"}


def stored(**curve: object) -> str:
    return json.dumps({"skeleton": "coco17", "curves": {"body": curve}})


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{}",
        '{"skeleton": "coco17", "curves": []}',
        stored(method="spline"),
        stored(method="logistic", slope=1),
        stored(method="logistic", slope="x", bias=0),
        stored(method="isotonic", scores=[1, 0], probabilities=[0, 1]),
        stored(method="isotonic", scores=[0, 1], probabilities=[1, 0]),
        stored(method="isotonic", scores=[], probabilities=[]),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"scores\.json: expected a calibration"):
        Calibration.load(path)


def test_wrong_input_is_refused(rng: np.random.Generator) -> None:
    scores, right = drawn(rng, 60, 17)
    with pytest.raises(ConfigError, match=r"expected one of logistic, isotonic, got 'platt'"):
        fit_calibration(scores, right, right, COCO17, "platt")
    with pytest.raises(InputError, match=r"\(N, 136\), got \(60, 17\), \(60, 17\)"):
        fit_calibration(scores, right, right, HALPE136)
    calibration = fit_calibration(scores, right, np.ones_like(right), COCO17)
    with pytest.raises(InputError, match=r"expected scores of coco17, got those of halpe136"):
        calibration(np.zeros((1, 136), np.float32), HALPE136)
    with pytest.raises(InputError, match=r"expected scores \(..., 17\), got \(2, 16\)"):
        calibration(scores[:2, 1:], COCO17)
    with pytest.raises(InputError, match=r"as many probabilities as scores.*got 1 and 2"):
        Isotonic((0.1, 0.2), (0.5,))


def test_the_decoder_tells_what_the_calibration_tells() -> None:
    curves = {"body": Logistic(0.7, 1.5), "face": Logistic(1.4, -0.3)}
    calibration = Calibration("halpe136", curves)
    taught = torch.arange(136) != 3
    plain = SikrDecoder(supervised=taught)
    logits = torch.randn((2, 136, 8, 6), generator=torch.Generator().manual_seed(0)) * 3
    points, scores = plain(logits)
    same, told = CalibratedDecoder(plain, calibration, HALPE136)(logits)
    assert torch.equal(same, points)
    np.testing.assert_allclose(
        told.numpy(), calibration(scores.numpy(), HALPE136), rtol=2e-5, atol=1e-6
    )
    assert (told[:, 3] == 0).all()
    nobody, none = CalibratedDecoder(plain, calibration, HALPE136)(logits[:0])
    assert nobody.shape == (0, 136, 2)
    assert none.shape == (0, 136)


def test_a_decoder_refuses_what_it_cannot_hold() -> None:
    curve = {"body": Isotonic((0.1, 0.9), (0.0, 1.0))}
    with pytest.raises(ConfigError, match=r"expected a logistic curve for body"):
        CalibratedDecoder(SikrDecoder(), Calibration("coco17", curve), COCO17)
    with pytest.raises(InputError, match=r"expected scores of coco17"):
        CalibratedDecoder(SikrDecoder(), Calibration("coco17", {}), HALPE136)
