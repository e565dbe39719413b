# SPDX-License-Identifier: Apache-2.0
"""An hour of cameras that misbehave before the embedded node: does anything grow, break or hang?

``python benchmarks/soak.py --minutes 60`` starts the real node with its bundled networks on
loopback and two simulated cameras, and every few seconds one thing goes wrong, chosen by
``--seed``: a camera dies or stalls, changes its size or encoding, sends damaged images or a flood,
stamps ahead, behind or not at all, or its clock leaps; a subscriber is slow, or is killed. Every
few seconds the node's memory, threads and files are read. The exit code is 0 if all verdicts are
good.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _node import Node, NodeSettings, node_command, running
from _soak_faults import FAULTS, Sample, Soak
from _soak_report import content, judge, print_report
from _soak_rig import FaultyEar

from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.demo.node_process import private_environment
from alphapose_ros.front.signals import stop_signals


def main(argv: list[str] | None = None) -> int:
    """Run, print, and answer whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--rate", type=float, default=5.0, help="images of a camera per second")
    parser.add_argument("--fault-every", type=float, default=4.0, help="seconds, on average")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, help="only these; default: all")
    parser.add_argument("--sample-every", type=float, default=5.0, help="seconds")
    parser.add_argument("--threads", type=int, default=1, help="of the networks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="keep what the node says")
    parser.add_argument("--listen", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.listen:
        return _be_a_listener(*args.listen)
    environment = private_environment()
    with tempfile.TemporaryDirectory() as folder, stop_signals() as stop:
        settings = NodeSettings(cameras=max(args.cameras, 2), threads=args.threads)
        parameters, log = Path(folder, "node.yaml"), args.log or Path(folder, "node.log")
        settings.write(parameters)
        with running(node_command(settings, parameters), environment, log) as node:
            soak = Soak(node, environment, settings.names, args.rate, args.seed)
            soak.chosen = tuple(args.faults or ())
            try:
                soak.begin()
                samples = _run(soak, args, stop.is_set)
                soak.settle()
                code = _end(node)
            finally:
                soak.close()
        text = log.read_text(encoding="utf-8", errors="replace")
    verdicts = judge(samples, soak, text, code)
    print_report(samples, soak, verdicts)
    if args.json:
        about = {"minutes": args.minutes, "seed": args.seed}
        args.json.write_text(json.dumps({**about, **content(samples, soak, verdicts)}, indent=1))
    return int(not all(verdict.kept for verdict in verdicts))


def _run(soak: Soak, args: argparse.Namespace, stopped: Callable[[], bool]) -> list[Sample]:
    begin = time.monotonic()
    fault_at, sample_at, samples = begin + args.fault_every, begin, list[Sample]()
    while (now := time.monotonic()) - begin < args.minutes * 60 and not stopped():
        if soak.node.process.poll() is not None:
            break
        soak.step()
        if now >= fault_at:
            fault_at = now + soak.chance.expovariate(1 / args.fault_every)
            soak.misbehave()
        if now >= sample_at:
            sample_at = now + args.sample_every
            samples.append(soak.sample(now - begin))
    return samples


def _end(node: Node) -> int:
    """SIGINT, and the exit code; -9 where it had to be killed."""
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGINT)
    try:
        return node.process.wait(30)
    except subprocess.TimeoutExpired:
        node.process.kill()
        return node.process.wait()


def _be_a_listener(domain: str, names: str, delay_s: str) -> int:
    """Another subscriber, until it is killed."""
    environment = RosEnvironment(domain_id=int(domain), discovery_range="LOCALHOST")
    cameras: dict[str, dict[int, int]] = {name: {} for name in names.split(",")}
    ear = FaultyEar(cameras, environment, delay_s=float(delay_s), drawn=True)
    time.sleep(60)
    ear.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
