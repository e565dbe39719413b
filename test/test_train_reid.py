# SPDX-License-Identifier: Apache-2.0
"""Training of re-identification: losses against slow loops, a run that learns, exact resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import default_collate

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.reid_augment import ReidAugment
from alphapose_ros.data.reid_samples import ReidSamples, crops_of
from alphapose_ros.models.osnet import WIDTHS, OSNet
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.factory import load_reid
from alphapose_ros.reid.render import GuidanceRenderer
from alphapose_ros.train import reid_learner
from alphapose_ros.train.loop import Run
from alphapose_ros.train.reid import identities_of, train_reid
from alphapose_ros.train.reid_config import ReidTrainConfig
from alphapose_ros.train.reid_losses import (
    batch_hard_triplet,
    classification,
    supervised_contrast,
)
from alphapose_ros.weights import load_checkpoint, load_tensors, save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def slow_triplet(embeddings: np.ndarray, people: list[int], margin: float) -> float:
    losses = []
    for i, person in enumerate(people):
        distance = [math.dist(embeddings[i], other) for other in embeddings]
        friends = [d for j, d in enumerate(distance) if people[j] == person and j != i]
        strangers = [d for j, d in enumerate(distance) if people[j] != person]
        if friends and strangers:
            losses.append(max(0.0, max(friends) - min(strangers) + margin))
    return float(np.mean(losses)) if losses else 0.0


def slow_contrast(embeddings: np.ndarray, people: list[int], temperature: float) -> float:
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    losses = []
    for i, person in enumerate(people):
        others = [j for j in range(len(people)) if j != i]
        total = sum(math.exp(unit[i] @ unit[j] / temperature) for j in others)
        friends = [j for j in others if people[j] == person]
        if friends:
            chances = [unit[i] @ unit[j] / temperature - math.log(total) for j in friends]
            losses.append(-np.mean(chances))
    return float(np.mean(losses)) if losses else 0.0


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=9),
    st.integers(0, 1000),
    st.floats(0, 2),
)
def test_losses_are_those_of_the_slow_loops(people: list[int], seed: int, margin: float) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(len(people), 4))
    tensor, who = torch.from_numpy(embeddings), torch.tensor(people)
    expected = slow_triplet(embeddings, people, margin)
    assert batch_hard_triplet(tensor, who, margin).item() == pytest.approx(expected, abs=1e-5)
    expected = slow_contrast(embeddings, people, 0.3)
    assert supervised_contrast(tensor, who, 0.3).item() == pytest.approx(expected, abs=1e-6)


def test_the_hardest_pairs_by_hand() -> None:
    places = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    people = torch.tensor([0, 0, 1, 1])
    # farthest friend - nearest stranger: 1-3, 1-2, 4-2, 4-6
    expected = (0 + 0 + 2.5 + 0) / 4
    assert batch_hard_triplet(places, people, 0.5).item() == pytest.approx(expected)


def test_losses_without_pairs_are_zero_and_have_a_gradient() -> None:
    for people in ([0, 1, 2], [0]):
        embeddings = torch.rand(len(people), 3, requires_grad=True)
        who = torch.tensor(people)
        (batch_hard_triplet(embeddings, who) + supervised_contrast(embeddings, who)).backward()
        assert embeddings.grad is not None
        assert embeddings.grad.abs().max() == 0
    logits = torch.rand(2, 4, requires_grad=True)
    assert classification(logits, torch.tensor([-1, -1])).item() == 0
    twice = torch.zeros(2, 3, requires_grad=True)  # the same place: the root has no slope there
    batch_hard_triplet(twice, torch.tensor([0, 0])).backward()
    assert twice.grad is not None
    assert twice.grad.isfinite().all()


def test_only_known_people_are_classified() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 9.0]])
    found = classification(logits, torch.tensor([0, -1]), 0.0)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)))
    smoothed = classification(logits, torch.tensor([0, -1]), 0.2).item()
    assert smoothed == pytest.approx(math.log(1 + math.exp(-2)) + 0.1 * 2)


def crowd(folder: Path, people: int = 6, views: int = 3) -> str:
    """Crops named as Market-1501's: a colour for each person, noise behind."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for person in range(people):
        colour = np.array(cv2.cvtColor(
            np.uint8([[[30 * person, 230, 220]]]), cv2.COLOR_HSV2BGR
        ))[0, 0]  # fmt: skip
        for view in range(views):
            image = rng.integers(0, 256, (64, 32, 3), dtype=np.uint8)
            image[8:60, 8:24] = colour
            cv2.imwrite(str(folder / f"{person:04d}_c{view}s1_{view:06d}_00.png"), image)
    return str(folder)


