# SPDX-License-Identifier: Apache-2.0
"""Whose crop gives whose embedding, what guides it, and what its quality is."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from alphapose_ros.base.affine import crop_boxes
from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.osnet import OSNet
from alphapose_ros.models.reid import GUIDANCE, ReidNet, packed, unpacked_guidance
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, Guide, ReidNetwork, points_in_crops
from alphapose_ros.reid.factory import Normalised, create_embedder, load_reid
from alphapose_ros.reid.masking import masked, masked_again, masked_and_packed
from alphapose_ros.reid.render import GuidanceRenderer
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

HW = (32, 16)
GUIDES = [packed, masked, None]


class Colour:
    """A stand-in: the embedding is the direction of the crop's mean colour; keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, crops: Tensor) -> tuple[Tensor]:
        self.seen.append(crops)
        middle = crops[:, :3, 12:20, 6:10].mean((2, 3)) + 1
        return (torch.nn.functional.normalize(middle, dim=1),)


def people(boxes: list[tuple[float, float, float, float]], score: float = 0.9) -> Poses:
    """Upright stick figures that fill their boxes."""
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    rng = np.random.default_rng(5)
    unit = rng.uniform(0.2, 0.8, (len(COCO17), 2)).astype(np.float32)
    points = corners[:, None, :2] + unit * (corners[:, 2:] - corners[:, :2])[:, None]
    count = len(corners)
    return Poses(
        points,
        np.full((count, len(COCO17)), score, np.float32),
        corners,
        np.ones(count, np.float32),
        np.arange(count),
        COCO17,
    )


def embedder(run: object, *, guide: Guide | None = packed, **options: object) -> Embedder:
    config = ReidConfig(**options)  # type: ignore[arg-type]
    return Embedder(ReidNetwork(run, HW, 3, guide), config)  # type: ignore[arg-type]


def painted(patches: dict[tuple[int, int, int, int], tuple[int, int, int]]) -> np.ndarray:
    image = np.zeros((120, 160, 3), np.uint8)
    for (x1, y1, x2, y2), colour in patches.items():
        image[y1:y2, x1:x2] = colour
    return image


def test_rows_stay_with_their_images() -> None:
    red, green, blue = (10, 10, 40, 70), (60, 10, 90, 70), (20, 20, 50, 80)
    batch = ImageBatch.upload([
        painted({red: (255, 0, 0), green: (0, 255, 0)}),
        painted({}),
        painted({blue: (0, 0, 255)}),
    ])  # fmt: skip
    network = Colour()
    found = embedder(network, max_batch=2)(
        batch, [people([red, green]), people([]), people([blue])]
    )
    assert [len(each) for each in found] == [2, 0, 1]
    assert [len(crops) for crops in network.seen] == [2, 1]
    assert [int(row.argmax()) for each in found for row in each.embeddings] == [0, 1, 2]
    assert found[1].embeddings.shape == (0, 3)


@pytest.mark.parametrize("guide", GUIDES)
def test_only_those_asked_for_are_embedded(guide: Guide | None) -> None:
    red, green, blue = (10, 10, 40, 70), (30, 10, 60, 70), (20, 20, 50, 80)
    batch = ImageBatch.upload([painted({red: (255, 0, 0)}), painted({blue: (0, 0, 255)})])
    poses = [people([red, green]), people([blue])]
    all_seen, network = Colour(), Colour()
    everybody = embedder(all_seen, guide=guide)(batch, poses)
    wanted = [np.array([False, True]), np.array([True])]
    found = embedder(network, guide=guide)(batch, poses, wanted)
    torch.testing.assert_close(network.seen[0], all_seen.seen[0][1:])  # neighbours are drawn too
    assert [each.quality.tolist() for each in found] == [
        [0, everybody[0].quality[1]], [everybody[1].quality[0]]
    ]  # fmt: skip
    np.testing.assert_array_equal(found[0].embeddings[1], everybody[0].embeddings[1])
    assert not found[0].embeddings[0].any()
    nobody = [np.zeros(2, bool), np.zeros(1, bool)]
    unseen = Colour()
    found = embedder(unseen, guide=guide)(batch, poses, nobody)
    assert unseen.seen == []
    assert [len(each) for each in found] == [2, 1]


def test_nobody_costs_no_call() -> None:
    network = Colour()
    batch = ImageBatch.upload([painted({})])
    (found,) = embedder(network)(batch, [people([])])
    assert len(found) == 0
    assert found.embeddings.shape == (0, 3)
    assert network.seen == []
    assert embedder(network)(ImageBatch.upload([]), []) == []


