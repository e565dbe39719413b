# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from darknet_minis import EXPECT, MINIS, Mini, opencv_answer
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.darknet import DarknetNetwork
from alphapose_ros.models.darknet_cfg import parse_cfg, read_cfg
from alphapose_ros.models.darknet_files import find_cfg, load_darknet, read_weights
from alphapose_ros.models.darknet_layers import MaxPool, YoloLayer
from alphapose_ros.models.darknet_standard import STANDARD_NAMES, standard_cfg
from alphapose_ros.models.export import GraphNames, onnx_bytes

pytestmark = pytest.mark.usefixtures("one_thread")

NET = "[net]\nchannels=3\n"
CONV = "[convolutional]\nfilters=7\nactivation=linear\n"
YOLO = "[yolo]\nanchors=10,20\nclasses=2\n"  # 5 + 2 channels


def load_mini(mini: Mini, folder, header=None) -> DarknetNetwork:
    (folder / "mini.cfg").write_text(mini.cfg)
    data = mini.weights()
    (folder / "mini.weights").write_bytes(data if header is None else header + data[20:])
    return load_darknet(folder / "mini.weights")


def compare(mini: Mini, network: DarknetNetwork, rows: np.ndarray) -> None:
    """The network's answer with rows of OpenCV, which writes 0 for scores below ``thresh``."""
    with torch.inference_mode():
        boxes, scores = (x[0].numpy() for x in network(torch.from_numpy(mini.image())))
    sides = np.tile(mini.size_hw[::-1], 2)
    center, size = rows[:, :2], rows[:, 2:4]
    expected = np.concatenate([center - size / 2, center + size / 2], 1) * sides
    np.testing.assert_allclose(boxes, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.where(scores > 1e-3, scores, 0), rows[:, 5:], atol=1e-5)
    assert (rows[:, 5:] > 1e-3).mean() > 0.9  # or the line above would compare nothing


@pytest.mark.parametrize("name", MINIS)
def test_outputs_equal_those_recorded_from_opencv(name, tmp_path):
    rows = np.load(EXPECT / f"darknet_mini_{name}.npz")["rows"]
    compare(MINIS[name], load_mini(MINIS[name], tmp_path), rows)


@pytest.mark.parametrize("name", MINIS)
def test_outputs_equal_those_of_the_installed_opencv(name, tmp_path):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip(
            f"LIVE PARITY WITH OPENCV NOT CHECKED: {cv2.__version__} has no readNetFromDarknet"
        )
    compare(MINIS[name], load_mini(MINIS[name], tmp_path), opencv_answer(MINIS[name]))


@pytest.mark.parametrize(
    ("name", "size", "layers", "anchors"),
    [
        ("yolov3", 248007048, 107, [(116, 90), (30, 61), (10, 13)]),
        ("yolov3-spp", 252209544, 114, [(116, 90), (30, 61), (10, 13)]),
        ("yolov3-tiny", 35434956, 24, [(81, 82), (23, 27)]),
    ],
)
def test_standard_networks_have_the_size_of_the_public_files(name, size, layers, anchors):
    with torch.device("meta"):
        network = DarknetNetwork(parse_cfg(standard_cfg(name), name))
    assert 20 + 4 * sum(shape.numel() for _, shape in network.stored()) == size
    assert len(network.layers) == layers
    assert (network.classes, network.stride) == (80, 32)
    assert standard_cfg(name).count("anchors=") == len(anchors)
    firsts = [
        pair[0]
        for section in parse_cfg(standard_cfg(name), name)
        if section.kind == "yolo"
        for sides in [section.numbers("anchors")]
        for pair in [[tuple(sides[2 * k : 2 * k + 2]) for k in section.integers("mask")]]
    ]
    assert firsts == anchors


@pytest.mark.parametrize(
    ("name", "routes"),
    [
        ("yolov3", {83: [79], 86: [85, 61], 95: [91], 98: [97, 36]}),
        (
            "yolov3-spp",
            {
                79: [77], 81: [77], 83: [82, 80, 78, 77],
                90: [86], 93: [92, 61], 102: [98], 105: [104, 36],
            },
        ),
        ("yolov3-tiny", {17: [13], 20: [19, 8]}),
    ],
)  # fmt: skip
def test_standard_routes_read_the_layers_that_darknet_prints(name, routes):
    layers = parse_cfg(standard_cfg(name), name)[1:]
    found = {
        k: [number if number >= 0 else k + number for number in section.integers("layers")]
        for k, section in enumerate(layers)
        if section.kind == "route"
    }
    assert found == routes