def config(tmp_path: Path, **changes: object) -> ReidTrainConfig:
    chosen = ReidTrainConfig(
        out=str(tmp_path / "run"),
        identities=[crowd(tmp_path / "crops")],
        steps=4,
        people=3,
        views=2,
        learning_rate=2e-3,
        freeze=7,
        warmup=0,
        average_decay=0.5,
        save_every=2,
        log_every=1,
        threads=1,
        device="cpu",
    )
    return replace(chosen, **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow network, so that a step is quick."""
    narrow = {"width": 24, "dim": 12}
    monkeypatch.setattr(reid_learner, "ReidNet", lambda **given: ReidNet(**(narrow | given)))


def test_an_interrupted_run_ends_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_reid(config(tmp_path))
    update, steps = Run.update, []

    def interrupted(self: Run) -> None:
        update(self)
        steps.append(self.step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "update", interrupted)
    halved = config(tmp_path, out=str(tmp_path / "halved"))
    with pytest.raises(KeyboardInterrupt):
        train_reid(halved)
    assert load_checkpoint(tmp_path / "halved" / "checkpoint.pt")["step"] == 2
    continued = load_tensors(train_reid(halved))
    assert steps == [1, 2, 3, 3, 4]
    for key, value in load_tensors(whole).items():
        assert torch.equal(value, continued[key]), key
    log = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("run", "halved")]
    assert log[0] == log[1]


def test_it_learns_and_freezes_what_it_is_told_to(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = ReidNet(width=24, dim=12).state_dict()
    made = train_reid(config(tmp_path, steps=14, log_every=7, freeze=8))
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    at = rows[0].split(",").index("contrast")
    assert float(rows[2].split(",")[at]) < float(rows[1].split(",")[at])
    network, input_hw, dim = load_reid(made)
    assert (input_hw, dim) == ((128, 64), 12)
    after = network.state_dict()
    assert torch.equal(after["features.3.conv.0.0.weight"], before["features.3.conv.0.0.weight"])
    assert not torch.equal(
        after["features.8.conv.0.0.weight"], before["features.8.conv.0.0.weight"]
    )
    assert not torch.equal(after["attention.conv.weight"], before["attention.conv.weight"])
    assert after["neck.bias"].abs().max() == 0


def test_the_necks_moments_are_those_of_unspoilt_crops(tmp_path: Path) -> None:
    chosen = config(tmp_path, steps=2)
    network = load_reid(train_reid(chosen))[0]
    assert isinstance(network, ReidNet)
    samples = ReidSamples(
        [identities_of(chosen.identities[0])], people=2, views=2, augment=ReidAugment(), seed=5,
        input_hw=(128, 64),
    )  # fmt: skip
    still = default_collate(samples.still(100))
    assert len(still["image"]) == 18  # everybody's own pictures, once each
    renderer = GuidanceRenderer(HALPE26, (128, 64))
    with torch.no_grad():
        found = network.both(crops_of(still, renderer, "cpu"))
    for neck in (found.attended_neck, found.plain_neck):
        torch.testing.assert_close(neck.mean(0) + 1, torch.ones(12), atol=1e-3, rtol=0)
    few = samples.still(3)
    assert len(few) == 3


def test_it_starts_from_a_pose_network_or_an_earlier_run(tmp_path: Path) -> None:
    made = train_reid(config(tmp_path, init="pose_nano", steps=1, learning_rate=1e-9))
    state = load_tensors(made)
    pose = load_tensors(resolve("pose_nano"))
    key = "features.2.conv.0.0.weight"
    torch.testing.assert_close(state[key], pose[key].float())
    again = config(tmp_path, init=str(made), out=str(tmp_path / "again"), steps=1,
                   learning_rate=1e-9)  # fmt: skip
    torch.testing.assert_close(
        load_tensors(train_reid(again))["embed.weight"], state["embed.weight"], atol=1e-6, rtol=0
    )
    with pytest.raises(WeightsError, match="light network"):
        train_reid(replace(again, init="detector_nano", out=str(tmp_path / "no")))


def test_osnet_is_trained_in_its_place(tmp_path: Path) -> None:
    chosen = config(
        tmp_path, layout="osnet_x0_25", freeze=0, input_hw=[64, 32], steps=12, log_every=6
    )
    made = train_reid(chosen)
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    at = rows[0].split(",").index("contrast")
    assert "plain" not in rows[0]
    assert float(rows[2].split(",")[at]) < float(rows[1].split(",")[at])
    network, input_hw, dim = load_reid(made)
    assert isinstance(network.network, OSNet)
    assert (network.network.channels, input_hw, dim) == (WIDTHS["0_25"], (256, 128), 512)
    again = train_reid(
        replace(
            chosen, init=str(made), out=str(tmp_path / "again"), steps=1, freeze=5,
            learning_rate=1e-2,
        )
    )  # fmt: skip
    before, after = load_tensors(made), load_tensors(again)
    kept = [key for key in before if key.startswith("conv")]  # moments of norms among them
    assert all(torch.equal(before[key], after[key]) for key in kept)
    assert not torch.equal(before["fc.0.weight"], after["fc.0.weight"])


def test_a_layout_starts_from_its_own_weights(tmp_path: Path) -> None:
    weights = tmp_path / "osnet.safetensors"
    save_tensors(OSNet(WIDTHS["0_5"]).state_dict(), weights)
    for layout, init, match in (
        ("osnet_x0_25", str(weights), "expected weights of osnet_x0_25, got OSNet of"),
        ("osnet_ain_x0_5", str(weights), "expected weights of osnet_ain_x0_5, got OSNet of"),
        ("osnet_x0_5", "pose_nano", "got those of another network"),
        ("reid_net", str(weights), "light network"),
    ):
        with pytest.raises(WeightsError, match=match):
            train_reid(config(tmp_path, layout=layout, init=init))
    with pytest.raises(ConfigError, match="freeze: expected 0"):
        train_reid(config(tmp_path, layout="osnet_x0_25", freeze=2))
    assert not (tmp_path / "run").exists()


def test_one_embedding_can_be_left_out(tmp_path: Path) -> None:
    trained = {}
    for name, weights in (("attended", (1.0, 0.0)), ("plain", (0.0, 1.0))):
        chosen = config(
            tmp_path, out=str(tmp_path / name), attended_weight=weights[0],
            plain_weight=weights[1], steps=1, weight_decay=0.0, average_decay=0.0,
        )  # fmt: skip
        trained[name] = load_tensors(train_reid(chosen))
    torch.manual_seed(0)
    start = ReidNet(width=24, dim=12).state_dict()
    for key, own in (("embed.weight", "attended"), ("plain.weight", "plain")):
        for name, state in trained.items():
            assert torch.equal(state[key], start[key]) == (name != own), (key, name)


def test_another_number_of_numbers_and_masks_keep_the_rest(tmp_path: Path) -> None:
    first = train_reid(config(tmp_path, steps=1))
    again = config(tmp_path, init=str(first), out=str(tmp_path / "more"), dim=20, masks=True,
                   steps=1, learning_rate=1e-9)  # fmt: skip
    before, after = load_tensors(first), load_tensors(train_reid(again))
    network, _, dim = load_reid(tmp_path / "more" / "reid.safetensors")
    assert isinstance(network, ReidNet)
    assert (dim, network.masks) == (20, True)
    for key in ("features.0.0.weight", "attention.conv.weight", "gain"):
        torch.testing.assert_close(after[key], before[key], atol=1e-6, rtol=0)
    for name in ("dim", "attended_weight", "plain_weight", "masks"):
        with pytest.raises(ConfigError, match=f"{name}: expected .* for osnet_x0_25"):
            config(tmp_path, layout="osnet_x0_25", **{name: 20})


@pytest.mark.parametrize("layout", ["reid_net", "osnet_x0_25"])
def test_it_learns_what_a_teacher_says(tmp_path: Path, layout: str) -> None:
    torch.manual_seed(3)
    weights = tmp_path / "teacher.safetensors"
    teacher = OSNet(WIDTHS["0_25"]).eval()
    save_tensors(teacher.state_dict(), weights)
    chosen = config(
        tmp_path, layout=layout, freeze=0, input_hw=[64, 32], steps=60, log_every=30, people=6,
        teacher=str(weights), colourings=2, contrast_weight=0.0, triplet_weight=0.0,
        identity_weight=0.0,
    )  # fmt: skip
    train_reid(chosen)
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    at = rows[0].split(",").index("teacher")
    assert float(rows[2].split(",")[at]) < float(rows[1].split(",")[at])
    with np.load(tmp_path / "run" / "teacher.npz") as kept:
        assert kept["set0"].shape == (18, 2, 512)


def test_sets_and_options_are_checked(tmp_path: Path) -> None:
    found, share = identities_of(f"{crowd(tmp_path / 'crops')}=0.25")
    assert (len(found), share) == (18, 0.25)
    assert identities_of(str(tmp_path / "crops"))[1] == 1
    for bad in ("crops=0", "crops=much"):
        with pytest.raises(InputError, match="SET=RATIO"):
            identities_of(bad)
    for changes, match in (
        ({"input_hw": [64]}, "input_hw"),
        ({"input_hw": [64, 40]}, "multiples of 16"),
        ({"colourings": 2}, "expected a teacher"),
        ({"attended_weight": 0, "plain_weight": 0}, "expected one above 0"),
        ({"layout": "osnet"}, "layout"),
        ({"teacher": "a", "teacher_answers": "kept"}, "expected an .npz"),
    ):
        with pytest.raises(ConfigError, match=match):
            ReidTrainConfig(identities=["a"], **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least one set"):
        ReidTrainConfig()
    with pytest.raises(ConfigError, match="views"):
        ReidTrainConfig(identities=["a"], views=1)
