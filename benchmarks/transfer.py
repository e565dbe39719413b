# SPDX-License-Identifier: Apache-2.0
"""Transfer learning: 50 labelled pictures of eight joints nobody taught before, on lspet.

python benchmarks/transfer.py LSPET_FOLDER OUT [STEPS]
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch

from alphapose_ros.base.affine import STRIDE, crop_boxes, map_to_image
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import People
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.checkpoint import load_checkpoint
from alphapose_ros.models.export import DecodedPose
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.students import make_student, write_student

# New joint -> the annotated joints that it lies between.
BETWEEN = {
    "chest": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    "head_centre": ("head_top", "neck"),
    **{
        f"{side}_{name}": tuple(f"{side}_{end}" for end in ends)
        for name, ends in {
            "upper_arm": ("shoulder", "elbow"),
            "forearm": ("elbow", "wrist"),
            "shin": ("knee", "ankle"),
        }.items()
        for side in ("left", "right")
    },
}
NAMES = tuple(BETWEEN)
OPERATOR = Skeleton(
    "operator8", NAMES, {"body": slice(0, 8)}, ((0, 1), (0, 2), (0, 3), (2, 4), (3, 5)),
    ((2, 3), (4, 5), (6, 7)), np.full(8, 0.08, np.float32),
)  # fmt: skip


def main() -> None:
    """Annotate, measure, train, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path, help="folder with train.json, val.json and images")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    annotate(args.data / "train.json", args.out / "train.json", 50)
    annotate(args.data / "val.json", args.out / "val.json", 150)
    held_out = SetSpec(args.out / "val.json", args.data / "images", 1).read(OPERATOR)
    start = make_student("pose_nano", OPERATOR)
    before = write_student(start, start.network.state_dict(), args.out / "before.safetensors")
    print(f"before: PCK@0.1 {pck(before, held_out):.3f}", flush=True)
    finished = train_pose(
        PoseTrainConfig(
            out=str(args.out / "run"), sets=[f"{args.out / 'train.json'}@{args.data / 'images'}"],
            init="pose_nano", steps=args.steps, batch_size=8, heatmap_steps=0, warmup=10,
            learning_rate=1e-3, trunk_rate=0.1, freeze=7, average_decay=0.97, augment=0.6,
            workers=0, threads=1, device="cpu", log_every=10, save_every=40,
        ),
        OPERATOR,
    )  # fmt: skip
    print(f"after: PCK@0.1 {pck(finished, held_out):.3f}", flush=True)


def annotate(source: Path, target: Path, count: int) -> None:
    """Write the first ``count`` people whose joints are all annotated, with the new joints."""
    content = json.loads(source.read_text())
    chosen = []
    for item in content["annotations"]:
        joints = np.array(item["keypoints"], float).reshape(-1, 3)
        rows = [joints[[HALPE136.index(n) for n in names]] for names in BETWEEN.values()]
        if item.get("lr_suspect") or any((row[:, 2] != 2).any() for row in rows):
            continue
        flat = [v for row in rows for v in (*row[:, :2].mean(0).round(2).tolist(), 2)]
        keep = {k: item[k] for k in ("id", "image_id", "bbox", "area", "iscrowd")}
        chosen.append(keep | {"category_id": 1, "keypoints": flat})
        if len(chosen) == count:
            break
    used = {item["image_id"] for item in chosen}
    images = [entry for entry in content["images"] if entry["id"] in used]
    category = {"id": 1, "name": "person", "keypoints": list(NAMES)}
    target.write_text(
        json.dumps({"images": images, "annotations": chosen, "categories": [category]})
    )


@torch.inference_mode()
def pck(weights: Path, people: People) -> float:
    """Share of joints within a tenth of the longer box side of the annotation."""
    network, info = load_checkpoint(weights)
    decode = SikrDecoder("sigmoid", 0.3, 6.0)
    decoded = DecodedPose(network, decode, mean=info.mean, std=info.std).eval()
    map_hw = info.input_hw[0] // STRIDE, info.input_hw[1] // STRIDE
    near = []
    for row in range(len(people)):
        image = read_image(people.images[people.image_rows[row]])
        crops = crop_boxes(people.boxes[row : row + 1], info.input_hw)
        pixels = ImageBatch.upload([image]).crops(crops, np.zeros(1, np.int64), info.input_hw)
        points, _ = decoded(pixels)
        found = map_to_image(points.numpy(), crops, map_hw)[0]
        side = (people.boxes[row, 2:] - people.boxes[row, :2]).max()
        near.append(np.linalg.norm(found - people.keypoints[row], axis=-1) <= 0.1 * side)
    return float(np.mean(near))


if __name__ == "__main__":
    main()
