# SPDX-License-Identifier: Apache-2.0
"""Which loss trains a pose network, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.info import NORMS
from alphapose_ros.pose.sikr import AMPLITUDE, EIGHTH

KINDS = ("sikr", "integral", "heatmap", "combined")
ROBUST = ("l1", "huber", "charbonnier", "cauchy")
FINE = ("face", "left_hand", "right_hand")


@dataclass(frozen=True)
class PoseLossConfig:
    """Which loss, and its weights.

    Attributes:
        heatmap, sikr: weights of the two terms. AlphaPose's combined models have 100 and .01,
            see :meth:`original`.
        sigma, fine_sigma: Gaussian in heatmap pixels for body and feet, for face and hands;
            AlphaPose's own kinds take ``sigma`` for all.
        fine: weight of the face and hand parts beside the others' 1.
        amplitude: of the symmetric gradient, a number or ``eighth``, see ``symmetric_integral``.
        tail_cut: of the coordinates, see ``sikr.normalise``; best what decoding will use.
        kind: ``sikr``: cross entropy of the maps against Gaussians, L1 of the coordinates with the
            amplitude symmetric gradient. ``integral``: the same with the expectation's true
            gradient. ``heatmap``: AlphaPose's squared error of the maps alone. ``combined``:
            that for body and feet, its L1 of coordinates for face and hands.
        norm: of the coordinates, see ``sikr.normalise``. Under ``divide_sum`` a map is its own
            confidence, so its heatmap term is a squared error.
        parts: part name -> weight, instead of what ``fine`` says.
        pseudo: weight of joints with label 1, derived or pseudo-labelled.
        robust: their distance: ``l1``, like everybody's; ``huber`` and ``charbonnier``, which
            forgive errors below ``robust_px``; ``cauchy``, which also lets go of those far above.
        robust_px: scale of that distance in input px.
    """

    heatmap: float = 1.0
    sikr: float = 4.0
    sigma: float = 2.0
    fine_sigma: float = 1.4
    fine: float = 0.4
    amplitude: float | str = AMPLITUDE
    tail_cut: float = 0.0
    kind: str = "sikr"
    norm: str = "sigmoid"
    parts: Mapping[str, float] = field(default_factory=dict)
    pseudo: float = 1.0
    robust: str = "l1"
    robust_px: float = 8.0

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("norm", NORMS), ("robust", ROBUST)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.amplitude != EIGHTH and not _positive(self.amplitude):
            raise ConfigError(
                f"amplitude: expected a number above 0 or {EIGHTH}, got {self.amplitude!r}"
            )
        for name in ("sigma", "fine_sigma", "robust_px"):
            if not _positive(getattr(self, name)):
                raise ConfigError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        weights = {name: getattr(self, name) for name in ("heatmap", "sikr", "fine", "pseudo")}
        for name, value in {**weights, **self.parts}.items():
            if not value >= 0:
                raise ConfigError(f"{name}: expected a weight of 0 or more, got {value}")
        if self.tail_cut and self.norm != "sigmoid":
            raise ConfigError(f"tail_cut: expected 0 under norm {self.norm}, got {self.tail_cut}")

    @classmethod
    def original(cls, kind: str) -> PoseLossConfig:
        """AlphaPose's own weights for its ``heatmap`` and ``combined`` models.

        Raises:
            ConfigError: another kind.
        """
        weights = {"heatmap": (1.0, 0.0), "combined": (100.0, 0.01)}
        if kind not in weights:
            raise ConfigError(f"kind: expected one of {', '.join(weights)}, got {kind!r}")
        heatmap, sikr = weights[kind]
        return cls(heatmap, sikr, fine=1.0, kind=kind)


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0
