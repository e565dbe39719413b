# SPDX-License-Identifier: Apache-2.0
"""Made-up people of capsules before a wall, ray-cast into depth images; and is that right?

World: x east, y north, z up, m. A person's own axes are forward, left, up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from alphapose_ros.base.records import Intrinsics, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import HALPE136, SKELETONS
from alphapose_ros.base.transform import RigidTransform

CAMERA = Intrinsics(475.0, 475.0, 319.5, 239.5, (480, 640))
PERSON, FLOOR, WALL, TABLE, NOTHING = 1, 2, 3, 4, 0
SECOND = 1_000_000_000
LIMBS = "shoulder elbow wrist hip knee ankle".split()
BODY = ["nose", *(f"{side}_{joint}" for joint in LIMBS for side in ("left", "right"))]


def capsule(rays, origin, a, b, radius):
    """Ray parameter of the first hit; infinite where there is none."""
    axis = np.asarray(b) - a
    length = np.linalg.norm(axis)
    axis = axis / max(length, 1e-9)
    offset = origin - np.asarray(a)
    d, o = rays - (rays @ axis)[..., None] * axis, offset - (offset @ axis) * axis
    t = _quadratic((d * d).sum(-1), d @ o, o @ o - radius**2)
    along = (rays @ axis) * np.where(np.isfinite(t), t, 0) + offset @ axis
    hits = [np.where((along >= 0) & (along <= length), t, np.inf)]
    for gap in (origin - np.asarray(a), origin - np.asarray(b)):
        hits.append(_quadratic((rays * rays).sum(-1), rays @ gap, gap @ gap - radius**2))
    return np.min(hits, 0)


def _quadratic(a, b, c):
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0))) / np.maximum(a, 1e-12)
    return np.where((root >= 0) & (t > 0), t, np.inf)


def plane(rays, origin, point, normal):
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ((point - origin) @ normal) / (rays @ normal)
    return np.where(t > 0, t, np.inf)


def box(rays, origin, low, high):
    with np.errstate(divide="ignore", invalid="ignore"):
        ts = np.stack([(low - origin) / rays, (high - origin) / rays])
    enter, leave = ts.min(0).max(-1), ts.max(0).min(-1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


@dataclass(frozen=True)
class Person:
    """Joints by name and the capsules around them, in the world."""

    joints: dict
    capsules: list

    def moved(self, by):
        by = np.asarray(by, float)
        return Person(
            {name: p + by for name, p in self.joints.items()},
            [(a + by, b + by, r) for a, b, r in self.capsules],
        )

    @property
    def centre(self):
        names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
        return np.mean([self.joints[n] for n in names], 0)


# Directions of upper arm and forearm: forward, left (of a left arm), up.
ARM = {
    "hang": ([0.0, 0.3, -1.0], [0.1, 0.1, -1.0]),
    "side": ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
    "reach": ([0.75, 0.5, -0.2], [1.0, 0.35, 0.1]),
}


def make_person(at=(0.0, 0.0), yaw=0.0, height=1.7, left="hang", right="hang"):
    """A person of Winter's proportions who stands at ``at`` and faces ``yaw``."""
    h, parts, joints = height, [], {}
    for side, sign, pose in (("left", 1, left), ("right", -1, right)):
        mirror = np.array([1.0, sign, 1.0])
        upper, fore = (np.array(v) / np.linalg.norm(v) * mirror for v in ARM[pose])
        limb = {"shoulder": np.array([0, 0.129 * h * sign, 0.818 * h])}
        limb["elbow"] = limb["shoulder"] + 0.186 * h * upper
        limb["wrist"] = limb["elbow"] + 0.146 * h * fore
        for joint, y, z in (("hip", 0.0955, 0.53), ("knee", 0.09, 0.285), ("ankle", 0.085, 0.039)):
            limb[joint] = np.array([0, y * h * sign, z * h])
        ankle = limb["ankle"]
        limb["heel"] = ankle + np.array([-0.05, 0, -0.03])
        limb["big_toe"] = ankle + np.array([0.17, -0.03 * sign, -0.03])
        limb["small_toe"] = ankle + np.array([0.14, 0.03 * sign, -0.03])
        joints |= {f"{side}_{name}": p for name, p in limb.items()}
        joints |= _hand(side, limb["wrist"], fore, parts)
        for a, b, r in (
            ("shoulder", "elbow", 0.05), ("elbow", "wrist", 0.042), ("hip", "knee", 0.08),
            ("knee", "ankle", 0.055), ("ankle", "big_toe", 0.035), ("ankle", "small_toe", 0.035),
            ("ankle", "heel", 0.035), ("shoulder", "hip", 0.09),
        ):  # fmt: skip
            parts.append((limb[a], limb[b], r))
    joints |= _head(h, parts)
    for a, b, r in (
        ("left_shoulder", "right_shoulder", 0.07), ("left_hip", "right_hip", 0.1),
        ("neck", "pelvis", 0.1), ("left_shoulder", "right_hip", 0.09),
        ("right_shoulder", "left_hip", 0.09),
    ):  # fmt: skip
        parts.append((joints[a], joints[b], r))
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    place = np.array([*at, 0.0])
    return Person(
        {name: turn @ p + place for name, p in joints.items()},
        [(turn @ a + place, turn @ b + place, r) for a, b, r in parts],
    )


