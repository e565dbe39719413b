# SPDX-License-Identifier: Apache-2.0
"""What a peer on the network can make the node do, and what a fetch accepts."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from file_server import FileServer, Served
from registry_cases import model, names, refused, sha

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import options_of
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.config import PipelineConfig
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.front.confine import FILES, confine
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.download import FetchOptions, fetch

# ---- parameters that name files

# Text parameters that name no file: choices are known by their limits, these by their meaning.
PLAIN_TEXT = {"device", "target_frame", "fixed_frame", "pose.input_size"}


def test_every_text_parameter_is_judged() -> None:
    """A new one belongs into FILES if it names a file, else into PLAIN_TEXT."""
    free = {
        option.key: option
        for kind in (PipelineConfig, NodeConfig)
        for option in options_of(kind)
        if option.kind is str and not option.limits.choices
    }
    assert free.keys() == {*FILES, *PLAIN_TEXT}
    assert all(re.search(r"\bfile\b|\bweights\b", free[name].help) for name in FILES)
    assert not any(free[name].limits.live for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_peer_names_models_and_no_files(name: str) -> None:
    started = {name: "/opt/models/mine.onnx"}
    known = SKELETONS if name == "pose.skeleton" else MODELS
    for value in ("", "/opt/models/mine.onnx", *known):
        confine({name: value}, started)
    for value in ("/etc/passwd", "../mine.onnx", "~/mine.onnx", "/opt/models/mine.onnx/", "x"):
        with pytest.raises(ConfigError, match=f"^{name}: expected the name of a known "):
            confine({name: value}, started)
        with pytest.raises(ConfigError, match=f"^{name}: "):
            confine({name: value}, {})


def test_other_parameters_are_left_alone() -> None:
    confine({"device": "/etc/passwd", "nms.eta": 0.5}, {})


# ---- DDS security


@pytest.mark.parametrize("front_matters", [{}, {"ROS_DOMAIN_ID": "66"}])
def test_the_embedded_front_does_not_speak_in_the_clear_where_that_is_forbidden(
    front_matters: dict[str, str],
) -> None:
    variables = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    with pytest.raises(ConfigError, match="Enforce, and the embedded front cannot") as caught:
        RosEnvironment.from_variables(variables | front_matters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strategy", [{}, {"ROS_SECURITY_STRATEGY": "Permissive"}])
def test_where_it_is_only_wished_it_says_so(
    strategy: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    RosEnvironment.from_variables({"ROS_SECURITY_ENABLE": "true", **strategy})
    assert "speaks in the clear" in caplog.text


@pytest.mark.parametrize("enable", ["", "false", "True", "1"])  # rcl takes "true" alone
def test_without_security_nothing_is_said(enable: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    variables = {"ROS_SECURITY_ENABLE": enable, "ROS_SECURITY_STRATEGY": "Enforce"}
    assert RosEnvironment.from_variables(variables) == RosEnvironment()
    assert not caplog.text


# ---- fetching


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "mirror", ["http://mirror.invalid/models", "http://10.0.0.7:8000", "http://127.0.0.1.evil/"]
)
def test_what_nobody_can_verify_comes_over_tls_alone(cache: Path, mirror: str) -> None:
    with FileServer() as server:
        spec = model(server)
        refused(spec, "refused, nobody knows the SHA-256", FetchOptions(mirror=mirror))
        refused(model(server, sha256_prefix="ab"), "nobody knows", FetchOptions(mirror=mirror))
    assert not list(cache.glob("net.bin*.partial"))


def test_what_is_known_may_come_over_any_road(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"weights"
    with FileServer() as server:
        monkeypatch.setenv("http_proxy", server.address)
        server.files["http://mirror.invalid/net.bin"] = Served(content)
        options = FetchOptions(mirror="http://mirror.invalid")
        assert fetch(model(server, sha256=sha(content)), options).read_bytes() == content
        refused(model(server, sha256=sha(b"other"), file="other.bin"), "answers 404", options)
    assert names(cache) == ["net.bin"]


def test_the_catalogue_is_fetched_over_tls() -> None:
    assert all(s.address.startswith("https://") for s in MODELS.values() if not s.bundled)
