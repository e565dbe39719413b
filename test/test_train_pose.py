# SPDX-License-Identifier: Apache-2.0
"""Pose training: schedule, average, exact resume, and the file that comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from coco_scenes import coco_file, flat, person
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.augment import AugmentConfig
from alphapose_ros.models.checkpoint import load_checkpoint, load_light_state, save_checkpoint
from alphapose_ros.models.family import architecture_of
from alphapose_ros.models.hrnet import HRNet
from alphapose_ros.models.info import default_info
from alphapose_ros.models.light import LightPose
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import decoded_network
from alphapose_ros.train import pose as training
from alphapose_ros.train.board import CsvLog
from alphapose_ros.train.loop import Run, RunOptions, TrainingDiverged, WeightAverage
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.schedule import Schedule
from alphapose_ros.train.students import Student, make_student, write_student
from alphapose_ros.weights import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_average_is_the_slow_twins() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.6)
    wanted = [1.0, 1.0]
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.fill_(float(step))
            model.num_batches_tracked.fill_(step)
        average.update(model)
        keep = min(0.6, (1 + step) / (10 + step))
        wanted = [keep * old + (1 - keep) * step for old in wanted]
    assert average.state["weight"].tolist() == pytest.approx(wanted)
    assert average.state["num_batches_tracked"] == 29
    assert model.weight.tolist() == [29.0, 29.0]  # the model itself is not touched


def test_positions_of_a_resumed_run_are_the_rest() -> None:
    assert list(PositionSampler(2, 4, 3)) == [6, 7, 8, 9, 10, 11]
    assert len(PositionSampler(4, 4, 3)) == 0


def test_the_log_forgets_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    table = CsvLog(path, 0)
    for step in (1, 2, 3):
        table.write(step, {"loss": 1 / step})
    before = path.read_text().splitlines()
    CsvLog(path, 2).write(3, {"loss": 7.0})
    assert path.read_text().splitlines() == [*before[:3], "3,7"]
    CsvLog(path, 0).write(1, {"loss": 2.0})
    assert path.read_text().splitlines() == ["step,loss", "1,2"]


def small_run(folder: Path, steps: int = 4) -> Run:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    options = RunOptions(Schedule(steps, warmup=1), max_gradient_norm=1.0)
    return Run(folder, model, optimizer, options)


def advance(run: Run) -> None:
    source = torch.Generator().manual_seed(run.step)
    run.backward({"loss": run.model(torch.randn((5, 3), generator=source)).square().mean()})
    run.update()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_changes_nothing(tmp_path: Path, value: float) -> None:
    run = small_run(tmp_path)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    loss = sum(p.sum() for p in run.model.parameters()) * value
    with pytest.raises(TrainingDiverged, match=r"loss is .* at step 0"):
        run.backward({"loss": loss})
    root = run.model[0].weight.sum() * 0  # a finite value whose gradient is none
    run.backward({"loss": root.sqrt()})
    with pytest.raises(TrainingDiverged, match="gradient is not finite at step 0"):
        run.update()
    assert run.step == 0
    assert all(torch.equal(before[k], v) for k, v in run.model.state_dict().items())
    assert all(torch.equal(before[k], v) for k, v in run.average.state.items())


def test_a_run_resumes_exactly(tmp_path: Path) -> None:
    whole, first = small_run(tmp_path / "whole"), small_run(tmp_path / "parts")
    assert not first.resume()
    for _ in range(4):
        advance(whole)
    advance(first)
    advance(first)
    first.sums = {"loss": 0.1}
    first.save()
    second = small_run(tmp_path / "parts")
    assert second.resume()
    assert (second.step, second.sums) == (2, {"loss": 0.1})
    advance(second)
    advance(second)
    for a, b in (
        (whole.model.state_dict(), second.model.state_dict()),
        (whole.average.state, second.average.state),
    ):
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert whole.average.updates == second.average.updates
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"\x80\x04K\x01.", 0.5, [1], {"steps": 4}, {"steps": 4, "model": 3}],
    ids=repr,
)
def test_damaged_checkpoints_are_refused(tmp_path: Path, content: object) -> None:
    run = small_run(tmp_path)
    run.save()
    if isinstance(content, bytes):
        run.checkpoint_path.write_bytes(content)
    elif isinstance(content, float):
        good = run.checkpoint_path.read_bytes()
        run.checkpoint_path.write_bytes(good[: int(len(good) * content)])
    else:
        torch.save(content, run.checkpoint_path)
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        small_run(tmp_path).resume()


def test_checkpoints_of_other_runs_are_refused(tmp_path: Path) -> None:
    small_run(tmp_path).save()
    with pytest.raises(WeightsError, match="made for 4 steps, got 5"):
        small_run(tmp_path, steps=5).resume()
    other = nn.Linear(3, 9)
    sgd = torch.optim.SGD(other.parameters(), 0.1)
    run = Run(tmp_path, other, sgd, RunOptions(Schedule(4)))
    with pytest.raises(WeightsError, match="not a checkpoint of this run"):
        run.resume()


def pose_config(folder: Path, out: str) -> PoseTrainConfig:
    people = [person(flat(HALPE136)), person(flat(COCO17, label=1))]
    path = coco_file(folder, people)
    return PoseTrainConfig(
        out=str(folder / out), sets=[f"{path}@{folder}"], faces=f"{path}@{folder}", steps=4,
        batch_size=2, heatmap_steps=1, warmup=1, save_every=2, log_every=3, workers=0,
        device="cpu", freeze=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ("sikr", "sigmoid", 0.3, 6.0)),
        ({"tail_cut": 0.1}, ("sikr", "sigmoid", 0.1, 6.0)),
        ({"tail_cut": 0.0}, ("sikr", "sigmoid", 0.0, 0.0)),
        ({"loss": "divide_sum"}, ("sikr", "divide_sum", 0.0, 0.0)),
        ({"loss": "combined"}, ("combined", "sigmoid", 0.0, 0.0)),
    ],
)
def test_maps_are_read_as_the_training_read_them(
    tmp_path: Path, options: dict[str, Any], wanted: tuple[str, str, float, float]
) -> None:
    config = replace(pose_config(tmp_path, "run"), steps=1, input_hw=(64, 32), **options)
    path = train_pose(config)
    network, info, _ = decoded_network(path, PoseConfig())
    decoder: Any = network.decode
    sikr = decoder.sikr if info.decode == "combined" else decoder
    assert (info.decode, sikr.norm, sikr.tail_cut, sikr.window) == wanted
    given: Any = decoded_network(path, PoseConfig(tail_cut=0.5, window=2.0))[0].decode
    given = given.sikr if info.decode == "combined" else given
    assert (given.tail_cut, given.window) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("family", "tail_cut", "wanted"),
    [
        ("hrnet", None, (0.0, 0.0)),  # AlphaPose's own sum, and files of before
        ("hrnet", 0.3, (0.3, 6.0)),
        ("hrnet", 0.0, (0.0, 0.0)),
        ("light", None, (0.3, 6.0)),
    ],
)
def test_a_file_that_says_nothing_is_read_as_its_family(
    tmp_path: Path, family: str, tail_cut: float | None, wanted: tuple[float, float]
) -> None:
    network = HRNet(num_joints=17, width=1) if family == "hrnet" else LightPose(17)
    info = default_info(architecture_of(network.state_dict()), "")
    path = tmp_path / "pose.safetensors"
    save_checkpoint(network, replace(info, decode="sikr", tail_cut=tail_cut), path)
    decoder: Any = decoded_network(path, PoseConfig())[0].decode
    assert (decoder.tail_cut, decoder.window) == wanted


@pytest.mark.parametrize("decode", ["heatmap", "sikr", "combined"])
def test_joints_that_nothing_taught_have_no_score(tmp_path: Path, decode: str) -> None:
    network = LightPose(136)
    torch.nn.init.constant_(network.heatmaps.bias, 1.0)  # a heatmap's peak must be above 0
    info = default_info(architecture_of(network.state_dict()), "")
    path = tmp_path / "pose.safetensors"
    save_checkpoint(network, replace(info, decode=decode, untaught=("nose", "left_heel")), path)
    decoded, _, skeleton = decoded_network(path, PoseConfig())
    scores = decoded(torch.full((1, 3, 64, 32), 99.0))[1][0]
    silent = [skeleton.keypoint_names[k] for k in (scores == 0).nonzero().flatten()]
    assert sorted(silent) == ["left_heel", "nose"]
    assert decoded(torch.zeros((0, 3, 64, 32)))[1].shape == (0, 136)


def test_an_interrupted_training_equals_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_pose(pose_config(tmp_path, "whole"))
    log = (tmp_path / "whole" / "log.csv").read_text()
    assert [row.split(",")[0] for row in log.splitlines()] == ["step", "3", "4"]

    class Interrupted(Exception):
        pass

    save = Run.save

    def save_and_stop(run: Run) -> None:
        save(run)
        raise Interrupted

    config = pose_config(tmp_path, "parts")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", save_and_stop)
        with pytest.raises(Interrupted):
            train_pose(config)
    resumed = train_pose(config)
    assert (tmp_path / "parts" / "log.csv").read_text() == log
    first, second = load_tensors(whole), load_tensors(resumed)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "parts")
    ]
    for part in ("model", "average"):
        assert all(torch.equal(states[0][part][k], states[1][part][k]) for k in states[0][part])


def test_a_folder_of_another_training_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would train nothing, and write old weights under the new options."""
    config = replace(pose_config(tmp_path, "run"), steps=2, save_every=1)
    finished = train_pose(config)
    before = finished.read_bytes()
    for change in ({"loss": "plain"}, {"sets": config.sets * 2}, {"learning_rate": 1e-4}):
        name = next(iter(change))
        with pytest.raises(WeightsError, match=rf"made with {name} .*, got .*: train in another"):
            train_pose(replace(config, **change))
    many = replace(config, seed=3, freeze=1, heatmap_steps=0, warmup=0)
    with pytest.raises(WeightsError, match=r"seed 0, got 3; .*; 1 more: train in another"):
        train_pose(many)
    assert finished.read_bytes() == before
    tensors = load_tensors(finished)
    train_pose(replace(config, workers=1, save_every=2, log_every=1))  # the same training
    again = load_tensors(finished)
    assert all(torch.equal(again[name], value) for name, value in tensors.items())


