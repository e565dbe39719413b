# SPDX-License-Identifier: Apache-2.0
r"""``alphapose-ros train reid``: the re-identification network with pose-guided attention.

From people without identities (each one met again as augmented views) and tracklets mined from
clips by ``train tracklets``::

    alphapose-ros train tracklets --clips lobby.mp4 --out runs/tracklets
    alphapose-ros train reid --init pose_nano --instances people.json@images=0.8 \
        --identities runs/tracklets/lobby=0.2 --out runs/reid

``runs/reid/reid.safetensors`` is what ``reid: {weights: runs/reid/reid.safetensors}`` takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from alphapose_ros.base.errors import InputError, WeightsError
from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.pose_samples import SetSpec, one_thread
from alphapose_ros.data.reid_augment import ReidAugment
from alphapose_ros.data.reid_samples import ReidSamples, crops_of
from alphapose_ros.data.reid_sets import (
    Sightings,
    instances,
    read_crop_list,
    read_market,
    read_mot,
    read_posetrack,
)
from alphapose_ros.models.checkpoint import load_light_state
from alphapose_ros.models.reid import (
    REID_HW,
    ReidNet,
    is_reid_net,
    reid_net_of,
    take_trunk,
)
from alphapose_ros.models.state import without_prefix
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.render import GuidanceRenderer
from alphapose_ros.train.cache import MEMORY, ImageCache
from alphapose_ros.train.distributed import World, joined
from alphapose_ros.train.loop import Rhythm, Run, RunOptions, fit
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.reid_config import ReidTrainConfig
from alphapose_ros.train.reid_losses import (
    batch_hard_triplet,
    classification,
    supervised_contrast,
)
from alphapose_ros.train.run_config import deciding_options
from alphapose_ros.weights import load_tensors, save_tensors

log = logging.getLogger(__name__)

Sample = Mapping[str, Tensor]
SKELETON = HALPE26  # faces and fingers are smaller than a cell of the attention
FINISHED = "reid.safetensors"
_NETWORK = "network."


class Learner(nn.Module):
    """The network and, of training alone, a classifier behind each of its necks."""

    def __init__(self, network: ReidNet, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classifier = nn.Linear(network.dim, max(classes, 1), bias=False)
        self.plain_classifier = nn.Linear(network.dim, max(classes, 1), bias=False)
        for layer in (self.classifier, self.plain_classifier):
            nn.init.normal_(layer.weight, std=0.001)


def train_reid(config: ReidTrainConfig) -> Path:
    """Train, resuming where the folder's checkpoint stands; returns the finished weight file.

    Raises:
        ConfigError: options that contradict each other or the processes.
        InputError: the data cannot be used.
        WeightsError: start values or checkpoint are damaged or of another network.
        TrainingDiverged: the loss is no number any more.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    cv2.setNumThreads(0)
    torch.manual_seed(config.seed)
    with joined(config.device) as world:
        return _train(config, world)


def _train(config: ReidTrainConfig, world: World) -> Path:
    samples = _samples(config, world)
    network = _started(ReidNet(), config.init)
    for block in network.features[: config.freeze]:
        block.requires_grad_(False)
    learner = Learner(network, samples.classes).to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(_groups(learner, config), weight_decay=config.weight_decay)
    options = RunOptions(
        config.rates,
        config.average_decay,
        5.0,
        precision=config.precision,
        decided_by=deciding_options(config),
    )
    run = Run(Path(config.out), learner, optimizer, options, world)
    if run.resume():
        log.info("resumed at step %d of %d", run.step, run.steps)
    learner.train()
    rhythm = Rhythm(config.save_every, config.log_every, config.tensorboard)
    batches = _batches(samples, config, run.step, world)
    fit(run, batches, _terms_of(run, learner, config), rhythm)
    finished = Path(config.out) / FINISHED
    if world.is_main:
        _write(run.average.state, finished)
    world.wait()
    return finished


def read_identities(text: str) -> tuple[Sightings, float]:
    """A set of ``identities`` and its share, the format told by what it names.

    Raises:
        InputError: no such set, or a share that is not a positive number.
    """
    source, _, ratio = text.partition("=")
    try:
        share = float(ratio or 1)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise InputError(f"identities: expected SET=RATIO, got {text!r}")
    first, at, second = source.partition("@")
    if not at:
        return read_market(Path(first), SKELETON), share
    if first.endswith(".json"):
        return read_posetrack(Path(first), Path(second), skeleton=SKELETON), share
    if "gt" in Path(first).stem or "det" in Path(first).stem:
        return read_mot(Path(first), Path(second), skeleton=SKELETON), share
    return read_crop_list(Path(first), Path(second), SKELETON), share


