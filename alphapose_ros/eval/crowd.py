# SPDX-License-Identifier: Apache-2.0
"""A crowd that is simulated: exact truth without limit for whoever keeps people apart.

``simulate(config, seed)`` gives one frame after the other: poses as networks would find them,
embeddings, the motion of the camera, and who everybody is. The same seed gives the same crowd.
Nothing is drawn; ``crowd_images`` makes pictures of it with crops of real people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Appearance, IntArray, Poses
from alphapose_ros.eval.crowd_camera import Camera, frame_times, stamp_ns
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_detector import SimulatedDetector, SimulatedLooks
from alphapose_ros.eval.crowd_people import make_people
from alphapose_ros.eval.crowd_scene import Scene, SeenPeople, Things


@dataclass(frozen=True)
class CrowdFrame:
    """One picture of the crowd.

    Attributes:
        stamp_ns: when it was taken; time_s: the same from the start of the sequence.
        people: everybody in the picture, covered or not.
        things: the occluders.
        poses: as found, of COCO's skeleton; appearance: of the same rows.
        owners: (N,) whose each pose is: a name, 0 for an invention, -1, -2 ... for posts.
        motion: (2, 3) affine map, px of the frame before -> px of this one; at the picture's
            centre it is exact to first order. homography: (3, 3), exact everywhere.
        counted: (T,) rows of ``people`` who are seen well enough to be asked for.
    """

    stamp_ns: int
    time_s: float
    people: SeenPeople
    things: Things
    poses: Poses
    appearance: Appearance
    owners: IntArray
    homography: NDArray[np.float64]
    motion: NDArray[np.float64]
    counted: NDArray[np.bool_]

    @property
    def truth(self) -> SeenPeople:
        """Those who are asked for."""
        return self.people[self.counted]


def simulate(
    config: CrowdConfig, seed: int, visits: Sequence[int] | None = None
) -> Iterator[CrowdFrame]:
    """The frames of one sequence in the order of time.

    Args:
        config: see :class:`CrowdConfig`.
        seed: of all that is random.
        visits: most visits of each person, where crops or the like do not last for more.
    """
    # Each part has random numbers of its own: another detector leaves the walks as they are.
    streams = [np.random.default_rng([seed, part]) for part in range(6)]
    times = frame_times(config, streams[0])
    camera = Camera(config, times, streams[1])
    people = make_people(config, streams[2], visits)
    scene = Scene(config, people, camera, times, streams[3])
    detector = SimulatedDetector(config, scene, streams[4])
    names = [*(person.name for person in people), *range(-config.posts, 0)]
    looks = SimulatedLooks(config, names, streams[5])
    for frame, time_s in enumerate(times.tolist()):
        seen, things = scene.see(frame)
        poses, owners = detector(seen, frame)
        homography = camera.motion(max(frame - 1, 0), frame)
        yield CrowdFrame(
            stamp_ns=stamp_ns(time_s),
            time_s=time_s,
            people=seen,
            things=things,
            poses=poses,
            appearance=looks(poses, owners, seen, time_s),
            owners=owners,
            homography=homography,
            motion=affine_at_centre(homography, config.image_hw),
            counted=seen.visibility >= config.least_visibility,
        )


def affine_at_centre(
    homography: NDArray[np.float64], image_hw: tuple[int, int]
) -> NDArray[np.float64]:
    """(2, 3) affine map that agrees with a homography around the picture's centre."""
    centre = np.array([image_hw[1] / 2, image_hw[0] / 2])
    top, bottom = homography[:2], homography[2]
    weight = bottom[:2] @ centre + bottom[2]
    image = (top[:, :2] @ centre + top[:, 2]) / weight
    linear = (top[:, :2] - np.outer(image, bottom[:2])) / weight
    return np.concatenate([linear, (image - linear @ centre)[:, None]], 1)
