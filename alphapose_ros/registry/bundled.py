# SPDX-License-Identifier: Apache-2.0
"""The models that come with the package, trained by this project's own commands."""

from __future__ import annotations

from alphapose_ros.registry.spec import RAW_STD, ModelSpec

POSE_NANO = "pose_nano"
DETECTOR_NANO = "detector_nano"
_FEET = tuple(
    f"{side}_{point}" for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
)

BUNDLED = (
    ModelSpec(
        name=POSE_NANO,
        file="pose_nano.safetensors",
        sha256="dcfbee6175ff7d47d3c75b274dce47ab00210325954f4cf073ed765fc4efbee7",
        task="pose",
        format="light",
        skeleton="halpe136",
        decode="sikr",
        input_hw=(256, 192),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        untaught=_FEET,
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose136_mbv2: MoveNet Lightning's trunk and decoder trained on "
        "for 136 joints on the same data (1.39 million crops, batch 256)",
        data="4,274 people of COCO val2017 images (of them 938 pseudo-labelled faces and 914 "
        "hands), 353 pseudo-labelled people of the same images, 8,191 people of LSPet, 3,221 "
        "faces of YouTube Faces pasted onto heads",
        recipe="config/train_pose_nano.yaml in two schedules of 500 and, from its end, 800 steps "
        "of 32 crops: AdamW, heatmap term and SIKR with the symmetric gradient; the average at "
        "the end of the second is the file, norms folded, float16",
        metrics={
            "mean OKS": 0.672,
            "AP": 0.466,
            "AUROC of the joint score": 0.824,
            "face error / box side (pseudo labels)": 0.0161,
            "the same of a mean face in the head box": 0.0378,
            "PCK@0.1 on LSPet": 0.831,
        },
        measured_on="744 people in 257 other COCO val2017 images (a subset, not COCO val AP), "
        "annotated boxes, 17 joints, only annotated ones: alphapose-ros eval pose --annotations "
        "coco_person/val.json --images coco_person/images; LSPet: 483 people, --annotations "
        "lspet/val.json --images lspet/images --without lr_suspect",
    ),
    ModelSpec(
        name=DETECTOR_NANO,
        file="detector_nano.safetensors",
        sha256="a223932ecfcf5a760840b532df7a7f8b882a7a48521e3ffeb2fcf393511fa20c",
        task="detection",
        format="yolox",
        detector_name="yolox",
        input_hw=(416, 416),
        channels="BGR",
        std=RAW_STD,
        licence="Apache-2.0; grown from YOLOX, Copyright Megvii Inc., Apache-2.0",
        origin="YOLOX-nano by Megvii (COCO train2017), from its ONNX export; of the 80 classes "
        "the person's row, the folded norms restored with measured moments",
        data="1,888 COCO val2017 images with a person, long side <= 512 px, crowds ignored",
        recipe="config/train_detector_nano.yaml in two schedules: 900 steps with the trunk fixed, "
        "then 600 steps from their end with the trunk at 0.3 of the rate; the average at the end "
        "of the second is the file",
        metrics={
            "AP50": 0.686,
            "AP": 0.399,
            "AP50 of the start in the same run": 0.679,
            "recall at precision 0.8, people taller than 96 px": 0.902,
        },
        measured_on="300 other COCO val2017 images (a subset, not COCO val AP), long side <= 512 "
        "px: alphapose-ros eval detector --annotations coco_person/val.json --images "
        "coco_person/images --teacher yolox_nano.onnx",
    ),
)
