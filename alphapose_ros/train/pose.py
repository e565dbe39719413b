# SPDX-License-Identifier: Apache-2.0
r"""``alphapose-ros train pose``: a pose network, heatmap warm-up, then SIKR.

Your own joints from few pictures: annotate some 50 people in COCO's format, describe the skeleton
in a YAML file, and start from the bundled network::

    alphapose-ros train pose --init pose_nano --skeleton mine.yaml \
        --sets train.json@images --out runs/mine --steps 200 --batch-size 12 \
        --heatmap-steps 0 --warmup 20 --learning-rate 5e-4 --average-decay 0.98 --cache memory

``runs/mine/pose.safetensors`` knows its skeleton: ``pose: {weights: runs/mine/pose.safetensors}``.
Several GPUs: ``torchrun --nproc-per-node 4 -m alphapose_ros train pose ...``.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from alphapose_ros.base.custom_skeleton import skeleton_named
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import AugmentConfig
from alphapose_ros.data.feet import FeetSpec, read_feet, read_set_with_feet
from alphapose_ros.data.people import People
from alphapose_ros.data.pose_samples import PoseSamples, SetSpec, one_thread, trusted
from alphapose_ros.data.pseudo import pseudo_label
from alphapose_ros.models.info import COMBINED, HEATMAP, SIKR, CheckpointInfo
from alphapose_ros.pose.ablation import warm_up
from alphapose_ros.pose.losses import PoseLoss
from alphapose_ros.train.cache import MEMORY, ImageCache
from alphapose_ros.train.distributed import World, joined
from alphapose_ros.train.feet_loss import FeetLoss
from alphapose_ros.train.loop import CHECKPOINT, Rhythm, Run, RunOptions, fit
from alphapose_ros.train.norms import restore_norms, set_training
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.run_config import deciding_options
from alphapose_ros.train.students import Student, make_student, write_student
from alphapose_ros.train.teacher import Teacher

log = logging.getLogger(__name__)

Sample = Mapping[str, Tensor]
_RESTORE_BATCHES = 16
_SHOWN = 10  # names in a warning


def train_pose(config: PoseTrainConfig, skeleton: Skeleton | None = None) -> Path:
    """Train, resuming where the folder's checkpoint stands; returns the finished weight file.

    Args:
        config: all about the run.
        skeleton: the joints to learn, in place of the one that ``config`` names.

    Raises:
        ConfigError: options that contradict each other or the processes.
        InputError: the data cannot be used.
        WeightsError: start values or checkpoint are damaged or of another network.
        TrainingDiverged: the loss is no number any more.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    chosen = skeleton or skeleton_named(config.skeleton)
    with joined(config.device) as world:
        return _train(config, chosen, world)


def _train(config: PoseTrainConfig, skeleton: Skeleton, world: World) -> Path:
    student = make_student(config.init, skeleton, config.network, config.given_starts)
    info = _decoded_as_trained(replace(student.info, input_hw=config.sizes[0]), config)
    student = replace(student, info=info)
    network = student.network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = Teacher(config.distill, skeleton, world.device) if config.distill else None
    samples, taught = _samples(config, skeleton, world, teacher)
    before = skeleton.keypoint_names if student.untaught is None else student.untaught
    info = replace(info, untaught=tuple(name for name in before if name not in taught))
    student = replace(student, info=info)
    optimizer = torch.optim.AdamW(_groups(student, config), weight_decay=config.weight_decay)
    options = RunOptions(
        config.rates,
        config.average_decay,
        5.0,
        config.accumulate,
        config.precision,
        skeleton.keypoint_names,
        deciding_options(config),
    )
    run = Run(Path(config.out), network, optimizer, options, world)
    if run.resume():
        log.info("resumed at step %d of %d", run.step, run.steps)
    elif student.folded:
        _restore(run, student, samples, config)
    # A random start has no moments yet that freezing could keep.
    freeze_norm = config.freeze_norm and bool(config.init)
    set_training(network, freeze_norm, student.trunk_blocks()[: config.freeze])
    batches = _batches(samples, config, run.step, world)
    rhythm = Rhythm(config.save_every, config.log_every, config.tensorboard)
    fit(run, batches, _terms_of(run, student, config, teacher), rhythm)
    finished = Path(config.out) / "pose.safetensors"
    if world.is_main:
        write_student(student, run.average.state, finished)
    world.wait()
    return finished


def _terms_of(
    run: Run, student: Student, config: PoseTrainConfig, teacher: Teacher | None
) -> Callable[[Sample], Mapping[str, Tensor]]:
    """What the loop asks of a batch: the loss' terms over the whole batch of all processes."""
    warm, full = (
        FeetLoss(student.skeleton, chosen, config.feet_weight)
        if config.feet
        else PoseLoss(student.skeleton, chosen)
        for chosen in (warm_up(config.chosen_loss), config.chosen_loss)
    )
    device, gather = run.world.device, run.world.gather

    def terms(batch: Sample) -> Mapping[str, Tensor]:
        logits = run.model(student.normalised(batch["image"], device))
        loss = warm if run.step < config.heatmap_steps else full
        with torch.autocast(device.type, enabled=False):  # sums over maps need all bits
            whole = gather(logits.float())
            found = loss(
                whole, gather(batch["points"].to(device)), gather(batch["labels"].to(device))
            )
            if teacher is None:
                return found
            taught = teacher(gather(batch["easy"].to(device)), config.distill_score)
            distilled = loss.distill(whole, taught)["loss"]
            total = found["loss"] + config.distill_weight * distilled
            return {**found, "loss": total, "distilled": distilled}

    return terms


