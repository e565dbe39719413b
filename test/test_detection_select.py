# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / total


def slow_select(boxes, scores, size_hw, config):
    height, width = size_hw
    people = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        x1, x2 = (min(max(v, 0), width) for v in boxes[i][::2])
        y1, y2 = (min(max(v, 0), height) for v in boxes[i][1::2])
        side = min(x2 - x1, y2 - y1)
        if scores[i] < config.score_threshold or side <= 0 or side < config.min_box_px:
            continue
        if all(slow_iou((x1, y1, x2, y2), p[0]) <= config.nms_iou for p in people):
            people.append(((x1, y1, x2, y2), scores[i]))
    return people[: config.max_people]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_selection_equals_the_slow_one(count, seed, most):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-30, 90, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, 60, (count, 2))], 1)
    boxes, scores = boxes.astype(np.float32), rng.random(count).astype(np.float32)
    config = DetectorConfig(score_threshold=0.3, nms_iou=0.4, max_people=most, min_box_px=5)
    found = select_people(boxes, scores, (80, 100), config)
    expected = slow_select(boxes.tolist(), scores.tolist(), (80, 100), config)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes.ravel(), [v for b, _ in expected for v in b])
    np.testing.assert_allclose(found.scores, [s for _, s in expected])


def test_candidates_come_best_first_and_above_the_threshold():
    boxes = torch.arange(20.0).reshape(5, 4)
    scores = torch.tensor([0.1, 0.9, 0.5, 0.05, 0.5])
    chosen, values = best_candidates(boxes, scores, 0.1)
    np.testing.assert_allclose(values, [0.9, 0.5, 0.5, 0.1])
    np.testing.assert_allclose(chosen[:, 0], [4, 8, 16, 0])  # ties keep their order


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "yolo"),
        ("input_width", 400),
        ("input_height", 0),
        ("score_threshold", 1.5),
        ("nms_iou", -0.1),
        ("nms_iou", float("nan")),
        ("max_people", 0),
        ("min_box_px", -1.0),
    ],
)
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        DetectorConfig(**{field: value})
