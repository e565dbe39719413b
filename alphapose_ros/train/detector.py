# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train detector``: YOLOX on person boxes, from scratch or from a known file."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.data.box_augment import BoxAugmentConfig, BoxImage, compose
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.detection import BoxSample, read_coco_boxes, readable
from alphapose_ros.models.yolox import SIZES, YOLOX, anchor_grid
from alphapose_ros.models.yolox_weights import fold_norms, yolox_size
from alphapose_ros.train.loop import CsvLog, PositionSampler, Run
from alphapose_ros.train.norms import restore_norms
from alphapose_ros.train.simota import detection_loss
from alphapose_ros.train.yolox_init import load_start
from alphapose_ros.weights import save_tensors

_log = logging.getLogger(__name__)
STEM_RATE = 1 / 128


@dataclass(frozen=True)
class DetectorTrainConfig:
    """What to train on, from where, for how long.

    Attributes:
        annotations: COCO annotation file; crowds are regions to ignore.
        images_dir: folder of its images.
        output_dir: receives checkpoint.pt, log.csv and at the end detector.safetensors.
        size: of the network, a key of ``models.yolox.SIZES``.
        init: start values (.safetensors or .pth with the public names, or .onnx); empty: random.
        steps: optimizer steps.
        batch: images in each step.
        learning_rate: peak, reached after ``warmup`` steps, then a cosine to 0.
        trunk_rate: factor on it for the trunk; 0 keeps the trunk as it is.
        warmup: steps until the peak.
        weight_decay: of AdamW; norms and biases do not decay.
        average_decay: of the weight average, which is what is exported.
        freeze_norms: keep the batch norms' moments (their scale and shift still learn);
            for small batches and short trainings from good start values.
        sides: canvas heights and widths in px, multiples of 32, drawn independently per batch.
        augment: how the images are varied.
        seed: of everything random.
        device: torch device.
        workers: processes that prepare samples; 0 prepares them in this one.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log.
        resume: continue from output_dir's checkpoint if there is one.
    """

    annotations: str
    images_dir: str
    output_dir: str
    size: str = "nano"
    init: str = ""
    steps: int = 3000
    batch: int = 8
    learning_rate: float = 1e-3
    trunk_rate: float = 1.0
    warmup: int = 200
    weight_decay: float = 0.01
    average_decay: float = 0.998
    freeze_norms: bool = False
    sides: tuple[int, ...] = (288, 320, 352, 384, 416, 448)
    augment: BoxAugmentConfig = field(default_factory=BoxAugmentConfig)
    seed: int = 0
    device: str = "cpu"
    workers: int = 0
    save_every: int = 200
    log_every: int = 20
    resume: bool = True

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"size: expected one of {', '.join(SIZES)}, got {self.size!r}")
        for name in ("steps", "batch", "learning_rate", "warmup", "save_every", "log_every"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        if not self.sides or any(side < 32 or side % 32 for side in self.sides):
            raise ConfigError(f"sides: expected multiples of 32, got {self.sides}")


@dataclass(frozen=True)
class _Batch:
    images: Tensor  # (B, 3, H, W) float32 BGR 0..255
    people: list[Tensor]
    ignore: list[Tensor]


class _Samples(Dataset[BoxImage]):
    """Sample p of a run: a function of the seed and p alone, so that resuming is exact."""

    def __init__(self, config: DetectorTrainConfig, samples: list[BoxSample]) -> None:
        self.config, self.samples = config, samples

    def __getitem__(self, position: int) -> BoxImage:
        config = self.config
        shared = np.random.default_rng([config.seed, 0, position // config.batch])
        height, width = shared.choice(config.sides, 2)
        rng = np.random.default_rng([config.seed, 1, position])
        epoch, turn = divmod(position, len(self.samples))
        order = np.random.default_rng([config.seed, 2, epoch]).permutation(len(self.samples))
        queue = iter([int(order[turn])])  # each image leads once an epoch, mosaics add others

        def draw() -> BoxImage:
            index = next(queue, None)
            chosen = int(rng.integers(len(self.samples))) if index is None else index
            sample = self.samples[chosen]
            image = read_image(sample.path)
            # Boxes follow the file if it was scaled since it was annotated.
            ratio = np.tile(np.array(image.shape[1::-1]) / sample.size_hw[::-1], 2)
            boxes, ignore = ((b * ratio).astype(np.float32) for b in (sample.boxes, sample.ignore))
            return BoxImage(image, boxes, ignore)

        return compose(draw, (int(height), int(width)), config.augment, rng)


def _collate(samples: list[BoxImage]) -> _Batch:
    images = np.stack([sample.image[..., ::-1] for sample in samples])
    return _Batch(
        torch.from_numpy(images).permute(0, 3, 1, 2).float(),
        [torch.from_numpy(sample.boxes) for sample in samples],
        [torch.from_numpy(sample.ignore) for sample in samples],
    )


def train_detector(config: DetectorTrainConfig) -> Path:
    """Train, then write the averaged weights to ``output_dir/detector.safetensors``.

    Returns:
        The file.

    Raises:
        InputError: annotations or images cannot be used.
        WeightsError: start values or checkpoint are damaged or of another network.
        TrainingDiverged: the loss is no number any more.
    """
    torch.manual_seed(config.seed)
    cv2.setNumThreads(0)  # workers are the parallelism
    dataset = read_coco_boxes(config.annotations, config.images_dir)
    samples, broken = readable(dataset.samples)
    _log.info("%d images, %d missing, %d broken", len(samples), len(dataset.missing), len(broken))
    device = torch.device(config.device)
    data = _Samples(config, samples)
    model = YOLOX(config.size, num_classes=1)
    if config.init:
        load_start(model, config.init)
    run = Run(
        Path(config.output_dir), model.to(device), _optimizer(model, config),
        steps=config.steps, warmup=config.warmup, average_decay=config.average_decay,
        max_gradient_norm=35.0,
    )  # fmt: skip
    if not (config.resume and run.resume()) and config.init:
        first = _loader(data, 0, min(config.steps, 8))
        restore_norms(model, (batch.images.to(device) for batch in first))
        run.average.state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    _loop(config, run, data, device)
    path = run.folder / "detector.safetensors"
    export_weights(run.average.state, path)
    return path


def _optimizer(model: YOLOX, config: DetectorTrainConfig) -> torch.optim.Optimizer:
    """AdamW; matrices decay, norms and biases do not, trunk and stem have rates of their own."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        factor = 1.0
        if name.startswith("backbone.backbone."):
            factor = config.trunk_rate
            # The stem's inputs are pixels of 0..255 where all others are about 1.
            factor *= STEM_RATE if ".stem.conv.conv." in name else 1.0
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            groups[factor, parameter.ndim > 1].append(parameter)
    options: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": config.learning_rate * factor,
            "weight_decay": config.weight_decay if matrices else 0.0,
        }
        for (factor, matrices), parameters in groups.items()
    ]
    return torch.optim.AdamW(options)


def _loader(data: _Samples, start: int, steps: int) -> DataLoader[_Batch]:
    config = data.config
    source: Any = data  # collate_fn makes batches of another type than the samples
    return DataLoader(
        source, config.batch, sampler=PositionSampler(start, steps, config.batch),
        num_workers=config.workers, collate_fn=_collate, persistent_workers=config.workers > 0,
    )  # fmt: skip


def _loop(config: DetectorTrainConfig, run: Run, data: _Samples, device: torch.device) -> None:
    log = CsvLog(run.folder / "log.csv", run.step)
    set_training(run.model, config.freeze_norms)
    progress = tqdm(total=config.steps, initial=run.step, desc="detector", unit="step")
    for batch in _loader(data, run.step, config.steps):
        losses = step_losses(run.model, batch, device)
        run.advance(losses["total"])
        progress.update()
        if run.step % config.log_every == 0 or run.step == config.steps:
            values = {name: float(value.detach()) for name, value in losses.items()}
            log.write(run.step, {**values, "learning_rate": run.optimizer.param_groups[-1]["lr"]})
            progress.set_postfix(loss=f"{values['total']:.3f}")
        if run.step % config.save_every == 0 or run.step == config.steps:
            run.save()
    progress.close()


def step_losses(model: nn.Module, batch: _Batch, device: torch.device) -> dict[str, Tensor]:
    """Loss terms of one batch, see :func:`train.simota.detection_loss`."""
    images = batch.images.to(device)
    assert isinstance(model, YOLOX)
    points, strides = anchor_grid(images.shape[-2:], device)
    people = [boxes.to(device) for boxes in batch.people]
    ignore = [boxes.to(device) for boxes in batch.ignore]
    return detection_loss(model.raw(images), people, ignore, points, strides)


def set_training(model: nn.Module, freeze_norms: bool) -> None:
    """Training mode, the batch norms' moments held where they are if ``freeze_norms``."""
    model.train()
    if freeze_norms:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def export_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict of a YOLOX as float32 safetensors with the norms folded in."""
    model = YOLOX(yolox_size(state), num_classes=1)
    model.load_state_dict(dict(state))
    fold_norms(model.eval())
    save_tensors(model.state_dict(), path)
