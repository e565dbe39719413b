# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.darknet import DarknetNetwork
from alphapose_ros.models.darknet_cfg import parse_cfg
from alphapose_ros.models.darknet_layers import Convolution

NET = "[net]\nchannels=3\n"
CONV = "[convolutional]\nfilters=7\nactivation=linear\n"
YOLO = "[yolo]\nanchors=10,20\nclasses=2\n"  # 5 + 2 channels


def test_sections_options_and_lines():
    text = "[network]\n channels = 3 # of an image\n\n; a line\n[conv]\nfilters=4\nfilters=5\n"
    net, layer = parse_cfg(text, "x")
    assert (net.kind, net.line, net.integer("channels", 1)) == ("net", 1, 3)
    assert (layer.kind, layer.line) == ("convolutional", 5)
    assert layer.options == {"filters": ("4", 6)}  # of two, Darknet takes the first


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("", r"x: expected a cfg that begins with \[net\]"),
        (CONV + YOLO, r"x: expected a cfg that begins with \[net\]"),
        (NET, r"x: expected a cfg that begins with \[net\] and has layers"),
        ("filters=3\n" + NET, r"x:1: expected \[section\] or name=value, got 'filters=3'"),
        (NET + "[convolutional]\nfilters 7\n", r"x:4: expected .* got 'filters7'"),
        (NET + "[lstm]\n", r"x:3: \[lstm\] expected a layer among convolutional, .*yolo"),
        (NET + "[maxpool]\ndilation=2", r"x:4: \[maxpool\] dilation: expected an option among"),
        (NET + "[yolo]\nnew_coords=1", r"x:4: \[yolo\] new_coords: .* not known"),
    ],
)
def test_a_cfg_that_cannot_be_read_is_refused_by_line(cfg, message):
    with pytest.raises(WeightsError, match=message):
        parse_cfg(cfg, "x")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (CONV, r"x:1: \[net\] expected \[yolo\] layers with the same classes, got \[\]"),
        (CONV.replace("7", "seven"), r"x:4: .*filters: expected whole numbers, got 'seven'"),
        (CONV.replace("7", "0"), r"x:4: .*filters: expected a whole number >= 1, got '0'"),
        (CONV.replace("7", "7,7"), r"x:4: .*filters: expected a whole number >= 1, got '7,7'"),
        (CONV.replace("linear", "elu"), r"x:5: .*expected one of leaky, .* got 'elu'"),
        (CONV + "groups=2\n", r"x:6: .*groups: expected a divisor of 3 and 7"),
        ("[route]\nlayers=-1\n", r"x:4: .*layers: expected a layer before this one, got -1"),
        (CONV + "[route]\nlayers=1\n", r"x:7: .*layers: expected a layer before this .* got 1"),
        (CONV + "[route]\n", r"x:6: .*layers: expected maps of one stride, got \[\]"),
        (CONV + "[maxpool]\nstride=2\n[route]\nlayers=0,1\n", r"x:8: .*one stride, got \[1, 2\]"),
        (CONV + "[route]\nlayers=0\ngroups=2", r"x:6: .*part 0 of 2 of \[7\] channels is nothing"),
        (CONV + CONV.replace("7", "6") + "[shortcut]\nfrom=0", r"x:10: .*6 channels .* got 7 at"),
        (CONV + "[shortcut]\nfrom=0,0", r"x:7: .*from: expected one layer, got 2"),
        (
            CONV + "size=3\n",
            r"x:3: .*padding: expected 2 to 2 cells .* window of 3 and stride 1, got 0",
        ),
        (CONV + "size=3\nstride=2\npadding=2\n", r"x:8: .*expected 1 to 2 cells in all .*got 4"),
        (CONV + "[maxpool]\nsize=3\npadding=0\n", r"x:8: .*expected 2 to 2 cells .*, got 0"),
        (CONV + "[upsample]\nstride=2", r"x:7: .*stride: expected a divisor of 1, got 2"),
        (CONV + YOLO + CONV, r"x:9: \[convolutional\] expected to read a layer with a map"),
        (CONV + YOLO.replace("=2", "=3"), r"x:6: .*1 anchors x \(5 \+ 3 classes\) .* got 7"),
        (CONV + YOLO + "mask=1", r"x:6: .*mask: expected numbers of the 1 anchors, got \(1,\)"),
        (CONV + YOLO.replace("10,", "ten,"), r"x:7: .*anchors: expected numbers, got 'ten,20'"),
        (CONV + YOLO.replace("10,", ""), r"x:6: .*mask: expected numbers of the 0 anchors"),
    ],
)
def test_layers_that_do_not_fit_are_refused_by_line(layers, message):
    with pytest.raises(WeightsError, match=message):
        DarknetNetwork(parse_cfg(NET + layers, "x"))


def test_other_channels_than_red_green_blue_are_refused():
    with pytest.raises(WeightsError, match=r"x:2: .*channels: expected 3, got 1"):
        DarknetNetwork(parse_cfg("[net]\nchannels=1\n" + CONV + YOLO, "x"))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 4))
def test_a_padding_is_taken_where_it_leaves_a_cell_per_stride(size, stride, padding):
    cfg = f"{NET}{CONV}size={size}\nstride={stride}\npadding={padding}\n{YOLO}"
    conv = nn.Conv2d(1, 1, size, stride, padding)
    sides = [stride * k for k in range(2, 9)]
    cells = [(side + 2 * padding - size) // stride + 1 for side in sides]
    if cells == [side // stride for side in sides]:
        layer = DarknetNetwork(parse_cfg(cfg, "x")).layers[0]
        assert isinstance(layer, Convolution)
        assert layer.conv.padding == conv.padding
    else:
        with pytest.raises(WeightsError, match=rf"x:8: .*window of {size} and stride {stride},"):
            DarknetNetwork(parse_cfg(cfg, "x"))
