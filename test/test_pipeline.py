# SPDX-License-Identifier: Apache-2.0
"""The whole story with the bundled networks: photographs in, people with identities out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from alphapose_ros.base.errors import AlphaPoseError, ConfigError, WeightsError
from alphapose_ros.base.records import Frame, FrameResult, Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.config import PipelineConfig
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.front.loading import pipelines
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.registry.bundled import DETECTOR_NANO, POSE_NANO
from alphapose_ros.registry.store import bundled_path
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.runtime.devices import choose_device
from alphapose_ros.tracking.config import TrackerConfig

SECOND = 1_000_000_000
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def shared_networks() -> PosePipeline:
    """Loaded once; each test gets a pipeline of its own around them."""
    try:
        bundled_path(POSE_NANO)
        bundled_path(DETECTOR_NANO)
    except WeightsError as error:
        if "missing" not in str(error):
            raise
        pytest.skip(f"NOT TESTED: {error}")
    return PosePipeline.from_preset("nano", device="cpu")


@pytest.fixture
def pipeline(shared_networks: PosePipeline) -> PosePipeline:
    shared_networks.reset()
    shared_networks._trackers.clear()
    return shared_networks


@pytest.fixture(scope="module")
def astronaut() -> Image:
    data = pytest.importorskip("skimage.data", reason="NOT TESTED: scikit-image is absent")
    return data.astronaut()


def frames(image: Image, count: int, camera: str = "camera", start: int = 0) -> list[Frame]:
    """Ten a second."""
    return [Frame(image, (start + n) * SECOND // 10, camera) for n in range(count)]


def settled(pipeline: PosePipeline, image: Image, camera: str = "camera", start: int = 0) -> int:
    """The identity of the only person after twelve images: looks known elsewhere take 0.5 s."""
    results = [pipeline(frame) for frame in frames(image, 12, camera, start)]
    assert [len(result.tracks) for result in results] == [1] * 12
    return int(results[-1].tracks.ids[0])


def joint(result: FrameResult, name: str) -> NDArray[np.float32]:
    return result.tracks.poses.keypoints[0, HALPE136.index(name)]


def test_the_astronaut_is_one_person_with_her_joints_in_place(pipeline, astronaut: Image) -> None:
    result = pipeline(Frame(astronaut, 0, "front", "front_optical"))
    assert len(result.tracks) == 1
    places = {"nose": (220, 122), "left_shoulder": (310, 270), "right_shoulder": (108, 255)}
    limits = {"nose": 15, "left_shoulder": 40, "right_shoulder": 40}
    for name, place in places.items():
        assert np.linalg.norm(joint(result, name) - place) < limits[name], name
    scores = result.tracks.poses.scores[0]
    for name in places:
        assert scores[HALPE136.index(name)] > 0.3, name
    x1, y1, x2, y2 = result.tracks.poses.boxes[0]
    assert x1 < 108
    assert y1 < 100
    assert x2 > 310
    assert y2 > 400
    header = result.header
    assert (header.camera, header.frame_id, header.stamp_ns) == ("front", "front_optical", 0)
    assert header.size_hw == (512, 512)


def test_joints_that_were_never_taught_have_score_zero(pipeline, astronaut: Image) -> None:
    scores = pipeline(Frame(astronaut, 0)).tracks.poses.scores
    toes = [HALPE136.index(f"{side}_small_toe") for side in ("left", "right")]
    assert (scores[:, toes] == 0).all()
    assert (np.delete(scores, toes, axis=1) > 0).all()


def test_an_identity_is_given_once_and_kept(pipeline, astronaut: Image) -> None:
    results = [pipeline(frame) for frame in frames(astronaut, 8)]
    ids = [int(result.tracks.ids[0]) for result in results]
    assert ids[0] == 0  # tentative
    given = next(number for number in ids if number)
    assert ids == [0] * ids.index(given) + [given] * (8 - ids.index(given))
    assert len({int(result.tracks.track_ids[0]) for result in results}) == 1


def test_a_new_pipeline_counts_from_one(shared_networks, astronaut: Image) -> None:
    fresh = PosePipeline.from_config(PipelineConfig(device="cpu"))
    assert settled(fresh, astronaut) == 1
    assert settled(fresh, astronaut, "rear") == 2  # numbers are unique over cameras


def test_the_next_pipeline_of_a_process_goes_on_counting(astronaut: Image) -> None:
    """What a node loads after ``cleanup`` and ``configure``: strangers, never old numbers."""
    load = pipelines()
    first, second = load(PipelineConfig(device="cpu")), load(PipelineConfig(device="cpu"))
    assert settled(first, astronaut) == 1
    assert settled(second, astronaut) == 2
    assert second(Frame(astronaut, 2 * SECOND)).tracks.track_ids.tolist() == [2]
    assert settled(pipelines()(PipelineConfig(device="cpu")), astronaut) == 1


def test_a_reset_gives_a_new_number(pipeline, astronaut: Image) -> None:
    front = settled(pipeline, astronaut, "front")
    rear = settled(pipeline, astronaut, "rear")
    pipeline.reset("front")
    pipeline.reset("a camera that was never seen")
    assert settled(pipeline, astronaut, "front", start=12) > max(front, rear)
    assert settled(pipeline, astronaut, "rear", start=12) == rear
    pipeline.reset()
    assert settled(pipeline, astronaut, "rear", start=24) > rear


@pytest.mark.parametrize("size_hw", [(480, 640), (33, 500), (1, 1)])
def test_nobody_is_in_a_black_image(pipeline, size_hw: tuple[int, int]) -> None:
    result = pipeline(Frame(np.zeros((*size_hw, 3), np.uint8), 0))
    assert len(result.tracks) == 0
    assert result.tracks.poses.keypoints.shape == (0, 136, 2)
    assert result.header.size_hw == size_hw


def test_cameras_in_one_batch_are_as_each_alone(pipeline, astronaut: Image) -> None:
    black = np.zeros((300, 200, 3), np.uint8)
    cut = np.ascontiguousarray(astronaut[:400, 20:400])
    cameras = {"a": astronaut, "b": black, "c": cut}
    together = pipeline.process([Frame(image, 0, name) for name, image in cameras.items()])
    pipeline.reset()
    pipeline._trackers.clear()
    for (name, image), found in zip(cameras.items(), together, strict=True):
        alone = pipeline(Frame(image, 0, name))
        assert found.header.camera == name
        assert len(found.tracks) == len(alone.tracks) == (0 if name == "b" else 1)
        ours, theirs = found.tracks.poses, alone.tracks.poses
        # Rounding can move a cell across the tail cut, which shows in a tenth of a pixel.
        _same_places(ours, theirs)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=0.05)


def _same_places(ours: Poses, theirs: Poses) -> None:
    """A map without a peak has its expectation nowhere in particular: heels outside the image."""
    peaked = theirs.scores > 0.1
    assert peaked.sum() >= 90 * len(theirs)
    np.testing.assert_allclose(ours.keypoints[peaked], theirs.keypoints[peaked], atol=0.3)


def test_no_frames_are_no_results(pipeline) -> None:
    assert pipeline.process([]) == []


def test_single_images_need_no_tracker(pipeline, astronaut: Image) -> None:
    batch = ImageBatch.upload([astronaut, np.zeros((50, 70, 3), np.uint8)])
    poses = pipeline.detect_and_estimate(batch)
    assert [len(p) for p in poses] == [1, 0]
    assert pipeline._trackers == {}
    tracked = pipeline(Frame(astronaut, 0)).tracks.poses
    _same_places(poses[0], tracked)


def test_a_mirrored_photograph_swaps_the_sides(pipeline, astronaut: Image) -> None:
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    first = pipeline(Frame(astronaut, 0, "plain"))
    second = pipeline(Frame(mirrored, 0, "mirrored"))
    left, right = joint(second, "left_shoulder"), joint(second, "right_shoulder")
    assert np.linalg.norm(left - (511 - 108, 255)) < 40
    assert np.linalg.norm(right - (511 - 310, 270)) < 40
    assert joint(first, "left_shoulder")[0] > joint(first, "right_shoulder")[0]


def test_every_stage_is_timed(pipeline, astronaut: Image) -> None:
    timings = pipeline(Frame(astronaut, 0)).timings_ms
    assert list(timings) == ["upload", "detect", "pose", "nms", "reid", "track"]
    assert min(timings.values()) >= 0


def test_warming_up_runs_every_network_and_tells_nobody(pipeline, monkeypatch) -> None:
    seen = []
    network, detector, embedder = pipeline.estimator.network, pipeline.detector, pipeline.embedder

    def pose(crops: torch.Tensor) -> object:
        seen.append(("pose", len(crops)))
        return network(crops)

    def detect(batch: ImageBatch) -> object:
        seen.append(("detect", len(batch)))
        return detector(batch)

    def embed(batch: ImageBatch, poses: list[Poses]) -> object:
        found = embedder(batch, poses)
        seen.append(("reid", int(sum((each.quality > 0).sum() for each in found))))
        return found

    monkeypatch.setattr(pipeline.estimator, "network", pose)
    monkeypatch.setattr(pipeline, "detector", detect)
    monkeypatch.setattr(pipeline, "embedder", embed)
    pipeline.warm_up()
    assert seen == [("detect", 1), ("pose", 1), ("reid", 1)]


def test_warming_up_takes_no_replayed_boxes(tmp_path: Path, astronaut: Image) -> None:
    (tmp_path / "boxes.json").write_text('[{"image_id": 0, "bbox": [100, 50, 300, 450]}]')
    config = PipelineConfig(
        detector=DetectorConfig(name="replay", weights=str(tmp_path / "boxes.json")),
        reid=ReidConfig(enabled=False),
    )
    pipeline = PosePipeline(config)
    pipeline.warm_up()
    (poses,) = pipeline.detect_and_estimate(ImageBatch.upload([astronaut], pipeline.device))
    np.testing.assert_array_equal(poses.boxes, [[100, 50, 400, 500]])


def test_cuda_by_name_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="0 CUDA devices"):
            choose_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda").type == "cuda"
    with pytest.raises(ConfigError, match="'cuda:1'"):
        choose_device("cuda:1")


def test_without_cuda_auto_is_the_cpu_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    assert "no CUDA device" in caplog.text
    with pytest.raises(ConfigError, match="'banana'"):
        choose_device("banana")


def test_mistakes_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        PosePipeline.from_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="preset"):
        PosePipeline.from_preset("huge")
    config = replace(
        PipelineConfig(device="cpu"), pose=PoseConfig(weights=str(tmp_path / "no.safetensors"))
    )
    with pytest.raises(AlphaPoseError, match=r"no\.safetensors|missing"):
        PosePipeline(config)


def test_lost_people_reach_the_message_while_asked_for(astronaut: Image) -> None:
    pytest.importorskip("rosbags")
    from alphapose_ros.dds.types import WireTypes
    from alphapose_ros.output.messages import pose_array_cdr

    config = PipelineConfig(tracker=TrackerConfig(publish_lost_s=1.0))
    tracked = PosePipeline(config)
    black = np.zeros_like(astronaut)
    for number in range(5):
        tracked(Frame(astronaut, number * 100_000_000))
    result = tracked(Frame(black, 600_000_000))
    (person,) = (
        WireTypes().deserialize(pose_array_cdr(result), "alphapose_ros/msg/PoseArray").poses
    )
    assert (person.id, person.state) == (1, 3)
    assert not np.asarray(person.keypoints).reshape(-1, 3)[:, 2].any()
    assert len(tracked(Frame(black, 2_000_000_000)).tracks) == 0


class Counting:
    """A detector that says how many images it was asked about."""

    def __init__(self, detector: object) -> None:
        self.detector, self.images = detector, 0

    def __call__(self, batch: ImageBatch) -> object:
        self.images += len(batch)
        return self.detector(batch)  # type: ignore[operator]


def test_between_two_looks_of_the_detector_people_are_where_they_are_expected(
    pipeline, astronaut: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras, the second later: each has its own turn."""
    counting = Counting(pipeline.detector)
    monkeypatch.setattr(pipeline, "detector", counting)
    every = [r for frame in frames(astronaut, 12) for r in [pipeline(frame)]][-1]
    assert counting.images == 12
    pipeline.reset()
    pipeline._trackers.clear()
    sparing = replace(pipeline.config, detector=replace(pipeline.config.detector, interval_s=0.5))
    monkeypatch.setattr(pipeline, "config", sparing)
    counting.images = 0
    for front in frames(astronaut, 12, "front"):
        (found,) = pipeline.process([front])
    assert 3 <= counting.images <= 7  # until she is confirmed, then twice a second
    np.testing.assert_allclose(found.tracks.poses.boxes, every.tracks.poses.boxes, atol=12)
    moved = found.tracks.poses.keypoints - every.tracks.poses.keypoints
    assert np.median(np.linalg.norm(moved, axis=-1)) < 4
    assert found.tracks.ids.all()
    before = counting.images
    nobody = Frame(np.zeros_like(astronaut), 12 * SECOND // 10, "front")
    newcomer = frames(astronaut, 1, "rear", 12)[0]
    gone, new = pipeline.process([nobody, newcomer])
    assert counting.images in (before + 1, before + 2)  # the rear camera's, and the front's if due
    assert (len(gone.tracks), len(new.tracks)) == (0, 1)
    (gone,) = pipeline.process([replace(nobody, stamp_ns=13 * SECOND // 10)])
    assert len(gone.tracks) == 0
    pipeline.process([replace(nobody, stamp_ns=14 * SECOND // 10)])
    assert counting.images >= before + 3  # nobody is followed: the detector looks