@pytest.mark.parametrize("guide", GUIDES)
def test_out_of_memory_halves_the_batch_and_mixes_up_nobody(guide: Guide | None) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (0, 255, 0)]
    places = [(10 + 30 * k, 10, 35 + 30 * k, 70) for k in range(5)]
    batch = ImageBatch.upload([painted(dict(zip(places, colours, strict=True)))])

    class Small(Colour):
        def __call__(self, crops: Tensor) -> tuple[Tensor]:
            calls.append(len(crops))
            if len(crops) > 2:
                raise torch.cuda.OutOfMemoryError("full")
            return super().__call__(crops)

    calls: list[int] = []
    embed = embedder(Small(), guide=guide, max_batch=8)
    (expected,) = embedder(Colour(), guide=guide)(batch, [people(places)])
    for turn in ([5, 2, 2, 1], [2, 2, 1]):  # the second image pays nothing any more
        calls.clear()
        (found,) = embed(batch, [people(places)])
        assert calls == turn
        np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-6)
        assert found.embeddings.argmax(1).tolist() == [0, 1, 2, 0, 1]


def test_guidance_is_drawn_in_the_crop_and_shows_the_others() -> None:
    near = [(10.0, 10.0, 40.0, 70.0), (30.0, 10.0, 60.0, 70.0), (120.0, 10.0, 150.0, 70.0)]
    poses, network = people(near), Colour()
    embedder(network)(ImageBatch.upload([painted({})]), [poses])
    maps = unpacked_guidance(network.seen[0])
    crops = crop_boxes(poses.boxes, HW, 1.1)
    renderer = GuidanceRenderer(COCO17, HW)
    for row in range(3):

        def drawn(who: int, row: int = row) -> tuple[Tensor, Tensor]:
            points = points_in_crops(poses.keypoints[[who]], crops[[row]], HW)
            return torch.from_numpy(points), torch.from_numpy(poses.scores[[who]])

        torch.testing.assert_close(maps[row, :-1], renderer(*drawn(row))[0])
        beside = {0: 1, 1: 0}.get(row)
        if beside is None:
            assert maps[row, -1].max() == 0
        else:
            torch.testing.assert_close(maps[row, -1], renderer.silhouette(*drawn(beside))[0])
    assert maps.shape[1] == len(GUIDANCE)


def test_points_lie_where_the_crops_pixels_do() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[40, 30] = 255
    boxes = np.array([[10, 20, 42, 84]], np.float32)
    crop = ImageBatch.upload([image]).crops(boxes, np.array([0]), (64, 32))[0, 0]
    points = np.array([[[30, 40]]], np.float32)
    x, y = points_in_crops(points, boxes, (64, 32))[0, 0]
    assert divmod(int(crop.argmax()), 32) == (round(float(y)), round(float(x)))


def test_quality_falls_with_hidden_joints_and_small_people() -> None:
    whole = embedder(Colour(), full_height=60.0)
    tall, small = (0.0, 0.0, 30.0, 60.0), (0.0, 0.0, 15.0, 30.0)
    np.testing.assert_allclose(whole.quality(people([tall, small])), [1.0, 0.5])
    assert 0 < whole.quality(people([tall], score=0.05))[0] < 0.1
    half = people([tall])
    scores = half.scores.copy()
    scores[0, :9] = 0
    np.testing.assert_allclose(whole.quality(replace(half, scores=scores)), [8 / 17])
    assert whole.quality(people([])).shape == (0,)
    whole.reconfigure(ReidConfig(full_height=120.0))
    np.testing.assert_allclose(whole.quality(people([tall])), [0.5])


@pytest.mark.parametrize("guide", GUIDES)
def test_crops_that_exist_already(guide: Guide | None) -> None:
    network = Colour()
    pixels = np.zeros((2, 3, 64, 32), np.uint8)
    pixels[0, 0], pixels[1, 2] = 200, 200
    points = np.full((2, len(COCO17), 2), 16, np.float32)
    scores = np.ones((2, len(COCO17)), np.float32)
    found = embedder(network, guide=guide)
    embeddings = found.embed_crops(pixels, points, scores, COCO17)
    assert embeddings.argmax(1).tolist() == [0, 2]
    assert network.seen[0].shape == (2, 4 if guide is packed else 3, *HW)
    if guide is packed:
        expected = GuidanceRenderer(COCO17, HW)(torch.full((2, 17, 2), 8.0), torch.ones(2, 17))
        torch.testing.assert_close(unpacked_guidance(network.seen[0])[:, :-1], expected)
    assert found.embed_crops(pixels[:0], points[:0], scores[:0], COCO17).shape == (0, 3)


