# SPDX-License-Identifier: Apache-2.0
"""SimOTA: which anchor cells answer for which person, and the loss that follows.

YOLOX (arXiv 2107.08430), section 2.1 "SimOTA", a one-pass form of OTA (arXiv 2103.14259): every
person takes its k cheapest cells, k being the sum of its ten best IoUs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alphapose_ros.models.yolox import decode_boxes

CENTER_RADIUS = 2.5  # strides around a person's centre in which a cell is a good candidate
IOU_COST = 3.0
OUTSIDE_COST = 1e5  # for cells that are only inside the box or only near the centre
CANDIDATES = 10
BOX_WEIGHT = 5.0


@dataclass(frozen=True)
class Assignment:
    """The P positive cells of one image.

    Attributes:
        cells: (P,) indices into the A cells, ascending.
        people: (P,) row of the person each answers for.
        ious: (P,) overlap of its predicted box with that person.
    """

    cells: Tensor
    people: Tensor
    ious: Tensor


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, 4) and (M, 4) xyxy -> (N, M), 0 where both are empty."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    return _iou((high - low).clamp_min(0).prod(-1), _area(first)[:, None], _area(second)[None])


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, 4) and (N, 4) xyxy, row by row -> (N,)."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    return _iou((high - low).clamp_min(0).prod(-1), _area(first), _area(second))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(-1)


def _iou(shared: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return shared / (first + second - shared).clamp_min(1e-9)


def cells_inside(centers: Tensor, boxes: Tensor) -> Tensor:
    """(A, 2) px in (N, 4) xyxy -> (N, A) bool."""
    after = centers[None] > boxes[:, None, :2]
    before = centers[None] < boxes[:, None, 2:]
    return (after & before).all(-1)


@torch.no_grad()
def assign(
    boxes: Tensor, scores: Tensor, people: Tensor, points: Tensor, strides: Tensor
) -> Assignment:
    """Choose the positive cells of one image.

    Args:
        boxes: (A, 4) predicted, xyxy px.
        scores: (A,) objectness times class probability.
        people: (N, 4) true boxes.
        points, strides: (A, 2) and (A, 1) of :func:`models.yolox.anchor_grid`.
    """
    centers = points + strides / 2
    middle, reach = (people[:, :2] + people[:, 2:]) / 2, CENTER_RADIUS * strides[:, 0]
    near = (centers[None] - middle[:, None]).abs().amax(-1) < reach[None]
    inside = cells_inside(centers, people)
    candidates = (near | inside).any(0).nonzero()[:, 0]
    if len(people) == 0 or len(candidates) == 0:
        none = torch.zeros(0, dtype=torch.long, device=boxes.device)
        return Assignment(none, none, boxes.new_zeros(0))
    ious = box_iou(people, boxes[candidates])
    # The class term: how far the cell is from "person", binary cross-entropy of the root (3.3).
    doubt = -scores[candidates].clamp_min(1e-12).sqrt().log().clamp_min(-100)
    cost = doubt[None] - IOU_COST * (ious + 1e-8).log()
    cost = cost + OUTSIDE_COST * ~(near & inside)[:, candidates]
    return _cheapest(candidates, ious, cost)


def _cheapest(candidates: Tensor, ious: Tensor, cost: Tensor) -> Assignment:
    """Each person's k cheapest candidates; one that several people want goes to the cheapest."""
    best = ious.topk(min(CANDIDATES, ious.shape[1]), dim=1).values
    counts = best.sum(1).int().clamp_min(1)
    rank = cost.argsort(dim=1, stable=True).argsort(dim=1)
    wanted = rank < counts[:, None]
    taken = wanted.any(0).nonzero()[:, 0]
    owner = cost[:, taken].masked_fill(~wanted[:, taken], torch.inf).argmin(0)
    contested = wanted[:, taken].sum(0) > 1
    owner = torch.where(contested, cost[:, taken].argmin(0), owner)
    return Assignment(candidates[taken], owner, ious[owner, taken])


def detection_loss(
    raw: Tensor, people: list[Tensor], ignore: list[Tensor], points: Tensor, strides: Tensor
) -> dict[str, Tensor]:
    """Loss terms of a batch, each divided by the number of positive cells.

    Args:
        raw: (B, A, 6) of ``YOLOX.raw`` with one class.
        people: per image (N, 4) xyxy px.
        ignore: per image (M, 4); cells inside get no objectness loss unless they are positive.
        points, strides: of :func:`models.yolox.anchor_grid`.

    Returns:
        "box" (1 - IoU², weighted), "objectness", "class" (target: the IoU), their sum "total",
        and "positives" per image without gradient.
    """
    raw = raw.float()
    boxes = decode_boxes(raw[..., :4], points, strides)
    centers = points + strides / 2
    target = torch.zeros_like(raw[..., 4])
    weight = torch.ones_like(target)
    box_loss, class_loss, positives = raw.new_zeros(()), raw.new_zeros(()), 0
    for row, (true, unsure) in enumerate(zip(people, ignore, strict=True)):
        scores = (raw[row, :, 4].sigmoid() * raw[row, :, 5].sigmoid()).detach()
        found = assign(boxes[row].detach(), scores, true, points, strides)
        weight[row] = (~cells_inside(centers, unsure).any(0)).float()
        target[row, found.cells] = weight[row, found.cells] = 1
        iou = paired_iou(boxes[row, found.cells], true[found.people])
        box_loss = box_loss + (1 - iou.square()).sum()
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(
            raw[row, found.cells, 5], found.ious.clamp(0, 1), reduction="sum"
        )
        positives += len(found.cells)
    objectness = functional.binary_cross_entropy_with_logits(
        raw[..., 4], target, weight, reduction="sum"
    )
    terms = {"box": BOX_WEIGHT * box_loss, "objectness": objectness, "class": class_loss}
    losses = {name: value / max(positives, 1) for name, value in terms.items()}
    losses["total"] = losses["box"] + losses["objectness"] + losses["class"]
    losses["positives"] = raw.new_tensor(positives / len(raw))
    return losses