def _samples(config: ReidTrainConfig, world: World) -> ReidSamples:
    sets = [read_identities(text) for text in config.identities]
    for text in config.instances:
        spec = SetSpec.parse(text)
        sets.append((instances(spec.read(SKELETON)), spec.ratio))
    for people, share in sets:
        known = len(set(people.identities[people.identities >= 0].tolist()))
        log.info("%s: %d sightings of %d people, share %g",
                 people.images[0].parent, len(people), known, share)  # fmt: skip
    limit = config.cache_mb * 2**20 if config.cache == MEMORY else 0
    return ReidSamples(
        sets,
        people=config.people,
        views=config.views,
        augment=ReidAugment(),
        seed=config.seed,
        input_hw=REID_HW,
        read=ImageCache(limit // (max(1, config.workers) * world.size)).read,
    )


def _batches(
    samples: ReidSamples, config: ReidTrainConfig, start: int, world: World
) -> Iterable[Sample]:
    sampler = PositionSampler(start, config.steps, config.batch_size, world=world)
    return DataLoader(
        samples,
        batch_size=sampler.share,
        sampler=sampler,
        num_workers=config.workers,
        worker_init_fn=one_thread,
    )


def _terms_of(
    run: Run, learner: Learner, config: ReidTrainConfig
) -> Callable[[Sample], Mapping[str, Tensor]]:
    """What the loop asks of a batch: the loss' terms over the whole batch of all processes."""
    renderer = GuidanceRenderer(SKELETON, REID_HW)
    device, gather = run.world.device, run.world.gather

    def terms(batch: Sample) -> Mapping[str, Tensor]:
        found = learner.network.both(crops_of(batch, renderer, device))
        who = gather(batch["identity"].to(device)), gather(batch["label"].to(device))
        with torch.autocast(device.type, enabled=False):
            own = _terms(
                gather(found.attended.float()), gather(found.attended_neck.float()),
                learner.classifier, who, config,
            )  # fmt: skip
            plain = _terms(
                gather(found.plain.float()), gather(found.plain_neck.float()),
                learner.plain_classifier, who, config,
            )  # fmt: skip
        total = own["loss"] + config.plain_weight * plain["loss"]
        return {**own, "plain": plain["loss"], "loss": total}

    return terms


def _terms(
    raw: Tensor,
    neck: Tensor,
    classifier: nn.Module,
    who: tuple[Tensor, Tensor],
    config: ReidTrainConfig,
) -> dict[str, Tensor]:
    """The losses of one embedding: triplets before the neck, the others behind it."""
    people, labels = who
    found = {
        "contrast": supervised_contrast(neck, people, config.temperature),
        "triplet": batch_hard_triplet(raw, people, config.margin),
        "identity": classification(classifier(neck), labels, config.smoothing),
    }
    weights = config.contrast_weight, config.triplet_weight, config.identity_weight
    total = sum(w * term for w, term in zip(weights, found.values(), strict=True))
    assert isinstance(total, Tensor)
    return {**found, "loss": total}


def _started(network: ReidNet, init: str) -> ReidNet:
    """Start values from a pose network's trunk or from an earlier training."""
    if not init:
        return network
    path = resolve(init)
    state = without_prefix(load_tensors(path))
    try:
        if is_reid_net(state):
            return reid_net_of(state)
        take_trunk(network, load_light_state(state))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return network


def _groups(learner: Learner, config: ReidTrainConfig) -> list[dict[str, object]]:
    """The rest and the trunk at their own rates; frozen blocks take no gradient at all."""
    trunk = [p for p in learner.network.features.parameters() if p.requires_grad]
    inside = {id(p) for p in learner.network.features.parameters()}
    rest = [p for p in learner.parameters() if p.requires_grad and id(p) not in inside]
    rate = config.learning_rate
    groups = [(rest, rate), (trunk, rate * config.trunk_rate)]
    return [{"params": params, "lr": lr} for params, lr in groups if params]


def _write(state: Mapping[str, Tensor], path: Path) -> None:
    """The network's own weights of a learner's state."""
    own = {k[len(_NETWORK) :]: v for k, v in state.items() if k.startswith(_NETWORK)}
    save_tensors(own, path)