def test_every_kind_of_file_is_told_by_its_keys(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own, other = tmp_path / "own.safetensors", tmp_path / "osnet.pth"
    save_tensors(ReidNet(width=16, dim=8).state_dict(), own)
    small = OSNet((16, 64, 96, 128), dim=24)
    torch.save({"state_dict": {f"module.{k}": v for k, v in small.state_dict().items()}}, other)
    image = np.full((200, 100, 3), 90, np.uint8)
    batch, poses = ImageBatch.upload([image]), [people([(20, 20, 70, 180)])]
    for path, dim, hw in ((own, 8, (128, 64)), (other, 24, (256, 128))):
        made = create_embedder(ReidConfig(weights=str(path)))
        assert made is not None
        assert made.network.input_hw == hw
        (found,) = made(batch, poses)
        assert found.embeddings.shape == (1, dim)
        assert np.linalg.norm(found.embeddings) == pytest.approx(1, abs=1e-5)
        plain = create_embedder(ReidConfig(weights=str(path), attention=False))
        assert plain is not None
        assert not np.allclose(plain(batch, poses)[0].embeddings, found.embeddings)
    sized = create_embedder(ReidConfig(weights=str(other), input_height=64, input_width=32))
    assert sized is not None
    assert sized.network.input_hw == (64, 32)


def test_a_network_that_wants_masked_crops_gets_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, network = tmp_path / "own.safetensors", ReidNet(width=16, dim=8, masks=True)
    save_tensors(network.state_dict(), path)
    for attention, expected in ((True, masked_and_packed), (False, packed)):
        made = create_embedder(ReidConfig(weights=str(path), attention=attention))
        assert made is not None
        assert made.network.guide is expected
    crops, guidance = torch.rand(3, 3, 128, 64) * 255, torch.rand(3, len(GUIDANCE), 16, 8)
    seen = masked_and_packed(crops, guidance)
    torch.testing.assert_close(seen[:, :3], masked(crops, guidance) / 127.5 - 1)
    torch.testing.assert_close(unpacked_guidance(seen), guidance)
    torch.testing.assert_close(masked_again(packed(crops, guidance)), seen)
    assert masked_again(packed(crops, guidance)[:0]).shape == (0, 4, 128, 64)


def test_off_and_refused(tmp_path: Path) -> None:
    assert create_embedder(ReidConfig(enabled=False, weights="nowhere.pth")) is None
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        create_embedder(ReidConfig(weights="nowhere.pth"))
    path = tmp_path / "other.safetensors"
    save_tensors({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(WeightsError, match="ReidNet, of OSNet"):
        load_reid(path)
    with pytest.raises(ConfigError, match="multiple of 16"):
        ReidConfig(input_height=100, input_width=64)
    with pytest.raises(ConfigError, match="both"):
        ReidConfig(input_height=128)


def test_the_pipeline_gives_what_people_look_like_to_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from alphapose_ros.base.records import Appearance, Frame
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.pipeline import PosePipeline
    from alphapose_ros.tracking.tracker import Tracker

    path = tmp_path / "own.safetensors"
    torch.manual_seed(0)
    save_tensors(ReidNet(width=16, dim=8).state_dict(), path)
    given: list[Appearance | None] = []
    update = Tracker.update

    def noted(
        self: Tracker, poses: Poses, stamp_ns: int, appearance: Appearance | None, *rest: object
    ) -> object:
        given.append(appearance)
        return update(self, poses, stamp_ns, appearance, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Tracker, "update", noted)
    frame = Frame(np.zeros((96, 128, 3), np.uint8), 0)
    with caplog.at_level(logging.ERROR):
        for reid in (ReidConfig(weights=str(path)), ReidConfig(enabled=False)):
            pipeline = PosePipeline(PipelineConfig(device="cpu", runtime="torch", reid=reid))
            assert pipeline.skeleton.name == HALPE136.name
            timings = pipeline(frame).timings_ms
            assert ("reid" in timings) == reid.enabled
    assert given[0] is not None
    assert given[0].embeddings.shape == (0, 8)
    assert given[1] is None


def test_a_crowd_in_several_calls_is_guided_as_in_one():
    places = [(10 + 30 * k, 10, 35 + 30 * k, 70) for k in range(5)]
    batch = ImageBatch.upload([painted(dict.fromkeys(places, (255, 0, 0)))])
    crowd = people(places)
    crowd = replace(crowd, scores=crowd.scores * np.linspace(1, 0.2, 5, dtype=np.float32)[:, None])
    whole, parts = Colour(), Colour()
    embedder(whole, max_batch=8)(batch, [crowd])
    embedder(parts, max_batch=2)(batch, [crowd])
    assert [len(each) for each in parts.seen] == [2, 2, 1]
    torch.testing.assert_close(torch.cat(parts.seen), whole.seen[0])
    height = unpacked_guidance(whole.seen[0])[:, 0].amax((1, 2))
    assert (height.diff() < -0.05).all()  # everybody's own maps, not the first ones' again


def test_osnet_sees_imagenets_normalisation():
    crops = torch.tensor([124.0, 116.0, 104.0]).view(1, 3, 1, 1).expand(1, 3, 4, 2)
    out = Normalised(torch.nn.Identity())(crops)
    assert out.abs().max() < 0.02  # ImageNet's mean colour