def test_rates_of_an_unfinished_training_may_be_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(pose_config(tmp_path, "run"), steps=3, save_every=1, learning_rate=1.0)

    def diverge(run: Run, terms: object) -> None:
        if run.step == 1:
            raise TrainingDiverged("loss is nan at step 1")
        backward(run, terms)

    backward = Run.backward
    with monkeypatch.context() as patch:
        patch.setattr(Run, "backward", diverge)
        with pytest.raises(TrainingDiverged):
            train_pose(config)
    with pytest.raises(WeightsError, match="made with seed 0, got 1"):
        train_pose(replace(config, seed=1))
    assert train_pose(replace(config, learning_rate=1e-4)).is_file()


def test_pseudo_labels_are_made_anew_unless_a_run_goes_on_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def label(teacher: Path, annotations: Path, images: Path, target: Path) -> None:
        made.append(teacher)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(annotations.read_bytes())

    monkeypatch.setattr(training, "pseudo_label", label)
    config = replace(pose_config(tmp_path, "run"), steps=1, teacher="a.onnx")
    config = replace(config, pseudo=config.sets[0])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pseudo.json").write_text("of another teacher")
    train_pose(config)
    train_pose(config)
    assert made == [Path("a.onnx")]


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("NOT CHECKED: there is a GPU")
    with pytest.raises(ConfigError, match="expected one of 0 CUDA devices, got 'cuda'"):
        train_pose(replace(pose_config(tmp_path, "run"), device="cuda"))


