# SPDX-License-Identifier: Apache-2.0
"""Parameters of re-identification."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting


@dataclass(frozen=True)
class ReidConfig:
    """What people look like, for the tracker.

    Attributes:
        enabled: embed people at all; where no weights are named and none come with the package,
            nobody is embedded either way.
        weights: file of weights (this project's, OSNet's, OSNet-AIN's, or an .xml of Open Model
            Zoo's person-reidentification, which OpenVINO runs on the CPU) or name of a known
            model; empty: the bundled one, where there is one.
        attention: look at the person alone, by the poses: this project's network weights its
            features, the others get crops in which all but the person fades to grey.
        input_height: rows of a crop in the network, px, a multiple of 16; 0: 128, for OSNet 256.
        input_width: columns of a crop in the network, px, a multiple of 16; 0: 64, for OSNet 128.
        distance_scale: how far apart people lie to the network (1 - cosine of embeddings), to
            what the tracker's thresholds of looks are meant for; they are taken so many times as
            far from 1. 0: the known network's own (reid_nano .8), 1 for a file that is not known.
        padding: factor from the person's box, brought to the crop's aspect, to the crop.
        max_batch: crops per network call.
        joint_score: joints below it count as unseen in an embedding's quality.
        full_height: people as tall as this in the image get the best quality, smaller ones less,
            px.
    """

    enabled: bool = setting(True, live=False)
    weights: str = setting("", live=False)
    attention: bool = setting(True, live=False)
    input_height: int = setting(0, low=0, live=False)
    input_width: int = setting(0, low=0, live=False)
    distance_scale: float = setting(0.0, low=0)
    padding: float = setting(1.1, above=0, live=False)
    max_batch: int = setting(64, low=1, live=False)
    joint_score: float = setting(0.2, low=0, high=1)
    full_height: float = setting(96.0, above=0)

    def __post_init__(self) -> None:
        check_settings(self, "reid")
        for name in ("input_height", "input_width"):
            if getattr(self, name) % 16:
                raise ConfigError(
                    f"reid.{name}: expected a multiple of 16, got {getattr(self, name)}"
                )
        if bool(self.input_height) != bool(self.input_width):
            raise ConfigError(
                "reid: expected input_height and input_width both, or 0 for both, got "
                f"{self.input_height} and {self.input_width}"
            )

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """Height and width of a crop; None: the network's own."""
        return (self.input_height, self.input_width) if self.input_height else None
