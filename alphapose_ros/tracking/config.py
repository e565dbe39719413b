# SPDX-License-Identifier: Apache-2.0
"""Parameters of the tracker. Times are seconds of the images' stamps, never frames."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting


@dataclass(frozen=True)
class TrackerConfig:
    """How poses become people with identities.

    A person's size is the square root of the box area. Similarities lie in [0, 1]; cosines of
    embeddings have a scale of their own, see ``reid.distance_scale``.

    Attributes:
        high_score: box score from which a detection counts in every stage.
        low_score: box score from which a detection may keep a person alive who is tracked.
        start_score: box score from which a detection may begin a track and confirm it.
        start_pose_score: mean score of the better half of the taught body joints from which it
            may; half, because who stands close shows no legs. Posts and trees stay below.
        duplicate_iou: a detection that overlaps a tracked person's this much begins no track.
        confirm_hits: detections until a tentative track gets its identity.
        confirm_s: time between the first and the confirming detection at least, s.
        tentative_lost_s: a tentative track survives being unseen for this long, s.
        gap_s: who was missing in images for longer gets a new track number on return, s.
        max_lost_s: a person unseen for longer loses the identity, s. More than the time between
            two images, else everybody is lost in every one.
        publish_lost_s: people unseen for no longer than this are still reported, s.
        joint_score: joints below do not count in comparisons of poses.
        pose_tolerance: factor on the sigmas of OKS, for limbs that move between two images.
        box_weight: weight of the overlap of boxes in the first stage.
        pose_weight: weight of OKS in the first stage.
        appearance_weight: weight of the embeddings, where there are any.
        appearance_similarity: least cosine of embeddings in the stage of appearance, and of
            whoever was out of sight.
        appearance_veto: least cosine of embeddings in every other stage, where they are known.
        look_interval_s: who walks alone is looked at again after this long at most, s; 0: in every
            image. Whoever is new, lost or near somebody is looked at in any case.
        match_similarity: least similarity of the first stage.
        rematch_similarity: least similarity of the second stage (leftovers and lost people).
        low_similarity: least overlap of the stage of low scores.
        tentative_similarity: least similarity for tentative tracks.
        gallery_s: lost identities may be found again by their looks for this long, s.
        gallery_size: lost identities remembered at most, beside those lost just now.
        gallery_similarity: least cosine of embeddings to be a lost person.
        gallery_margin: lead over the person next in similarity that this takes.
        gallery_wait_s: a new track that might be somebody known stays tentative for this long
            at most, until its looks decide, s.
        camera_motion: follow the background's motion, for cameras that move; needs OpenCV.
        gate: largest distance to the predicted centre, in standard deviations.
        reach: distance to the predicted centre that is allowed in any case, sizes.
        reach_speed: growth of that distance while the person is unseen, sizes per second.
        size_ratio: largest ratio of the sizes of person and detection.
        speed_std: spread of people's speed in the image, sizes per second.
        speed_memory_s: time after which a person's velocity is forgotten (to 1/e), s.
        growth_std: spread of the rate at which width and height change, sizes per second.
        position_noise: spread of the detector's centres, sizes.
        extent_noise: spread of the detector's widths and heights, sizes.
        smoothing: One-Euro filter on the joints; adds lag, see smoothing.py.
        smoothing_min_cutoff_hz: its cutoff for a joint that stands still, Hz.
        smoothing_speed_coefficient: its gain in cutoff per speed, Hz per (size per second).
    """

    high_score: float = setting(0.5, low=0, high=1)
    low_score: float = setting(0.1, low=0, high=1)
    start_score: float = setting(0.5, low=0, high=1)
    start_pose_score: float = setting(0.45, low=0, high=1)
    duplicate_iou: float = setting(0.8, low=0, high=1)
    confirm_hits: int = setting(3, low=1)
    confirm_s: float = setting(0.15, low=0)
    tentative_lost_s: float = setting(0.1, low=0)
    gap_s: float = setting(0.25, low=0)
    max_lost_s: float = setting(3.0, low=0)
    publish_lost_s: float = setting(0.0, low=0)
    joint_score: float = setting(0.1, low=0, high=1)
    pose_tolerance: float = setting(1.5, above=0)
    box_weight: float = setting(1.0, low=0)
    pose_weight: float = setting(1.0, low=0)
    appearance_weight: float = setting(1.0, low=0)
    appearance_similarity: float = setting(0.5, low=0, high=1)
    appearance_veto: float = setting(0.4, low=0, high=1)
    look_interval_s: float = setting(0.5, low=0)
    match_similarity: float = setting(0.3, low=0, high=1)
    rematch_similarity: float = setting(0.35, low=0, high=1)
    low_similarity: float = setting(0.5, low=0, high=1)
    tentative_similarity: float = setting(0.25, low=0, high=1)
    gallery_s: float = setting(300.0, low=0)
    gallery_size: int = setting(100, low=0)
    gallery_similarity: float = setting(0.6, low=0, high=1)
    gallery_margin: float = setting(0.05, low=0, high=1)
    gallery_wait_s: float = setting(0.5, low=0)
    camera_motion: bool = False
    gate: float = setting(3.5, above=0)
    reach: float = setting(0.3, above=0)
    reach_speed: float = setting(1.0, low=0)
    size_ratio: float = setting(2.0, above=1)
    speed_std: float = setting(0.8, above=0)
    speed_memory_s: float = setting(3.0, above=0)
    growth_std: float = setting(0.4, above=0)
    position_noise: float = setting(0.05, above=0)
    extent_noise: float = setting(0.1, above=0)
    smoothing: bool = False
    smoothing_min_cutoff_hz: float = setting(1.5, above=0)
    smoothing_speed_coefficient: float = setting(2.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self, "tracker")
        self._check("box_weight", self.box_weight + self.pose_weight > 0, "a weight > 0 somewhere")
        self._check("low_score", self.low_score <= self.high_score, "at most high_score")
        self._check("start_score", self.start_score >= self.high_score, "at least high_score")
        # Said here, so that nobody turns it on live and loses every image after that.
        usable = not self.camera_motion or importlib.util.find_spec("cv2") is not None
        self._check("camera_motion", usable, "false while OpenCV (cv2) is not installed")

    def for_distances(self, scale: float) -> TrackerConfig:
        """With thresholds of looks for embeddings that lie ``scale`` times as far apart."""
        if scale == 1:
            return self
        least = {
            name: max(0.0, 1 - (1 - getattr(self, name)) * scale)
            for name in ("appearance_similarity", "appearance_veto", "gallery_similarity")
        }
        return replace(self, gallery_margin=min(1.0, self.gallery_margin * scale), **least)

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ConfigError(f"tracker.{name}: expected {expected}, got {getattr(self, name)!r}")