def test_cached_images_give_the_same_numbers(tmp_path: Path) -> None:
    plain = train_pose(replace(pose_config(tmp_path, "plain"), steps=2))
    cached = train_pose(replace(pose_config(tmp_path, "cached"), steps=2, cache="memory"))
    first, second = load_tensors(plain), load_tensors(cached)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_pieces_of_a_step_are_averaged(tmp_path: Path) -> None:
    data, weights = torch.randn(6, 3), []
    for pieces in (1, 3):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        sgd = torch.optim.SGD(model.parameters(), 0.1)
        run = Run(tmp_path, model, sgd, RunOptions(Schedule(1), pieces=pieces))
        for part in data.chunk(pieces):
            run.backward({"loss": model(part).square().mean()})
        run.update()
        weights.append(model.weight.detach())
        assert run.step == 1
    torch.testing.assert_close(weights[1], weights[0])


def test_sizes_take_turns_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    normalised = Student.normalised

    def noted(student: Student, images: Tensor, device: torch.device) -> Tensor:
        seen.append(tuple(images.shape[:3]))
        return normalised(student, images, device)

    monkeypatch.setattr(Student, "normalised", noted)
    config = replace(
        pose_config(tmp_path, "run"),
        steps=3, accumulate=2, input_hw=(96, 64), other_sizes=["64x32", "32x64"],
    )  # fmt: skip
    path = train_pose(config)
    assert seen == [(1, 96, 64), (1, 64, 32), (1, 32, 64)] * 2
    assert load_checkpoint(path)[1].input_hw == (96, 64)