def test_tiny_runs_and_gives_two_scales():
    network = DarknetNetwork(parse_cfg(standard_cfg("yolov3-tiny"), "tiny")).eval()
    with torch.inference_mode():
        boxes, scores = network(torch.zeros(2, 3, 64, 96))
    assert boxes.shape == (2, 3 * (2 * 3 + 4 * 6), 4)
    assert scores.shape == (2, 90, 80)


def test_no_image_gives_no_row():
    network = DarknetNetwork(parse_cfg(MINIS["spp"].cfg, "mini")).eval()
    boxes, scores = network(torch.zeros(0, 3, 64, 64))
    assert boxes.shape[0] == scores.shape[0] == 0


def test_folding_changes_nothing(tmp_path):
    folded = load_mini(MINIS["spp"], tmp_path)
    plain = DarknetNetwork(find_cfg(tmp_path / "mini.weights")).eval()
    plain.load_state_dict(read_weights(tmp_path / "mini.weights", plain))
    assert len(folded.state_dict()) < len(plain.state_dict())
    image = torch.from_numpy(MINIS["spp"].image())
    for a, b in zip(folded(image), plain(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_the_order_of_a_file_is_biases_scales_means_variances_kernel(tmp_path):
    """A 1x1 convolution with one filter, worked out by hand."""
    cfg = NET + "[convolutional]\nbatch_normalize=1\nfilters=1\nactivation=leaky\n" + CONV + YOLO
    norm = [0.5, 2.0, 0.25, 4.0]  # bias, scale, mean, variance
    last = [0.0] * 7 + [1.0] * 7
    (tmp_path / "a.cfg").write_text(cfg)
    values = np.array([*norm, 1, 10, 100, *last], "<f4")
    (tmp_path / "a.weights").write_bytes(struct.pack("<3ii", 0, 1, 0, 9) + values.tobytes())
    network = load_darknet(tmp_path / "a.weights")
    pixel = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    value = (0.1 + 2 + 30 - 0.25) / 4**0.5 * 2 + 0.5
    np.testing.assert_allclose(network.raw(pixel)[0].detach().flatten(), value, rtol=1e-5)
    dark = (-1.11 - 0.25) / 4**0.5 * 2 + 0.5  # below 0, where leaky keeps a tenth
    black = network.raw(torch.full_like(pixel, -0.01))[0].detach().flatten()
    np.testing.assert_allclose(black, 0.1 * dark, rtol=1e-5)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<3iq", 0, 2, 0, 1 << 40),
        struct.pack("<3iq", 1, 0, 0, 7),
        struct.pack("<3ii", 0, 1, 0, 7),
        struct.pack("<3ii", 1000, 1, 0, 7),
    ],
    ids=["0.2", "1.0", "0.1", "1000.1"],
)
def test_both_widths_of_the_image_count_are_read(header, tmp_path):
    network = load_mini(MINIS["tiny"], tmp_path, header)
    compare(MINIS["tiny"], network, np.load(EXPECT / "darknet_mini_tiny.npz")["rows"])


@given(st.integers(-600, 600).filter(bool))
def test_a_file_of_another_size_is_refused(tmp_path_factory, change):
    folder = tmp_path_factory.mktemp("sizes")
    data = MINIS["tiny"].weights()
    (folder / "mini.cfg").write_text(MINIS["tiny"].cfg)
    path = folder / "mini.weights"
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    message = rf"mini\.weights: expected {len(data)} bytes .*, got {len(data) + change}"
    with pytest.raises(WeightsError, match=message):
        load_darknet(path)


def test_a_file_without_a_header_is_refused(tmp_path):
    (tmp_path / "yolov3-tiny.weights").write_bytes(b"\0" * 11)
    with pytest.raises(WeightsError, match="at least 12 bytes of header, got 11"):
        load_darknet(tmp_path / "yolov3-tiny.weights")


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "yolov3-tiny.weights").write_bytes(bytes(20))

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(WeightsError, match=r"tiny\.weights: not a readable .* Permission denied"):
        load_darknet(tmp_path / "yolov3-tiny.weights")