def _hand(side, wrist, along, parts):
    across = np.cross(along, [0.3, 0.1, 0.95])
    across /= np.linalg.norm(across)
    joints = {f"{side}_hand_wrist": wrist}
    for f, finger in enumerate(("thumb", "index", "middle", "ring", "little")):
        root = wrist + 0.08 * along + (f - 2) * 0.018 * across
        for i in range(1, 5):
            joints[f"{side}_hand_{finger}_{i}"] = root + (i - 1) * 0.028 * along
        parts.append((wrist, root, 0.02))
        parts.append((root, root + 0.09 * along, 0.014))
    return joints


def _head(h, parts):
    middle, radius = np.array([0.02, 0, 0.93 * h]), 0.1
    parts.append((middle, middle + np.array([0, 0, 0.01]), radius))
    parts.append((np.array([0, 0, 0.83 * h]), middle, 0.055))
    joints = {
        "nose": middle + np.array([radius, 0, -0.01]),
        "head_top": middle + np.array([0, 0, radius]),
        "neck": np.array([0, 0, 0.84 * h]),
        "pelvis": np.array([0, 0, 0.53 * h]),
    }
    for side, sign in (("left", 1), ("right", -1)):
        joints[f"{side}_eye"] = middle + np.array([0.09, 0.035 * sign, 0.025])
        joints[f"{side}_ear"] = middle + np.array([0.0, 0.09 * sign, 0.0])
    for i in range(68):
        az = np.radians(-70 + 140 * i / 16 if i < 17 else -35 + 70 * ((i * 7) % 17) / 16)
        el = np.radians(-25 if i < 17 else -25 + 50 * ((i * 5) % 13) / 12)
        joints[f"face_{i}"] = middle + radius * np.array(
            [np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)]
        )
    return joints


def camera_at(at=(0.0, 0.0, 0.9), yaw=0.0, pitch=0.0):
    """Transform from the optical frame to the world; it looks along ``yaw``, down by ``pitch``."""
    c, s, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([c * cp, s * cp, -sp])
    right = np.array([s, -c, 0.0])
    return RigidTransform(
        np.stack([right, np.cross(forward, right), forward], 1), np.asarray(at, float)
    )


@dataclass(frozen=True)
class Scene:
    """People, a floor at z = 0, a wall at x = ``wall`` and a table's (low, high) corners."""

    people: tuple
    wall: float = 2.4
    table: tuple | None = None

    def cast(self, pixels, camera, intrinsics=CAMERA):
        """(..., 2) px of a camera without distortion -> depth (...) m and what is seen (...)."""
        i = intrinsics
        flat = np.concatenate(
            [(pixels - (i.cx, i.cy)) / (i.fx, i.fy), np.ones((*pixels.shape[:-1], 1))], -1
        )
        rays, origin = camera.vectors(flat), camera.translation
        hits = [np.full(rays.shape[:-1], 1e3)]
        hits.append(self._people(rays, camera, intrinsics, pixels))
        hits.append(plane(rays, origin, np.zeros(3), np.array([0.0, 0, 1])))
        hits.append(plane(rays, origin, np.array([self.wall, 0, 0]), np.array([1.0, 0, 0])))
        if self.table is not None:
            hits.append(box(rays, origin, *map(np.asarray, self.table)))
        depth, owner = np.min(hits, 0), np.argmin(hits, 0)
        return np.where(owner == NOTHING, np.nan, depth), owner

    def _people(self, rays, camera, intrinsics, pixels):
        nearest = np.full(rays.shape[:-1], np.inf)
        for a, b, r in (part for person in self.people for part in person.capsules):
            ends = np.stack([a, b])
            near = project(ends, camera, intrinsics)
            margin = 1.5 * r * intrinsics.fx / max(camera.inverse().points(ends)[:, 2].min(), 0.1)
            low, high = near.min(0) - margin, near.max(0) + margin
            if pixels.shape[:2] == intrinsics.size_hw:  # a whole image
                (x0, y0), (x1, y1) = np.maximum([low, high], 0).astype(int)
                inside = np.s_[y0 : y1 + 2, x0 : x1 + 2]
            else:
                inside = ((pixels > low) & (pixels < high)).all(-1)
            hit = capsule(rays[inside], camera.translation, a, b, r)
            nearest[inside] = np.minimum(nearest[inside], hit)
        return nearest

    def image(self, camera, intrinsics=CAMERA, rng=None):
        """Depth image (H, W) m, with a Kinect's noise if ``rng``, and what is seen."""
        depth, owner = self.cast(pixel_grid(intrinsics), camera, intrinsics)
        if rng is not None:
            depth = depth + kinect_noise(depth) * rng.normal(size=depth.shape)
        return depth.astype(np.float32), owner