def test_frozen_blocks_keep_their_weights(tmp_path: Path) -> None:
    config = pose_config(tmp_path, "run")
    student = make_student("", HALPE136)
    network = student.network
    groups = training._groups(student, config)
    counted = [p for group in groups for p in group["params"]]
    frozen = list(network.features[:2].parameters())
    assert all(not p.requires_grad for p in frozen)
    assert {*map(id, counted), *map(id, frozen)} == {*map(id, network.parameters())}
    assert len(counted) + len(frozen) == len(list(network.parameters()))
    assert groups[1]["lr"] == pytest.approx(0.3 * groups[0]["lr"])


def moments(network: nn.Module) -> dict[str, Tensor]:
    state = network.state_dict()
    return {name: value.clone() for name, value in state.items() if "running" in name}


def trained_network(config: PoseTrainConfig, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The moments after each step."""
    seen: list[Any] = []
    update = Run.update

    def noted(run: Run) -> None:
        update(run)
        seen.append(moments(run.model))

    with monkeypatch.context() as patch:
        patch.setattr(Run, "update", noted)
        train_pose(config)
    return seen


def test_frozen_blocks_keep_their_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        pose_config(tmp_path, "run"), init="pose_nano", freeze_norm=False, input_hw=(64, 32)
    )
    first, last = trained_network(config, monkeypatch)[:: config.steps - 1]
    blocks = tuple(f"features.{k}." for k in range(config.freeze))
    moved = {name for name in first if not torch.equal(first[name], last[name])}
    assert moved == {name for name in first if not name.startswith(blocks)}


@pytest.mark.parametrize("init", ["", "pose_nano"])
def test_a_random_start_learns_its_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: str
) -> None:
    config = replace(pose_config(tmp_path, "run"), init=init, freeze=0, steps=2, input_hw=(64, 32))
    first, last = trained_network(config, monkeypatch)
    held = {name for name in first if torch.equal(first[name], last[name])}
    assert held == (set(first) if init else set())


def test_exported_weights_give_nearly_the_same_maps(tmp_path: Path) -> None:
    student = make_student("", HALPE136)
    network = student.network
    crops = torch.rand(4, 3, 64, 32) * 2 - 1
    for _ in range(20):  # running moments of real activations
        network.train()(crops)
    path = write_student(student, network.state_dict(), tmp_path / "pose.safetensors")
    tensors = load_tensors(path)
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert not any("running" in key for key in tensors)
    with torch.inference_mode():
        wanted = network.eval()(crops).sigmoid()
        found = load_light_state(load_tensors(path))(crops).sigmoid()
    assert wanted.std() > 0.01  # not all the same
    assert (found - wanted).abs().max() < 0.01


def test_mistakes_in_the_configuration_are_named() -> None:
    with pytest.raises(ConfigError, match="sets"):
        PoseTrainConfig()
    wrong = {
        "steps": 0, "batch_size": 0, "save_every": 0, "log_every": 0, "accumulate": 0,
        "precision": "float8", "schedule": "linear", "cache": "disk", "input_hw": (100, 64),
        "other_sizes": ["64x100"],
        "milestones": [3], "joint_starts": ["nose"], "learning_rate": 0.0,
    }  # fmt: skip
    for name, value in wrong.items():
        with pytest.raises(ConfigError, match=name):
            PoseTrainConfig(sets=["a@b"], **{name: value})


def test_no_augmentation_is_none() -> None:
    none, usual = (AugmentConfig().scaled(strength) for strength in (0.0, 1.0))
    assert (none.rotation_deg, none.scale, none.shift, none.colour) == (0, 0, 0, 0)
    assert none.occlusion_probability == none.low_resolution_probability == 0
    assert none.flip_probability == usual.flip_probability == 0.5