def test_the_cfg_is_the_named_one_or_lies_beside_or_is_a_standard_one(tmp_path):
    weights = tmp_path / "yolov3-tiny.weights"
    with pytest.raises(WeightsError, match=r"yolov3-tiny\.weights: expected a Darknet weights"):
        load_darknet(weights)
    assert len(find_cfg(weights)) == 25
    (tmp_path / "yolov3-tiny.cfg").write_text(MINIS["tiny"].cfg)
    assert len(find_cfg(weights)) == 9  # the one beside comes first
    weights.write_bytes(MINIS["spp"].weights())
    (tmp_path / "other.cfg").write_text(MINIS["spp"].cfg)
    assert load_darknet(weights, tmp_path / "other.cfg").stride == 8
    with pytest.raises(WeightsError, match=r"my\.weights: expected its cfg at .*my\.cfg.*yolov3"):
        find_cfg(tmp_path / "my.weights")
    with pytest.raises(WeightsError, match=r"nowhere\.cfg: not a readable cfg file: No such"):
        read_cfg(tmp_path / "nowhere.cfg")
    with pytest.raises(WeightsError, match=r"expected one of yolov3, .* got 'yolov2'"):
        standard_cfg("yolov2")
    assert set(STANDARD_NAMES) == {"yolov3", "yolov3-spp", "yolov3-tiny"}


def test_a_network_coarser_than_the_input_sizes_is_refused(tmp_path):
    cfg = NET + "[maxpool]\nstride=2\n" * 6 + CONV + YOLO
    (tmp_path / "coarse.cfg").write_text(cfg)
    (tmp_path / "coarse.weights").write_bytes(bytes(16 + 4 * (7 + 21)))
    with pytest.raises(WeightsError, match=r"coarse\.weights: .* divides 32, got 64"):
        load_darknet(tmp_path / "coarse.weights")
    (tmp_path / "coarse.cfg").write_text(cfg.replace("[maxpool]\nstride=2\n", "", 1))
    assert load_darknet(tmp_path / "coarse.weights").stride == 32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", MINIS)
def test_an_onnx_graph_takes_other_sizes(name, tmp_path):
    pytest.importorskip("onnx", reason="ONNX EXPORT NOT CHECKED: no onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX EXPORT NOT CHECKED: no onnxruntime")
    network = load_mini(MINIS[name], tmp_path)
    open_dims = {
        "images": {0: "N", 2: "H", 3: "W"},
        "boxes": {0: "N", 1: "A"},
        "scores": {0: "N", 1: "A"},
    }
    names = GraphNames(("images",), ("boxes", "scores"), open_dims)
    graph = onnx_bytes(network, torch.zeros(1, 3, 64, 64), names)
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for shape in ((2, 3, 32, 96), (1, 3, 96, 64), (0, 3, 64, 64)):
        images = torch.rand(shape)
        found = session.run(None, {"images": images.numpy()})
        with torch.inference_mode():
            for a, b in zip(found, network(images), strict=True):
                assert a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
def test_maxpool_equals_its_loop(height, width, size, stride):
    """Darknet's window begins half of the padding (rounded down) before the cell."""
    torch.manual_seed(0)
    x = torch.randn(1, 2, height, width)
    found = MaxPool(size, stride, size - 1)(x)
    rows, columns = ((side - 1) // stride + 1 for side in (height, width))
    assert found.shape == (1, 2, rows, columns)
    before = (size - 1) // 2
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride - before, j * stride - before
            window = x[..., max(top, 0) : top + size, max(left, 0) : left + size]
            torch.testing.assert_close(found[..., i, j], window.amax((2, 3)))


@given(st.sampled_from([1.0, 1.05, 1.2]), st.integers(1, 3), st.integers(1, 4))
def test_boxes_equal_the_formula_cell_by_cell(stretch, height, width):
    torch.manual_seed(0)
    anchors = [(10.0, 20.0), (30.0, 5.0)]
    x = torch.randn(1, 2 * 8, height, width)
    boxes, scores = YoloLayer(anchors, 3, 16, stretch)(x)
    k = 0
    for i in range(height):
        for j in range(width):
            for a, (w, h) in enumerate(anchors):
                t = x[0, a * 8 : a * 8 + 8, i, j]
                across, down = ((t[:2].sigmoid() - 0.5) * stretch + 0.5).tolist()
                cx, cy = (j + across) * 16, (i + down) * 16
                w_, h_ = w * float(t[2].exp()), h * float(t[3].exp())
                expected = [cx - w_ / 2, cy - h_ / 2, cx + w_ / 2, cy + h_ / 2]
                np.testing.assert_allclose(boxes[0, k], expected, rtol=1e-4, atol=1e-3)
                torch.testing.assert_close(scores[0, k], t[4].sigmoid() * t[5:].sigmoid())
                k += 1
    assert boxes.shape == (1, k, 4)
