# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train detector``: YOLOX on person boxes, from scratch or from a known file."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from alphapose_ros.data.box_augment import BoxImage, compose
from alphapose_ros.data.detection import BoxSample, read_coco_boxes, readable
from alphapose_ros.models.yolox import YOLOX, anchor_grid
from alphapose_ros.models.yolox_weights import fold_norms, yolox_size
from alphapose_ros.train.cache import MEMORY, ImageCache
from alphapose_ros.train.detector_config import DetectorTrainConfig
from alphapose_ros.train.distributed import World, joined
from alphapose_ros.train.loop import Rhythm, Run, RunOptions, fit
from alphapose_ros.train.norms import restore_norms, set_training
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.run_config import deciding_options
from alphapose_ros.train.simota import detection_loss
from alphapose_ros.train.yolox_init import load_start
from alphapose_ros.weights import save_tensors

_log = logging.getLogger(__name__)
STEM_RATE = 1 / 128


@dataclass(frozen=True)
class _Batch:
    images: Tensor  # (B, 3, H, W) float32 BGR 0..255
    people: list[Tensor]
    ignore: list[Tensor]


class _Samples(Dataset[BoxImage]):
    """Sample p of a run: a function of the seed and p alone, so that resuming is exact."""

    def __init__(
        self, config: DetectorTrainConfig, samples: list[BoxSample], world: World
    ) -> None:
        self.config, self.samples = config, samples
        processes = max(1, config.workers) * world.size
        limit = config.cache_mb * 2**20 // processes if config.cache == MEMORY else 0
        self._images = ImageCache(limit)

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
            image = self._images.read(sample.path)
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
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    cv2.setNumThreads(0)  # workers are the parallelism
    with joined(config.device) as world:
        return _train(config, world)


def _train(config: DetectorTrainConfig, world: World) -> Path:
    dataset = read_coco_boxes(config.annotations, config.images_dir)
    samples, broken = readable(dataset.samples)
    _log.info("%d images, %d missing, %d broken", len(samples), len(dataset.missing), len(broken))
    data = _Samples(config, samples, world)
    model = YOLOX(config.size, num_classes=1)
    if config.init:
        load_start(model, config.init)
    options = RunOptions(
        config.rates,
        config.average_decay,
        35.0,
        config.accumulate,
        config.precision,
        decided_by=deciding_options(config),
    )
    folder = Path(config.output_dir)
    run = Run(folder, model.to(world.device), _optimizer(model, config), options, world)
    if not (config.resume and run.resume()) and config.init:
        first = _loader(data, 0, min(config.steps, 8), World())
        restore_norms(model, (batch.images.to(world.device) for batch in first))
        run.start_average()
    kept = [] if config.trunk_rate > 0 else [model.backbone.get_submodule("backbone")]
    set_training(model, config.freeze_norms, kept)
    rhythm = Rhythm(config.save_every, config.log_every, config.tensorboard)
    batches = _loader(data, run.step, config.steps, world)
    fit(run, batches, lambda batch: step_losses(model, batch, world), rhythm)
    path = folder / "detector.safetensors"
    if world.is_main:
        export_weights(run.average.state, path)
    world.wait()
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


def _loader(data: _Samples, start: int, steps: int, world: World) -> DataLoader[_Batch]:
    config = data.config
    source: Any = data  # collate_fn makes batches of another type than the samples
    sampler = PositionSampler(start, steps, config.batch, pieces=config.accumulate, world=world)
    return DataLoader(
        source, sampler.share, sampler=sampler, num_workers=config.workers, collate_fn=_collate,
        persistent_workers=config.workers > 0,
    )  # fmt: skip


def step_losses(model: YOLOX, batch: _Batch, world: World) -> dict[str, Tensor]:
    """Loss terms over the whole batch of all processes, see :func:`train.simota.detection_loss`.

    Each process divides by the positive cells of its own images; to be added up, the terms need
    the number of all.
    """
    device = world.device
    images = batch.images.to(device)
    points, strides = anchor_grid(images.shape[-2:], device)
    people = [boxes.to(device) for boxes in batch.people]
    ignore = [boxes.to(device) for boxes in batch.ignore]
    raw = model.raw(images)
    with torch.autocast(device.type, enabled=False):
        terms = detection_loss(raw, people, ignore, points, strides)
    per_image = terms.pop("positives")
    own = (per_image * len(images)).round()
    whole = world.total(own)
    share = own.clamp(min=1) / whole.clamp(min=1)
    shared = {name: value * share for name, value in terms.items()}
    loss = shared.pop("total")
    # The value of all processes, the gradient of one's own part.
    losses = {"loss": loss + (world.total(loss) - loss.detach())}
    losses |= {name: world.total(value) for name, value in shared.items()}
    return losses | {"positives": whole / (len(images) * world.size)}


def export_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict of a YOLOX as float32 safetensors with the norms folded in."""
    model = YOLOX(yolox_size(state), num_classes=1)
    model.load_state_dict(dict(state))
    fold_norms(model.eval())
    save_tensors(model.state_dict(), path)
