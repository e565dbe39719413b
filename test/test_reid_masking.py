# SPDX-License-Identifier: Apache-2.0
"""Crops in which all but the person fades: what stays, what goes, and where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.reid import GUIDANCE
from alphapose_ros.registry.spec import IMAGENET_MEAN
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, ReidNetwork
from alphapose_ros.reid.masking import masked
from alphapose_ros.reid.render import GuidanceRenderer, with_others

pytestmark = pytest.mark.usefixtures("one_thread")

HW = (128, 64)
GREY = 255 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
WHITE = torch.full((1, 3, *HW), 255.0)
NAMES = COCO17.keypoint_names
TRUNK = [
    NAMES.index(f"{side}_{joint}") for joint in ("shoulder", "hip") for side in ("left", "right")
]


def standing(column: float, score: float = 1.0) -> tuple[Tensor, Tensor]:
    """A trunk about a column, from row 40 to row 80."""
    points, scores = torch.zeros(1, len(NAMES), 2), torch.zeros(1, len(NAMES))
    for index, (dx, y) in zip(TRUNK, ((3, 40), (-3, 40), (3, 80), (-3, 80)), strict=True):
        points[0, index] = torch.tensor([column + dx, y])
        scores[0, index] = score
    return points, scores


def guidance(own: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor] | None = None) -> Tensor:
    renderer = GuidanceRenderer(COCO17, HW)
    maps = renderer(*own)
    others = renderer.silhouette(*other) if other else torch.zeros_like(maps[:, 0])
    return with_others(maps, others)


def kept(given_guidance: Tensor) -> Tensor:
    """(H, W): the share of each pixel that is left."""
    return ((masked(WHITE, given_guidance) - GREY) / (255 - GREY))[0, 0]


def test_the_person_stays_and_the_corners_fade() -> None:
    share = kept(guidance(standing(32)))
    assert share[60, 32] > 0.99
    assert share[[0, 0, 127, 127], [0, 63, 0, 63]].max() < 0.3
    # Upright and in the middle: what is left is symmetric to a few pixels.
    columns = torch.arange(64.0) + 0.5
    seen = share[40:80].mean(0) - share[40:80].mean(0).min()
    assert float((seen * columns).sum() / seen.sum()) == pytest.approx(32, abs=1.5)
    rows = share[:, 32] - share[:, 32].min()
    middle = float((rows * (torch.arange(128.0) + 0.5)).sum() / rows.sum())
    assert middle == pytest.approx(60, abs=1.5)


def test_the_fading_is_smooth_and_shows_no_cells() -> None:
    share = kept(guidance(standing(32)))
    assert max(share.diff(dim=0).abs().max(), share.diff(dim=1).abs().max()) < 0.2


def test_somebody_else_goes_where_they_are_nearer() -> None:
    alone, beside = kept(guidance(standing(20))), kept(guidance(standing(20), standing(44)))
    assert beside[60, 50] < 0.02 < alone[60, 50]
    assert beside[60, 12] > 0.95
    behind = kept(guidance(standing(20), standing(20)))  # as near: nobody's, half of it stays
    assert 0.4 < behind[60, 20] < 0.6
    hidden = kept(guidance(standing(20, 0.4), standing(20)))  # they are seen better
    assert hidden[60, 20] < 0.02


def test_where_no_joint_is_known_only_others_fade() -> None:
    unknown = standing(20, score=0.1)
    torch.testing.assert_close(kept(guidance(unknown)), torch.ones(HW), atol=0.06, rtol=0)
    share = kept(guidance(unknown, standing(44)))
    assert share[60, 44] < 0.02
    assert share[60, 2] > 0.9


def test_faint_joints_mask_as_sure_ones_do() -> None:
    torch.testing.assert_close(
        kept(guidance(standing(32, 0.4))), kept(guidance(standing(32))), atol=0.02, rtol=0
    )


@given(
    st.integers(0, 3), st.integers(0, 2**16), st.tuples(st.integers(16, 80), st.integers(16, 80))
)
def test_every_pixel_lies_between_itself_and_grey(
    count: int, seed: int, size_hw: tuple[int, int]
) -> None:
    chance = torch.Generator().manual_seed(seed)
    crops = torch.rand((count, 3, *size_hw), generator=chance) * 255
    cells = size_hw[0] // 8, size_hw[1] // 8
    found = masked(crops, torch.rand((count, len(GUIDANCE), *cells), generator=chance))
    assert found.shape == crops.shape
    low, high = torch.minimum(crops, GREY), torch.maximum(crops, GREY)
    assert ((found >= low - 1e-3) & (found <= high + 1e-3)).all()


def test_the_network_of_an_embedder_sees_it() -> None:
    seen: list[Tensor] = []

    def run(crops: Tensor) -> tuple[Tensor]:
        seen.append(crops)
        return (torch.nn.functional.normalize(crops.mean((2, 3)), dim=1),)

    points, scores = standing(32)
    place = points[0].numpy() + np.array([40, 10])
    box = np.array([[40, 10, 104, 138]], np.float32)
    poses = Poses(place[None], scores.numpy(), box, np.ones(1), np.arange(1), COCO17)
    white = ImageBatch.upload([np.full((160, 160, 3), 255, np.uint8)])
    for guide in (masked, None):
        Embedder(ReidNetwork(run, HW, 3, guide), ReidConfig(padding=1.0))(white, [poses])
    assert (seen[0][0, :, 60, 32] > 254).all()
    assert (seen[0][0, :, 2, 2] < 170).all()
    assert (seen[1] > 254).all()
