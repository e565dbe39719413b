# SPDX-License-Identifier: Apache-2.0
"""Configuration of ``alphapose-ros train detector``."""

from __future__ import annotations

from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.data.box_augment import BoxAugmentConfig
from alphapose_ros.models.yolox import SIZES
from alphapose_ros.train.run_config import RunConfig


@dataclass(frozen=True, kw_only=True)
class DetectorTrainConfig(RunConfig):
    """A training run of the detector.

    Attributes:
        annotations: COCO annotation file; crowds are regions to ignore.
        images_dir: folder of its images.
        output_dir: receives checkpoint.pt, log.csv and at the end detector.safetensors.
        size: of the network.
        init: start values (.safetensors or .pth with the public names, or .onnx); empty: random.
        batch: images in each step, of all pieces and processes together.
        accumulate: pieces in which a step's images pass the network, for little memory; the loss
            of a step is the mean of theirs.
        trunk_rate: factor on the learning rate for the trunk; 0 keeps the trunk as it is.
        weight_decay: of AdamW; norms and biases do not decay.
        freeze_norms: keep the batch norms' moments (their scale and shift still learn);
            for small batches and short trainings from good start values.
        sides: canvas heights and widths in px, multiples of 32, drawn independently per batch.
        augment: how the images are varied.
        resume: continue from output_dir's checkpoint if there is one.
    """

    annotations: str
    images_dir: str
    output_dir: str
    size: str = setting("nano", choices=tuple(SIZES))
    init: str = ""
    batch: int = setting(8, low=1)
    accumulate: int = setting(1, low=1)
    learning_rate: float = setting(1e-3, above=0)
    trunk_rate: float = setting(1.0, low=0)
    warmup: int = setting(200, low=1)
    average_decay: float = setting(0.998, low=0, high=1)
    freeze_norms: bool = False
    sides: tuple[int, ...] = (288, 320, 352, 384, 416, 448)
    augment: BoxAugmentConfig = field(default_factory=BoxAugmentConfig)
    workers: int = setting(0, low=0)
    save_every: int = setting(200, low=1)
    resume: bool = True

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.sides or any(side < 32 or side % 32 for side in self.sides):
            raise ConfigError(f"sides: expected multiples of 32, got {self.sides}")
        _ = self.rates  # refused here rather than after the data was read
