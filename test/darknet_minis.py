# SPDX-License-Identifier: Apache-2.0
"""Two small Darknet networks with every kind of layer, and what OpenCV's importer makes of them.

``test/expect/darknet_mini_*.npz`` is written by ``python test/darknet_minis.py`` where OpenCV is
4.x: 5.0 has no ``cv2.dnn.readNetFromDarknet``. Weights and images come from seeds, and the order
of the weights from the tables below, so nothing here asks the code under test.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EXPECT = Path(__file__).parent / "expect"
LAST = "filters=14\nsize=1\nactivation=linear"  # 2 anchors x (5 + 2 classes)
YOLO = "anchors=6,8, 12,9, 20,31, 40,25\nnum=4\nclasses=2\nthresh=0.001"

SPP = f"""
[net]
# comments, spaces and training options are passed over
width = 64
height=64
channels=3
learning_rate=0.001 ; as here
policy=steps

[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=12
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=6
size=1
activation=relu

[convolutional]
batch_normalize=1
filters=12
size=3
padding=1
activation=mish

[shortcut]
from=-3
activation=linear

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=swish

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
groups=2
activation=leaky

[convolutional]
filters=8
size=1
activation=linear

[maxpool]
stride=1
size=5

[route]
layers=-2

[maxpool]
stride=1
size=9

[route]
layers=-4

[maxpool]
stride=1
size=13

[route]
layers=-1,-3,-5,-6

[convolutional]
batch_normalize=1
filters=16
size=1
activation=leaky

[convolutional]
{LAST}

[yolo]
mask=2,3
{YOLO}

[route]
layers=-3

[convolutional]
filters=8
size=1
activation=logistic

[upsample]
stride=2

[route]
layers=-1, 5

[route]
layers=-1
groups=2
group_id=1

[convolutional]
{LAST}

[yolo]
mask=0,1
{YOLO}
scale_x_y=1.2
"""

TINY = f"""
[net]
width=52
height=36
channels=3

[convolutional]
batch_normalize=1
filters=6
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=10
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=12
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=1

[convolutional]
{LAST}

[yolo]
mask=0,1
{YOLO}
"""


@dataclass(frozen=True)
class Mini:
    """A network: its cfg, the input, and per convolution (filters, inputs, size, has a norm)."""

    cfg: str
    size_hw: tuple[int, int]
    convolutions: tuple[tuple[int, int, int, bool], ...]

    def weights(self) -> bytes:
        """A weights file: the header of Darknet's later versions and seeded values."""
        random = np.random.RandomState(7)
        parts = []
        for filters, inputs, size, norm in self.convolutions:
            biases, scales, means, kernel = (
                random.standard_normal(count)
                for count in (filters, filters, filters, filters * inputs * size**2)
            )
            parts.append(biases * 0.3)
            if norm:
                parts += [1 + scales * 0.2, means * 0.2, 0.5 + random.random_sample(filters)]
            parts.append(kernel * (2 / (inputs * size**2)) ** 0.5)
        return (
            struct.pack("<3iq", 0, 2, 5, 32013312) + np.concatenate(parts).astype("<f4").tobytes()
        )

    def image(self) -> np.ndarray:
        """(1, 3, H, W) float32 in 0..1."""
        random = np.random.RandomState(8)
        return random.random_sample((1, 3, *self.size_hw)).astype(np.float32)


MINIS = {
    "spp": Mini(
        SPP,
        (64, 64),
        (
            (8, 3, 3, True), (12, 8, 3, True), (6, 12, 1, True), (12, 6, 3, True),
            (16, 12, 3, True), (16, 8, 3, True), (8, 16, 1, False), (16, 32, 1, True),
            (14, 16, 1, False), (8, 16, 1, False), (14, 12, 1, False),
        ),
    ),
    "tiny": Mini(
        TINY, (36, 52), ((6, 3, 3, True), (10, 6, 3, True), (12, 10, 3, True), (14, 12, 1, False))
    ),
}  # fmt: skip


def opencv_answer(mini: Mini) -> np.ndarray:
    """Per box centre and sides as parts of the input, objectness, scores (0: below thresh)."""
    import cv2

    texts = (np.frombuffer(text, np.uint8) for text in (mini.cfg.encode(), mini.weights()))
    network = cv2.dnn.readNetFromDarknet(*texts)
    network.setInput(mini.image())
    return np.concatenate(network.forward(network.getUnconnectedOutLayersNames()))


if __name__ == "__main__":
    for name, mini in MINIS.items():
        answer = opencv_answer(mini)
        np.savez_compressed(EXPECT / f"darknet_mini_{name}.npz", rows=answer)
        print(name, answer.shape, answer.min(0), answer.max(0), file=sys.stderr)
