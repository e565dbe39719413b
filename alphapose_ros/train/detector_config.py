# SPDX-License-Identifier: Apache-2.0
"""Configuration of ``alphapose-ros train detector``."""

from __future__ import annotations

from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.data.box_augment import BoxAugmentConfig
from alphapose_ros.models.yolox import SIZES
from alphapose_ros.train.cache import CACHES, NONE
from alphapose_ros.train.precision import FLOAT32, PRECISIONS
from alphapose_ros.train.schedule import COSINE, Schedule


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
        batch: images in each step, of all pieces and processes together.
        accumulate: pieces in which a step's images pass the network, for little memory; the loss
            of a step is the mean of theirs.
        learning_rate: peak, reached after ``warmup`` steps.
        trunk_rate: factor on it for the trunk; 0 keeps the trunk as it is.
        warmup: steps until the peak.
        schedule: cosine or multistep.
        milestones: steps of multistep at which the rate falls to ``gamma`` times as much.
        gamma: see ``milestones``.
        weight_decay: of AdamW; norms and biases do not decay.
        average_decay: of the weight average, which is what is exported.
        freeze_norms: keep the batch norms' moments (their scale and shift still learn);
            for small batches and short trainings from good start values.
        sides: canvas heights and widths in px, multiples of 32, drawn independently per batch.
        augment: how the images are varied.
        seed: of everything random.
        device: auto, cpu or cuda.
        precision: of the forward pass: float32, bfloat16 or float16.
        cache: memory keeps decoded images, none reads them anew each time; the same result.
        cache_mb: the most that they take, of all loader processes together.
        workers: processes that prepare samples; 0 prepares them in this one.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log, which are means over these steps.
        tensorboard: write the rows as TensorBoard curves too.
        resume: continue from output_dir's checkpoint if there is one.
    """

    annotations: str
    images_dir: str
    output_dir: str
    size: str = "nano"
    init: str = ""
    steps: int = 3000
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 1e-3
    trunk_rate: float = 1.0
    warmup: int = 200
    schedule: str = COSINE
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    weight_decay: float = 0.01
    average_decay: float = 0.998
    freeze_norms: bool = False
    sides: tuple[int, ...] = (288, 320, 352, 384, 416, 448)
    augment: BoxAugmentConfig = field(default_factory=BoxAugmentConfig)
    seed: int = 0
    device: str = "cpu"
    precision: str = FLOAT32
    cache: str = NONE
    cache_mb: int = 1000
    workers: int = 0
    save_every: int = 200
    log_every: int = 20
    tensorboard: bool = False
    resume: bool = True

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"size: expected one of {', '.join(SIZES)}, got {self.size!r}")
        for name in ("steps", "batch", "accumulate", "learning_rate", "warmup", "save_every",
                     "log_every", "cache_mb"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name, known in (("precision", PRECISIONS), ("cache", CACHES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if not self.sides or any(side < 32 or side % 32 for side in self.sides):
            raise ConfigError(f"sides: expected multiples of 32, got {self.sides}")
        _ = self.rates  # refused here rather than after the data was read

    @property
    def rates(self) -> Schedule:
        """The schedule of the learning rate."""
        return Schedule(self.steps, self.warmup, self.schedule, self.milestones, self.gamma)
