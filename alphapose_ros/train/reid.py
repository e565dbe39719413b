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
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.pose_samples import SetSpec, one_thread
from alphapose_ros.data.reid_augment import ReidAugment
from alphapose_ros.data.reid_samples import ReidSamples, crops_of
from alphapose_ros.data.reid_sets import Sightings, instances, read_identities
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.reid.render import GuidanceRenderer
from alphapose_ros.train.cache import MEMORY, ImageCache
from alphapose_ros.train.distributed import World, joined
from alphapose_ros.train.loop import Rhythm, Run, RunOptions, fit
from alphapose_ros.train.norms import set_training
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.reid_config import ReidTrainConfig
from alphapose_ros.train.reid_learner import (
    Learner,
    crop_hw,
    frozen_blocks,
    narrowed,
    parameter_groups,
    settle_necks,
    started,
)
from alphapose_ros.train.reid_losses import (
    batch_hard_triplet,
    classification,
    supervised_contrast,
    teaching,
)
from alphapose_ros.train.reid_teacher import load_teacher, projected, taught
from alphapose_ros.train.run_config import deciding_options
from alphapose_ros.weights import save_tensors

log = logging.getLogger(__name__)

Sample = Mapping[str, Tensor]
SKELETON = HALPE26  # faces and fingers are smaller than a cell of the attention
FINISHED = "reid.safetensors"
_NETWORK = "network."
_SETTLING = 640  # unspoilt crops for the moments of the necks


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
    network = started(config)  # refused here rather than after the data was read
    samples = _samples(config, world, network.dim)
    learner = Learner(network, samples.classes, config)
    learner.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        parameter_groups(learner, config), weight_decay=config.weight_decay
    )
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
    set_training(learner, freeze_norms=False, kept=frozen_blocks(network, config))
    rhythm = Rhythm(config.save_every, config.log_every, config.tensorboard)
    batches = _batches(samples, config, run.step, world)
    fit(run, batches, _terms_of(run, learner, config), rhythm)
    finished = Path(config.out) / FINISHED
    if world.is_main:
        _write(_own(run.average.state), finished, samples, learner, config)
    world.wait()
    return finished


def identities_of(text: str) -> tuple[Sightings, float]:
    """A set of ``identities`` and its share.

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
    return read_identities(source, SKELETON), share


def _samples(config: ReidTrainConfig, world: World, dim: int) -> ReidSamples:
    sets = [identities_of(text) for text in config.identities]
    for text in config.instances:
        spec = SetSpec.parse(text)
        sets.append((instances(spec.read(SKELETON)), spec.ratio))
    for people, share in sets:
        known = len(set(people.identities[people.identities >= 0].tolist()))
        log.info("%s: %d sightings of %d people, share %g",
                 people.images[0].parent, len(people), known, share)  # fmt: skip
    limit = config.cache_mb * 2**20 if config.cache == MEMORY else 0
    read = ImageCache(limit // (max(1, config.workers) * world.size)).read
    return ReidSamples(
        sets,
        people=config.people,
        views=config.views,
        augment=ReidAugment(),
        seed=config.seed,
        input_hw=crop_hw(config),
        read=read,
        taught=_taught(config, world, [people for people, _ in sets], read, dim),
        colour_seed=config.colour_seed,
    )


def _taught(
    config: ReidTrainConfig,
    world: World,
    sets: list[Sightings],
    read: Callable[[Path], NDArray[np.uint8]],
    dim: int,
) -> list[NDArray[np.float32]]:
    """What the teacher says of everybody, in ``dim`` numbers; one process asks, all read."""
    if not config.teacher:
        return []
    teacher = load_teacher(config.teacher, masks=config.masks)
    kept = Path(config.teacher_answers or Path(config.out) / "teacher.npz")

    def answers() -> list[NDArray[np.float32]]:
        return taught(
            teacher, sets, number=config.colourings, seed=config.colour_seed, read=read, kept=kept
        )

    mine = answers() if world.is_main else None
    world.wait()
    return projected(mine or answers(), dim)


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
    renderer = GuidanceRenderer(SKELETON, crop_hw(config))
    device, gather = run.world.device, run.world.gather

    def terms(batch: Sample) -> Mapping[str, Tensor]:
        learned = learner.embeddings(batch, renderer, device)
        who = gather(batch["identity"].to(device)), gather(batch["label"].to(device))
        answers = gather(batch["taught"].to(device)) if "taught" in batch else None
        named: dict[str, Tensor] = {}
        total = torch.zeros((), device=device)
        for name, each in learned.items():
            with torch.autocast(device.type, enabled=False):
                raw, neck = each.raw.float(), each.neck.float()
                found = _terms(
                    gather(raw), gather(neck), gather(each.classifier(neck)), who, config
                )
                if answers is not None:
                    found["teacher"] = teaching(gather(each.taught.float()), answers)
                    found["loss"] = found["loss"] + config.teacher_weight * found["teacher"]
            total = total + each.weight * found["loss"]
            named |= {name: found["loss"]} if name else found
        return {**named, "loss": total}

    return terms


def _terms(
    raw: Tensor,
    neck: Tensor,
    logits: Tensor,
    who: tuple[Tensor, Tensor],
    config: ReidTrainConfig,
) -> dict[str, Tensor]:
    """The losses of one embedding: triplets before the neck, the others behind it."""
    people, labels = who
    found = {
        "contrast": supervised_contrast(neck, people, config.temperature),
        "triplet": batch_hard_triplet(raw, people, config.margin),
        "identity": classification(logits, labels, config.smoothing),
    }
    weights = config.contrast_weight, config.triplet_weight, config.identity_weight
    total = sum(w * term for w, term in zip(weights, found.values(), strict=True))
    assert isinstance(total, Tensor)
    return {**found, "loss": total}


def _own(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own weights of a learner's state."""
    return {k[len(_NETWORK) :]: v for k, v in state.items() if k.startswith(_NETWORK)}


def _write(
    state: dict[str, Tensor],
    path: Path,
    samples: ReidSamples,
    learner: Learner,
    config: ReidTrainConfig,
) -> None:
    network = learner.network
    if isinstance(network, ReidNet):
        network.load_state_dict(state)
        network.cpu()
        renderer = GuidanceRenderer(SKELETON, crop_hw(config))
        still = samples.still(_SETTLING)
        parts = [
            crops_of(default_collate(still[at : at + config.batch_size]), renderer, "cpu")
            for at in range(0, len(still), config.batch_size)
        ]
        settle_necks(network, parts)
        if config.kept_dim:
            network = narrowed(network, parts, config.kept_dim)
        state = network.state_dict()
    save_tensors(state, path)