def kinect_noise(depth):
    return 0.0012 + 0.0019 * (depth - 0.4) ** 2


def pixel_grid(intrinsics):
    rows, columns = np.indices(intrinsics.size_hw)
    return np.stack([columns, rows], -1).astype(float)


def project(points, camera, intrinsics=CAMERA):
    """(..., 3) m in the world -> (..., 2) px, without distortion."""
    own = camera.inverse().points(points)
    i = intrinsics
    return own[..., :2] / own[..., 2:] * (i.fx, i.fy) + (i.cx, i.cy)


def joint_array(person, skeleton=HALPE136, hand="left_hand_"):
    """(K, 3) m of a skeleton's joints."""
    prefix = hand if skeleton.name == "hand21" else ""
    return np.stack([person.joints[prefix + name] for name in skeleton.keypoint_names])


def make_tracks(keypoints, skeleton=HALPE136, scores=0.9, ids=None, states=TrackState.TRACKED):
    """Tracks of keypoints (N, K, 2) px."""
    keypoints = np.asarray(keypoints, np.float32).reshape(-1, len(skeleton), 2)
    n, k = keypoints.shape[:2]
    ids = np.arange(1, n + 1) if ids is None else np.asarray(ids)
    finite = np.nan_to_num(keypoints)
    boxes = np.concatenate([finite.min(1), finite.max(1)], 1) if n else np.zeros((0, 4))
    poses = Poses(
        keypoints, np.broadcast_to(np.float32(scores), (n, k)).copy(), boxes, np.ones(n),
        np.arange(n), skeleton,
    )  # fmt: skip
    return Tracks(
        ids, ids, poses, np.broadcast_to(np.uint8(states), (n,)), np.zeros((n, 2)),
        np.ones(n), np.zeros(n), np.ones(n),
    )  # fmt: skip


def see(people, camera, skeleton=HALPE136, intrinsics=CAMERA):
    """Tracks of people as they are, without any noise."""
    points = np.stack([joint_array(p, skeleton) for p in people])
    return make_tracks(project(points, camera, intrinsics), skeleton)


def test_a_ball_is_as_near_as_its_front(rng) -> None:
    scene = Scene((Person({}, [(np.array([2.0, 0, 1.2]), np.array([2.0, 0, 1.2]), 0.3)]),))
    depth, owner = scene.cast(np.array([[319.5, 239.5], [0, 239.5]]), camera_at((0, 0, 1.2)))
    np.testing.assert_allclose(depth, [1.7, 2.4])
    assert owner.tolist() == [PERSON, WALL]


def test_a_capsule_is_the_spheres_along_its_axis(rng) -> None:
    a, b = np.array([2.0, -0.3, 1.0]), np.array([1.6, 0.4, 1.5])
    camera = camera_at((0, 0, 1.2))
    pixels = rng.uniform([150, 100], [500, 350], (200, 2))
    balls = [(p, p, 0.1) for p in np.linspace(a, b, 400)]
    one = Scene((Person({}, [(a, b, 0.1)]),)).cast(pixels, camera)[0]
    many = Scene((Person({}, balls),)).cast(pixels, camera)[0]
    assert (one < 2.3).sum() > 20
    np.testing.assert_allclose(one, many, atol=0.02)


def test_a_pixel_on_the_floor_projects_back() -> None:
    camera = camera_at((0.1, -0.2, 1.1), yaw=0.3, pitch=0.4)
    pixel = np.array([[400.0, 400.0]])
    depth, owner = Scene((), wall=9.0).cast(pixel, camera)
    i = CAMERA
    ray = np.append((pixel[0] - (i.cx, i.cy)) / (i.fx, i.fy), 1.0)
    point = camera.points(ray * depth[0])
    assert owner[0] == FLOOR
    assert point[2] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(project(point[None], camera), pixel, atol=1e-6)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_every_joint_is_inside_or_on_the_body(skeleton) -> None:
    person = make_person((2.0, 0.0), yaw=np.pi)
    camera = camera_at(pitch=0.1)
    pixels = project(joint_array(person, skeleton), camera)
    _, owner = Scene((person,)).cast(pixels, camera)
    assert (owner == PERSON).mean() > 0.95
