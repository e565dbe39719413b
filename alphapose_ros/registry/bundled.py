# SPDX-License-Identifier: Apache-2.0
"""The models that come with the package, trained by this project's own commands."""

from __future__ import annotations

from alphapose_ros.registry.spec import RAW_STD, ModelSpec

POSE_NANO = "pose_nano"
POSE_FAST = "pose_fast"
DETECTOR_NANO = "detector_nano"
FACE_NANO = "face_nano"
HAND_NANO = "hand_nano"
REID_NANO = "reid_nano"

BUNDLED = (
    ModelSpec(
        name=POSE_NANO,
        file="pose_nano.safetensors",
        sha256="27069080964dd46169776e973300a7bed26bebd3f683dbddd1e24c562d2b646d",
        task="pose",
        format="light",
        skeleton="halpe136",
        decode="sikr",
        input_hw=(256, 192),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        untaught=("left_small_toe", "right_small_toe"),
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose136_mbv2: MoveNet Lightning's trunk and decoder trained on "
        "for 136 joints on the same data (1.39 million crops, batch 256)",
        data="4,274 people of COCO val2017 images (of them 938 pseudo-labelled faces and 914 "
        "hands), 353 pseudo-labelled people of the same images, 8,191 people of LSPet, 3,221 "
        "faces of YouTube Faces pasted onto heads",
        recipe="config/train_pose_nano.yaml in two schedules of 500 and, from its end, 800 steps "
        "of 32 crops: AdamW, heatmap term and SIKR with the symmetric gradient; the average at "
        "the end of the second, norms folded, then blended with a tenth of MoveNet's trunk "
        "(alphapose-ros train blend), float16",
        metrics={
            "mean OKS": 0.675,
            "AP": 0.477,
            "AUROC of the joint score": 0.821,
            "face error / box side (pseudo labels)": 0.0160,
            "the same of a mean face in the head box": 0.0378,
            "PCK@0.1 on LSPet": 0.834,
            "OKS of big toes": 0.708,
            "OKS of heels": 0.777,
        },
        measured_on="744 people in 257 other COCO val2017 images (a subset, not COCO val AP), "
        "annotated boxes, 17 joints, only annotated ones: alphapose-ros eval pose --annotations "
        "coco_person/val.json --images coco_person/images; LSPet: 483 people, --annotations "
        "lspet/val.json --images lspet/images --without lr_suspect; feet: 208 of the same people, "
        "--feet test/data/feet_val.json",
    ),
    ModelSpec(
        name=POSE_FAST,
        file="pose_fast.safetensors",
        sha256="3c7aa910dbe88333a1fb720f9e734c0d1e1f61fead95078fcaa62b97263dd66c",
        task="pose",
        format="light",
        skeleton="halpe136",
        decode="sikr",
        input_hw=(192, 128),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        untaught=("left_small_toe", "right_small_toe"),
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose_nano",
        data="as pose_nano",
        recipe="config/train_pose_nano_192x128.yaml in two schedules: 700 and, from its end, "
        "3,000 steps of 32 crops; the average at the end of the second, blended with a quarter of "
        "pose_nano's trunk (alphapose-ros train blend), then int8 (models convert --int8)",
        metrics={
            "mean OKS": 0.654,
            "AP": 0.429,
            "AP of pose_nano in crops of this size": 0.367,
            "AUROC of the joint score": 0.809,
            "PCK@0.1 on LSPet": 0.780,
            "OKS of big toes": 0.662,
            "OKS of heels": 0.756,
        },
        measured_on="as pose_nano, with --weights pose_fast; the share of the blend was chosen on "
        "these very people",
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
    ModelSpec(
        name=FACE_NANO,
        file="face_nano.safetensors",
        sha256="4a81dddbdcb4423d82182a6aa376a58431242cde2fc617333fc4129b0029ae1f",
        task="pose",
        format="light",
        skeleton="face68",
        decode="sikr",
        input_hw=(96, 96),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose_nano, as it was before it was blended",
        data="3,221 faces of YouTube Faces, 938 pseudo-labelled faces of COCO val2017 images",
        recipe="config/train_face_nano.yaml in two schedules: 1,140 steps of 16 faces, shortened "
        "twice on the way, and 1,500 from their end",
        metrics={
            "face error": 0.0329,
            "the same with the flip test": 0.0299,
            "the same of a mean face": 0.1035,
            "error on pseudo-labelled faces of person crops, share of a mean face's": 0.332,
        },
        measured_on="mean distance over the square root of the box area, 300 faces of 31 other "
        "people of YouTube Faces in their own boxes: alphapose-ros eval pose --annotations "
        "faces68/val.json --images faces68/images --weights face_nano; 121 pseudo-labelled faces "
        "of other COCO val2017 images in annotated person boxes: pose.face_weights: face_nano",
    ),
    ModelSpec(
        name=HAND_NANO,
        file="hand_nano.safetensors",
        sha256="71528c3cc2c9ce0331680d929b0c6ca88113a55d0b4928c2d6beebf507a63dbb",
        task="pose",
        format="light",
        skeleton="hand21",
        decode="sikr",
        input_hw=(128, 128),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose_nano",
        data="914 pseudo-labelled hands of COCO val2017 images",
        recipe="config/train_hand_nano.yaml in two schedules: 1,500 steps of 16 hands in crops of "
        "96x96, and 3,000 of 128x128 from their end; int8 (models convert --int8)",
        metrics={
            "L hand AP": 0.393,
            "L hand AP of pose_nano alone": 0.309,
            "R hand AP": 0.333,
            "R hand AP of pose_nano alone": 0.247,
        },
        measured_on="pseudo-labelled hands of 73 and 93 people of other COCO val2017 images in "
        "annotated person boxes, COCO-WholeBody's constants, pose.hand_weights: hand_nano: "
        "consistency with the networks that labelled them, not accuracy",
    ),
    ModelSpec(
        name=REID_NANO,
        file="reid_nano.safetensors",
        sha256="c455ddece205bb4e31f3ccbb03c6edc21541ca5035d6a38004f880c6f56ab91c",
        task="reid",
        format="reid",
        input_hw=(128, 64),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        distance_scale=0.8,
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0, and taught by "
        "person-reidentification-retail-0287 of Open Model Zoo, Copyright Intel Corporation, "
        "Apache-2.0",
        origin="the trunk of this project's own pose_nano, by config/train_reid_start.yaml",
        data="people of COCO val2017 images and of LSPet, each met again in augmented views, in "
        "two colourings, with what person-reidentification-retail-0287 says of them, and "
        "tracklets of one clip; no identities of people seen on different days or by different "
        "cameras",
        recipe="8,800 steps of config/train_reid_nano.yaml in five pieces, the rate falling to 0 "
        "in the first, third and last; of 256 numbers the 128 that say most",
        metrics={
            "rank-1": 0.950,
            "rank-1 without attention": 0.400,
            "rank-1, another person in front": 0.990,
            "the same without attention ": 0.940,
            "how far a new background moves it, to without attention": 0.31,
            "how far a second person behind moves it, to without attention": 0.68,
            "how far one in front moves it, to without attention": 0.61,
            "mAP on PKU-Reid, another camera, 74 people": 0.157,
        },
        measured_on="200 people of other COCO val2017 images against one other augmented view of "
        "each (instances, not identities), the first two before a new background: alphapose-ros "
        "eval reid --annotations coco_person/val.json --images coco_person/images; the last: "
        "alphapose-ros eval reid --identities PKU-Reid",
    ),
)
