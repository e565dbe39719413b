# SPDX-License-Identifier: Apache-2.0
"""Configuration of ``alphapose-ros train reid``."""

from __future__ import annotations

from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.train.cache import CACHES, MEMORY
from alphapose_ros.train.run_config import RunConfig

REID_NET = "reid_net"
_WIDTHS = ("x0_25", "x0_5", "x0_75", "x1_0")
LAYOUTS = (
    REID_NET,
    *(f"{kind}_{width}" for kind in ("osnet", "osnet_ain") for width in _WIDTHS),
)


@dataclass(frozen=True)
class ReidTrainConfig(RunConfig):
    """A training run of the re-identification network.

    Attributes:
        out: folder for checkpoint, log and the finished weights.
        identities: sets with identities, as FOLDER=RATIO (crops named as Market-1501's),
            LIST@ROOT=RATIO (.txt of MSMT17's kind), GT@IMAGES=RATIO (gt.txt of MOT) or
            ANNOTATIONS@IMAGES=RATIO (.json of PoseTrack).
        instances: pose data sets, as ANNOTATIONS@IMAGES=RATIO; every person is one of its own,
            met again as augmented views.
        layout: reid_net, this project's network with attention, or OSNet or OSNet-AIN of a width,
            which have none.
        init: weights to start from: a pose network's trunk (a light network's file or name) or a
            file of ``train reid``; for OSNet a published checkpoint; empty: random ones.
        dim: numbers of an embedding; 0: as ``init`` has them, else 128. OSNet has 512.
        kept_dim: numbers of the finished file's embeddings, where it shall have fewer than were
            trained: the directions that say most of people; 0: all.
        input_hw: height and width of the crops, multiples of 16; empty: 128 64, for OSNet
            256 128. Whoever runs the file sets ``reid.input_height`` and ``input_width`` to them.
        freeze: number of trunk blocks, from the input, that keep their weights; OSNet has 5.
        masks: crops in which all but the person fades to grey by the joints, for the teacher, too;
            the file says that the network wants such.
        people: different people in a batch.
        views: sightings or views of each.
        identity_weight: of the classification of people who were seen more than once.
        smoothing: of its labels.
        triplet_weight: of the triplets with the batch's hardest pairs.
        margin: of the triplets.
        contrast_weight: of the supervised contrast.
        temperature: of the contrast.
        teacher: weights of OSNet or OSNet-AIN, or an .xml of Open Model Zoo's
            person-reidentification networks: what it says of everybody is learned too; empty:
            none.
        teacher_answers: file that keeps what it said (default: teacher.npz in ``out``).
        colourings: in how many colours of clothes everybody is shown to it and learned, the first
            as they are; in the others he is nobody who could be classified.
        colour_seed: of the others.
        teacher_weight: of the distance (1 - cosine) from what the teacher says.
        attended_weight: of all of these losses on the embedding with attention.
        plain_weight: of the same on the embedding without attention; 0 leaves it untrained.
    """

    out: str = "runs/reid"
    identities: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    layout: str = setting(REID_NET, choices=LAYOUTS)
    init: str = ""
    dim: int = setting(0, low=0)
    kept_dim: int = setting(0, low=0)
    input_hw: list[int] = field(default_factory=list)
    steps: int = setting(5000, low=1)
    masks: bool = False
    people: int = setting(32, low=2)
    views: int = setting(2, low=2)
    learning_rate: float = setting(1e-3, above=0)
    freeze: int = setting(4, low=0)
    identity_weight: float = setting(0.5, low=0)
    smoothing: float = setting(0.1, low=0, high=1)
    triplet_weight: float = setting(0.5, low=0)
    margin: float = setting(0.3, low=0)
    contrast_weight: float = setting(1.0, low=0)
    temperature: float = setting(0.1, above=0)
    teacher: str = ""
    teacher_answers: str = ""
    colourings: int = setting(1, low=1)
    colour_seed: int = setting(0, low=0)
    teacher_weight: float = setting(10.0, above=0)
    attended_weight: float = setting(1.0, low=0)
    plain_weight: float = setting(0.5, low=0)
    average_decay: float = setting(0.998, low=0, high=1)
    cache: str = setting(MEMORY, choices=CACHES)
    cache_mb: int = setting(3000, low=1)
    workers: int = setting(0, low=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.identities and not self.instances:
            raise ConfigError("identities, instances: expected at least one set, got none")
        if self.input_hw and (
            len(self.input_hw) != 2 or any(size < 16 or size % 16 for size in self.input_hw)
        ):
            raise ConfigError(
                f"input_hw: expected height and width, multiples of 16, got {self.input_hw}"
            )
        if not self.teacher and (self.colourings > 1 or self.teacher_answers):
            raise ConfigError(
                "colourings, teacher_answers: expected a teacher with them, got none"
            )
        if self.layout != REID_NET:
            own = {
                "dim": 0,
                "kept_dim": 0,
                "attended_weight": 1.0,
                "plain_weight": 0.5,
                "masks": False,
            }
            for name, default in own.items():
                if getattr(self, name) != default:
                    raise ConfigError(
                        f"{name}: expected {default} for {self.layout}, which has one embedding "
                        f"of its own size, got {getattr(self, name)}"
                    )
        if self.teacher_answers and not self.teacher_answers.endswith(".npz"):
            raise ConfigError(f"teacher_answers: expected an .npz, got {self.teacher_answers!r}")
        if self.layout == REID_NET and not self.attended_weight and not self.plain_weight:
            raise ConfigError("attended_weight, plain_weight: expected one above 0, got none")
        _ = self.rates  # refused here rather than after the data was read

    @property
    def batch_size(self) -> int:
        """Crops per step."""
        return self.people * self.views
