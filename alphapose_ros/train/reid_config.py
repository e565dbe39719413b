# SPDX-License-Identifier: Apache-2.0
"""Configuration of ``alphapose-ros train reid``."""

from __future__ import annotations

from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.train.cache import CACHES, MEMORY
from alphapose_ros.train.precision import FLOAT32, PRECISIONS
from alphapose_ros.train.schedule import COSINE, SCHEDULES, Schedule


@dataclass(frozen=True)
class ReidTrainConfig:
    """A training run of the re-identification network.

    Attributes:
        out: folder for checkpoint, log and the finished weights.
        identities: sets with identities, as FOLDER=RATIO (crops named as Market-1501's),
            LIST@ROOT=RATIO (.txt of MSMT17's kind), GT@IMAGES=RATIO (gt.txt of MOT) or
            ANNOTATIONS@IMAGES=RATIO (.json of PoseTrack).
        instances: pose data sets, as ANNOTATIONS@IMAGES=RATIO; every person is one of its own,
            met again as augmented views.
        init: weights to start from: a pose network's trunk (a light network's file or name) or a
            file of ``train reid``; empty: random ones.
        steps: optimizer steps of the whole schedule.
        people: different people in a batch.
        views: sightings or views of each.
        learning_rate: peak; the trunk gets ``trunk_rate`` times as much.
        trunk_rate: see ``learning_rate``.
        freeze: number of trunk blocks, from the input, that keep their weights.
        warmup: steps over which the rate rises.
        schedule: cosine or multistep.
        milestones: steps of multistep at which the rate falls to ``gamma`` times as much.
        gamma: see ``milestones``.
        weight_decay: of AdamW.
        identity_weight: of the classification of people who were seen more than once.
        smoothing: of its labels.
        triplet_weight: of the triplets with the batch's hardest pairs.
        margin: of the triplets.
        contrast_weight: of the supervised contrast.
        temperature: of the contrast.
        plain_weight: of the same losses on the embedding without attention; 0 leaves it untrained.
        average_decay: of the exponential moving average that becomes the finished weights.
        precision: of the forward pass: float32, bfloat16 or float16.
        cache: memory keeps decoded images, none reads them anew each time; the same result.
        cache_mb: the most that they take, of all loader processes together.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log, which are means over these steps.
        tensorboard: write the rows as TensorBoard curves too.
        workers: loader processes.
        threads: CPU threads of PyTorch, 0 for its own choice.
        device: auto, cpu or cuda.
        seed: of data order, augmentation and random weights.
    """

    out: str = "runs/reid"
    identities: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    init: str = ""
    steps: int = setting(5000, low=1)
    people: int = setting(32, low=2)
    views: int = setting(2, low=2)
    learning_rate: float = setting(1e-3, above=0)
    trunk_rate: float = setting(0.3, low=0)
    freeze: int = setting(4, low=0)
    warmup: int = setting(100, low=0)
    schedule: str = setting(COSINE, choices=SCHEDULES)
    milestones: list[int] = field(default_factory=list)
    gamma: float = setting(0.1, low=0, high=1)
    weight_decay: float = setting(0.01, low=0)
    identity_weight: float = setting(0.5, low=0)
    smoothing: float = setting(0.1, low=0, high=1)
    triplet_weight: float = setting(0.5, low=0)
    margin: float = setting(0.3, low=0)
    contrast_weight: float = setting(1.0, low=0)
    temperature: float = setting(0.1, above=0)
    plain_weight: float = setting(0.5, low=0)
    average_decay: float = setting(0.998, low=0, high=1)
    precision: str = setting(FLOAT32, choices=PRECISIONS)
    cache: str = setting(MEMORY, choices=CACHES)
    cache_mb: int = setting(3000, low=1)
    save_every: int = setting(100, low=1)
    log_every: int = setting(20, low=1)
    tensorboard: bool = False
    workers: int = setting(0, low=0)
    threads: int = setting(0, low=0)
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.identities and not self.instances:
            raise ConfigError("identities, instances: expected at least one set, got none")
        _ = self.rates  # refused here rather than after the data was read

    @property
    def rates(self) -> Schedule:
        """The schedule of the learning rate."""
        return Schedule(self.steps, self.warmup, self.schedule, tuple(self.milestones), self.gamma)

    @property
    def batch_size(self) -> int:
        """Crops per step."""
        return self.people * self.views
