# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster: one of this machine alone, or one that runs already.

Whoever reaches Ray's ports can run code there. The cluster that is started here therefore listens
on loopback, and answers only to a token that is made for it (Ray 2.52 and later).
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alphapose_ros.base.errors import InputError, TransportError, require

INSTALL = "install it with: pip install 'ray>=2.46' pyarrow"
_LOOPBACK = "127.0.0.1"
_OBJECTS_BYTES = 80 * 2**20  # Ray's least; results go to files, not through its memory
# Ray puts 127.0.0.1 off for an address that others reach, unless told that there are no others.
_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent home
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of deaths, on stdout: the pool says it in a line
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # no GPU asked for, none seen
}


@dataclass(frozen=True)
class ClusterConfig:
    """Workers and what each of them takes.

    Attributes:
        address: of a running cluster (``auto``, ``host:port``); empty: one of this machine alone.
        workers: processes. threads: CPUs of each.
        gpus: part of a GPU for each; None: what there is, shared out; 0: none.
        retries: of a recording whose worker died.
    """

    address: str = ""
    workers: int = 1
    threads: int = 1
    gpus: float | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.gpus is not None and not 0 <= self.gpus < math.inf:
            raise InputError(f"gpus per worker: expected 0 or more, got {self.gpus}")
        if self.address.startswith("ray://"):
            raise InputError(
                f"{self.address}: expected auto or host:port, on a node of the cluster; "
                "from outside send the command with ray job submit"
            )


@contextmanager
def joined(config: ClusterConfig) -> Iterator[Any]:
    """The module ``ray``, connected; disconnected afterwards.

    Raises:
        MissingDependencyError: Ray is not installed.
        TransportError: no cluster at the address, or one that would listen beyond loopback.
    """
    private = {} if config.address else _private_variables()
    with _variables({**_QUIET, **private}):
        ray = require("ray", needed_for="a batch with several workers", install=INSTALL)
        with _own_signals():
            _connect(ray, config)
        try:
            yield ray
        finally:
            ray.shutdown()


def _private_variables() -> dict[str, str]:
    return {_ALONE: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _connect(ray: Any, config: ClusterConfig) -> None:
    common = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if config.address:
            ray.init(address=config.address, **common)
            return
        ray.init(
            address="local", num_cpus=config.workers * config.threads,
            num_gpus=0 if config.gpus == 0 else None, include_dashboard=False,
            object_store_memory=_OBJECTS_BYTES, _node_ip_address=_LOOPBACK, **common,
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = config.address or "this machine"
        raise TransportError(f"Ray on {where}: {' '.join(str(error).split())}") from error
    address = ray.util.get_node_ip_address()
    if address != _LOOPBACK:
        ray.shutdown()
        raise TransportError(
            f"Ray would listen on {address}, expected {_LOOPBACK}: it was imported before"
        )


def share_of_gpus(ray: Any, config: ClusterConfig) -> float:
    """Part of a GPU that each worker asks for.

    Raises:
        InputError: no node of the cluster can hold one worker.
    """
    gpus = config.gpus
    if gpus is None:
        there = int(ray.cluster_resources().get("GPU", 0))
        gpus = math.floor(1e4 / math.ceil(config.workers / there)) / 1e4 if there else 0.0
    _check_room(ray, {"CPU": float(config.threads), "GPU": gpus})
    return gpus


def _check_room(ray: Any, needed: Mapping[str, float]) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(kind, 0) >= n for kind, n in needed.items()) for node in nodes):
        wanted = ", ".join(f"{number:g} {kind}" for kind, number in needed.items() if number)
        have = "; ".join(
            f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes
        )
        raise InputError(f"a worker needs {wanted}, the cluster's nodes have: {have}")


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; Ray's processes inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep who answers SIGTERM; Ray puts itself there."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