def _decoded_as_trained(info: CheckpointInfo, config: PoseTrainConfig) -> CheckpointInfo:
    """``info`` with how the maps of this run's loss are read."""
    loss = config.chosen_loss
    decode = loss.kind if loss.kind in (HEATMAP, COMBINED) else SIKR
    return replace(info, decode=decode, tail_cut=loss.tail_cut, norm=loss.norm)


def _samples(
    config: PoseTrainConfig, skeleton: Skeleton, world: World, teacher: Teacher | None
) -> tuple[PoseSamples, Collection[str]]:
    """The people to learn from, and the names of the joints that they teach."""
    specs = [*map(SetSpec.parse, config.sets), *_pseudo_labelled(config, world)]
    people = [(_people(spec, config, skeleton), spec.ratio) for spec in specs]
    for one, _ in people:
        log.info("%s: %d people, left out %s", one.images[0].parent, len(one), one.problems)
    if config.faces and "face" not in skeleton.parts:
        raise ConfigError(f"faces: expected a skeleton with a face, got {skeleton.name!r}")
    faces = SetSpec.parse(config.faces).read(skeleton) if config.faces else None
    hands = SetSpec.parse(config.hands).read(skeleton) if config.hands else None
    if teacher:
        taught = set(skeleton.keypoint_names) - teacher.untaught
    else:
        taught = _taught_by(skeleton, [*(one for one, _ in people), *filter(None, (faces, hands))])
    reading: dict[str, Any] = {}
    if config.cache == MEMORY:
        processes = max(1, config.workers) * world.size
        reading["read"] = ImageCache(config.cache_mb * 2**20 // processes).read
    samples = PoseSamples(
        people,
        faces,
        replace(
            AugmentConfig().scaled(config.augment),
            proposals=config.proposals,
            dpg_probability=config.dpg,
        ),
        seed=config.seed,
        skeleton=skeleton,
        sizes=config.sizes,
        turn=config.batch_size // config.accumulate,
        hands=hands,
        easy=bool(config.distill),
        **reading,
    )
    return samples, taught


def _taught_by(skeleton: Skeleton, sets: Sequence[People]) -> set[str]:
    """Joints that somebody is labelled with, and a warning of the others.

    In the mirror a joint teaches its partner.
    """
    taught = np.any([people.labels.any(0) for people in sets], axis=0)
    taught |= taught[skeleton.flip_permutation]
    untaught = [skeleton.keypoint_names[k] for k in np.flatnonzero(~taught)]
    if untaught:
        names = ", ".join(untaught[:_SHOWN]) + (" ..." if len(untaught) > _SHOWN else "")
        log.warning(
            "nobody is annotated with %d of the joints, nothing teaches them: %s",
            len(untaught),
            names,
        )
    return set(skeleton.keypoint_names) - set(untaught)


def _people(spec: SetSpec, config: PoseTrainConfig, skeleton: Skeleton) -> People:
    """The people of a set, with the doubtful feet that are given for it."""
    feet = FeetSpec.parse(config.feet) if config.feet else None
    if feet is None or feet.annotations != spec.annotations:
        return spec.read(skeleton)
    return read_set_with_feet(
        spec.annotations, spec.images, read_feet(feet.feet), skeleton, label=1, keep=trusted
    )


def _batches(
    samples: PoseSamples, config: PoseTrainConfig, start: int, world: World
) -> Iterable[Sample]:
    sampler = PositionSampler(
        start, config.steps, config.batch_size, pieces=config.accumulate, world=world
    )
    return DataLoader(
        samples,
        batch_size=sampler.share,
        sampler=sampler,
        num_workers=config.workers,
        worker_init_fn=one_thread,
    )


def _pseudo_labelled(config: PoseTrainConfig, world: World) -> list[SetSpec]:
    """The set that the teacher labels, kept for a run that is resumed."""
    if not config.pseudo:
        return []
    spec = SetSpec.parse(config.pseudo)
    made = Path(config.out) / "pseudo.json"
    # Without a checkpoint nothing says that it was made with these options.
    kept = made.exists() and (Path(config.out) / CHECKPOINT).exists()
    if world.is_main and not kept:
        pseudo_label(Path(config.teacher), spec.annotations, spec.images, made)
    world.wait()
    return [replace(spec, annotations=made)]


def _restore(run: Run, student: Student, samples: PoseSamples, config: PoseTrainConfig) -> None:
    """A file with folded norms gets them back, with the moments of some augmented batches.

    Every process takes the whole batches: the networks must stay alike.
    """
    first = itertools.islice(_batches(samples, config, 0, World()), _RESTORE_BATCHES)
    device = run.world.device
    restore_norms(run.model, (student.normalised(batch["image"], device) for batch in first))
    run.start_average()


def _groups(student: Student, config: PoseTrainConfig) -> list[dict[str, object]]:
    """The rest and the trunk at their own rates; frozen blocks take no gradient at all."""
    blocks = student.trunk_blocks()
    for block in blocks[: config.freeze]:
        block.requires_grad_(False)
    in_trunk = {id(p) for block in blocks for p in block.parameters()}
    trunk: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in student.network.parameters():
        if parameter.requires_grad:
            (trunk if id(parameter) in in_trunk else rest).append(parameter)
    rate = config.learning_rate
    groups = [(rest, rate), (trunk, rate * config.trunk_rate)]
    return [{"params": params, "lr": lr} for params, lr in groups if params]
