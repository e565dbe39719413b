# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train pose``: the light whole-body network, heatmap warm-up, then SIKR."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.augment import AugmentConfig
from alphapose_ros.data.pose_samples import PoseSamples, SetSpec, as_input, one_thread
from alphapose_ros.data.pseudo import pseudo_label
from alphapose_ros.models.light import LightPose, fold_batch_norm
from alphapose_ros.pose.losses import PoseLoss, PoseLossConfig
from alphapose_ros.train.loop import CsvLog, PositionSampler, Run, WeightAverage
from alphapose_ros.train.norms import restore_norms
from alphapose_ros.weights import load_tensors, save_tensors

log = logging.getLogger(__name__)

_RESTORE_BATCHES = 16


@dataclass(frozen=True)
class PoseTrainConfig:
    """A training run of the pose network.

    Attributes:
        out: folder for checkpoint, log and the finished weights.
        sets: data sets as ANNOTATIONS@IMAGES=RATIO.
        faces: a face-only set to paste onto heads, as ANNOTATIONS@IMAGES; empty for none.
        pseudo: a set whose people without a pose are labelled by ``teacher``, as
            ANNOTATIONS@IMAGES=RATIO; empty for none. Done once, kept in ``out``.
        teacher: ONNX network that labels them.
        init: weights to start from: a safetensors file of this network, or MoveNet's .tflite.
        steps: optimizer steps of the whole schedule.
        batch_size: crops per step.
        learning_rate: peak; the trunk gets ``trunk_rate`` times as much.
        warmup: steps over which the rate rises.
        heatmap_steps: steps at the start with the heatmap term alone.
        weight_decay: of AdamW.
        freeze: number of trunk blocks, from the input, that keep their weights.
        freeze_norm: keep the batch norms' running moments (small batches would spoil them).
        sikr_weight: weight of the SIKR term beside the heatmap term's 1.
        tail_cut: share of a map's peak below which the SIKR term takes no part of it; as decoding
            does. 0 is AlphaPose's own.
        average_decay: of the exponential moving average that becomes the finished weights.
        augment: strength of the augmentation, 1 as configured, 0 none.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log, which are means over these steps.
        workers: loader processes.
        threads: CPU threads of PyTorch, 0 for its own choice.
        device: auto, cpu or cuda.
        seed: of data order and augmentation.
    """

    out: str = "runs/pose"
    sets: list[str] = field(default_factory=list)
    faces: str = ""
    pseudo: str = ""
    teacher: str = ""
    init: str = ""
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 3e-4
    trunk_rate: float = 0.3
    warmup: int = 100
    heatmap_steps: int = 100
    weight_decay: float = 0.01
    freeze: int = 0
    freeze_norm: bool = True
    sikr_weight: float = 4.0
    tail_cut: float = 0.3
    average_decay: float = 0.999
    augment: float = 1.0
    save_every: int = 100
    log_every: int = 20
    workers: int = 1
    threads: int = 0
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sets:
            raise ConfigError("sets: expected at least one ANNOTATIONS@IMAGES=RATIO, got none")
        if self.pseudo and not self.teacher:
            raise ConfigError("pseudo: expected a teacher as well, got none")
        for name in ("steps", "batch_size", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")


def train_pose(config: PoseTrainConfig) -> Path:
    """Train, resuming where the folder's checkpoint stands; returns the finished weight file."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = torch.device(_device(config.device))
    network = start_network(config.init).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(
        Path(config.out),
        network,
        torch.optim.AdamW(_groups(network, config), weight_decay=config.weight_decay),
        steps=config.steps,
        warmup=config.warmup,
        average_decay=config.average_decay,
        max_gradient_norm=5.0,
    )
    if run.resume():
        log.info("resumed at step %d of %d", run.step, run.steps)
    elif config.init.endswith(".tflite"):
        _restore(run, config, device)
    _loop(run, config, device)
    return export_weights(run.average.state, Path(config.out) / "pose.safetensors")


def _loop(run: Run, config: PoseTrainConfig, device: torch.device) -> None:
    warm = PoseLoss(HALPE136, PoseLossConfig(sikr=0.0))
    full = PoseLoss(HALPE136, PoseLossConfig(sikr=config.sikr_weight, tail_cut=config.tail_cut))
    table = CsvLog(run.folder / "log.csv", run.step)
    for batch in _progress(_batches(run.step, config), run.step, config.steps):
        run.model.train()
        if config.freeze_norm:
            _freeze_norms(run.model)
        logits = run.model(as_input(batch["image"], device))
        loss = warm if run.step < config.heatmap_steps else full
        terms = loss(logits, batch["points"].to(device), batch["labels"].to(device))
        run.advance(terms["loss"])
        for name, value in terms.items():
            run.sums[name] = run.sums.get(name, 0.0) + value.item()
        if run.step % config.log_every == 0 or run.step == run.steps:
            since = run.step % config.log_every or config.log_every
            means = {name: total / since for name, total in run.sums.items()}
            table.write(run.step, means | {"rate": run.optimizer.param_groups[0]["lr"]})
            run.sums = {}
        if run.step % config.save_every == 0 or run.step == run.steps:
            run.save()


def _restore(run: Run, config: PoseTrainConfig, device: torch.device) -> None:
    """A file with folded norms gets them back, with the moments of some augmented batches."""
    batches = itertools.islice(_batches(0, config), _RESTORE_BATCHES)
    restore_norms(run.model, (as_input(batch["image"], device) for batch in batches))
    run.average = WeightAverage(run.model, config.average_decay)


def start_network(init: str) -> LightPose:
    """A network with the weights of ``init``, or with random ones where that is empty.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    network = LightPose(len(HALPE136))
    if init.endswith(".tflite"):
        from alphapose_ros.train.movenet import load_movenet

        load_movenet(network, Path(init))
    elif init:
        try:
            network.load_state_dict(load_tensors(Path(init)))
        except RuntimeError as error:
            raise WeightsError(
                f"{init}: expected the weights of this network, norms not folded: {error}"
            ) from error
    return network


def export_weights(state: dict[str, Tensor], path: Path) -> Path:
    """Write the finished network, its norms folded, as safetensors in float16.

    Folding comes first: running variances span more than half precision holds.
    """
    network = LightPose(len(HALPE136))
    network.load_state_dict(state)
    folded = fold_batch_norm(network.eval()).state_dict()
    save_tensors({k: v.half() for k, v in folded.items()}, path)
    log.info("wrote %s", path)
    return path


def _batches(start: int, config: PoseTrainConfig) -> Iterable[dict[str, Tensor]]:
    specs = [*map(SetSpec.parse, config.sets), *_pseudo_labelled(config)]
    people = [(spec.read(HALPE136), spec.ratio) for spec in specs]
    for one, _ in people:
        log.info("%s: %d people, left out %s", one.images[0].parent, len(one), one.problems)
    faces = SetSpec.parse(config.faces).read(HALPE136) if config.faces else None
    samples = PoseSamples(people, faces, scaled(config.augment), seed=config.seed)
    return DataLoader(
        samples,
        batch_size=config.batch_size,
        sampler=PositionSampler(start, config.steps, config.batch_size),
        num_workers=config.workers,
        worker_init_fn=one_thread,
    )


def _pseudo_labelled(config: PoseTrainConfig) -> list[SetSpec]:
    """The set that the teacher labels, made on the first call."""
    if not config.pseudo:
        return []
    spec = SetSpec.parse(config.pseudo)
    made = Path(config.out) / "pseudo.json"
    if not made.exists():
        pseudo_label(Path(config.teacher), spec.annotations, spec.images, made)
    return [replace(spec, annotations=made)]


def scaled(strength: float) -> AugmentConfig:
    """The default augmentation with every number but the mirror's and the faces' scaled."""
    d = AugmentConfig()
    return AugmentConfig(
        rotation_deg=d.rotation_deg * strength,
        scale=d.scale * strength,
        shift=d.shift * strength,
        half_body_probability=d.half_body_probability * strength,
        colour=d.colour * strength,
        low_resolution_probability=d.low_resolution_probability * strength,
        occlusion_probability=d.occlusion_probability * strength,
    )


def _groups(network: LightPose, config: PoseTrainConfig) -> list[dict[str, object]]:
    """Trunk and the rest at their own rates; frozen blocks take no gradient at all."""
    network.features[: config.freeze].requires_grad_(False)
    trunk = [p for p in network.features.parameters() if p.requires_grad]
    rest = [p for name, p in network.named_parameters() if not name.startswith("features.")]
    rate = config.learning_rate
    return [{"params": rest, "lr": rate}, {"params": trunk, "lr": rate * config.trunk_rate}]


def _freeze_norms(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _progress(
    batches: Iterable[dict[str, Tensor]], start: int, steps: int
) -> Iterable[dict[str, Tensor]]:
    from tqdm import tqdm

    return tqdm(batches, initial=start, total=steps, unit="step", mininterval=5)
