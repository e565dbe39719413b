# SPDX-License-Identifier: Apache-2.0
"""Slow, obvious twins of vectorised code, written from the formulas and used by tests only."""

from __future__ import annotations

import math

BODY = {
    "delta1": 1.0, "mu": 1.7, "delta2": 2.65, "gamma": 22.48, "score": 0.3, "match": 5,
    "alpha": 0.1,
}  # fmt: skip
REGRESSION = {
    "delta1": 1.0, "mu": 1.65, "delta2": 8.0, "gamma": 3.6, "score": 0.01, "match": 3,
    "alpha": 0.15,
}  # fmt: skip


def _distance(a, b):
    return math.hypot(a[0] - b[0], a[1] - b[1])


def _reach(box, constants):
    return constants["alpha"] * max(box[2] - box[0], box[3] - box[1])


def body_similarity(keypoints, scores, boxes, p, others, constants=BODY):
    """AlphaPose's body form: (similarity, number of coinciding joints) of p with each other."""
    sims, pcks = [], []
    for q in others:
        soft = spatial = count = 0.0
        for k in range(len(keypoints[p])):
            d = _distance(keypoints[p][k], keypoints[q][k])
            if d <= 1:
                soft += math.tanh(scores[p][k] / constants["delta1"]) * math.tanh(
                    scores[q][k] / constants["delta1"]
                )
            spatial += math.exp(-d / constants["delta2"])
            if d / min(_reach(boxes[p], constants), 7) <= 1:
                count += 1
        sims.append(soft + constants["mu"] * spatial)
        pcks.append(count)
    return sims, pcks


def wholebody_similarity(keypoints, scores, boxes, p, others, constants=BODY):
    """AlphaPose's whole-body form for 133 or 136 joints, its 1/N included."""
    joints = len(keypoints[p])
    parts = [(range(joints - 110), 1.0), (range(joints - 110, joints - 42), 1.9),
             (range(joints - 42, joints), 0.55)]  # fmt: skip
    soft_weight, spatial_weight = (1.0, 1.0, 0.1), (1.0, 1.0, 1.5)
    valid = sum(s > constants["score"] / 2 for s in scores[p])
    sims, pcks = [], []
    for q in others:
        d = [_distance(a, b) for a, b in zip(keypoints[p], keypoints[q], strict=True)]
        sim = 0.0
        for (part, factor), a, b in zip(parts, soft_weight, spatial_weight, strict=True):
            soft = spatial = 0.0
            for k in part:
                low = scores[q][k] < constants["score"]
                if low and d[k] <= 1:
                    soft += math.tanh(scores[p][k] / constants["delta1"]) * math.tanh(
                        scores[q][k] / constants["delta1"]
                    )
                if not low:
                    spatial += math.exp(-d[k] / (factor * constants["delta2"]))
            sim += (a * soft + constants["mu"] * b * spatial) / len(part)
        reach = min(_reach(boxes[p], constants), 7)
        count = 0
        for k in range(joints):
            limit = 1.0 if k < 26 else 1.9 if k < 94 else 0.55
            count += d[k] / reach <= limit
        people = len(others)
        pcks.append(count * joints / (4 * people * valid) if valid * people >= 1 else 0.0)
        sims.append(sim)
    return sims, pcks


def pose_nms(keypoints, scores, boxes, similarity=body_similarity, constants=BODY):
    """AlphaPose's greedy loop with merging: (merged keypoints, merged scores, picked rows)."""
    scores = [[s if s != 0 else 1e-5 for s in row] for row in scores]
    remaining = list(range(len(boxes)))
    out_keypoints, out_scores, picks = [], [], []
    while remaining:
        p = max(remaining, key=lambda n: (sum(scores[n]) / len(scores[n]), -n))
        sims, pcks = similarity(keypoints, scores, boxes, p, remaining, constants)
        cluster = [
            q
            for q, sim, pck in zip(remaining, sims, pcks, strict=True)
            if sim > constants["gamma"] or pck >= constants["match"]
        ] or [p]
        remaining = [q for q in remaining if q not in cluster]
        if max(scores[p]) < constants["score"]:
            continue
        merged, merged_scores = [], []
        for k in range(len(keypoints[p])):
            radius = min(_reach(boxes[p], constants), 15)
            near = [q for q in cluster if _distance(keypoints[q][k], keypoints[p][k]) <= radius]
            total = sum(scores[q][k] for q in near)
            weights = [scores[q][k] / total for q in near]
            merged.append([
                sum(w * keypoints[q][k][i] for w, q in zip(weights, near, strict=True))
                for i in range(2)
            ])  # fmt: skip
            merged_scores.append(sum(w * scores[q][k] for w, q in zip(weights, near, strict=True)))
        if max(merged_scores) >= constants["score"]:
            out_keypoints.append(merged)
            out_scores.append(merged_scores)
            picks.append(p)
    return out_keypoints, out_scores, picks
