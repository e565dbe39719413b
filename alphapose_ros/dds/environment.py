# SPDX-License-Identifier: Apache-2.0
"""The ROS environment variables that the DDS library itself does not know.

The mapping to Cyclone DDS settings is that of ROS 2's own Cyclone layer (Iron and later), so both
find each other under the same variables.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

from alphapose_ros.base.errors import ConfigError

logger = logging.getLogger(__name__)

RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
# A 1920x1080 image has 6 MB and comes in one burst: with the usual 1 MB of receive buffer not one
# arrived whole. The system's own limit (net.core.rmem_max) still holds.
_BUFFERS = "<Internal><SocketReceiveBufferSize max='16MB'/></Internal>"
# Loopback takes datagrams of any size; fewer of them halve the time of an image.
_LOOPBACK = (
    "<General><AllowMulticast>false</AllowMulticast><MaxMessageSize>65500B</MaxMessageSize>"
    "<FragmentSize>64000B</FragmentSize></General>"
)
# The library hears nodes only on the interfaces that it speaks on, and ROS 2's own Cyclone layer
# calls them on 127.0.0.1 whatever it speaks on itself.
_ONLY_LOOPBACK = "<NetworkInterface address='127.0.0.1'/>"
_AND_NETWORK = "<NetworkInterface autodetermine='true'/>"
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_SPEAKS_IPV6 = re.compile(r"<transport>\s*udp6\s*<|<useipv6>\s*true\s*<")
_MAX_DOMAIN = 232  # the last whose UDP ports exist: 7400 + 250 x domain + participant


@dataclass(frozen=True)
class RosEnvironment:
    """Where to look for others.

    Attributes:
        domain_id: 0..232 (``ROS_DOMAIN_ID``).
        discovery_range: one of ``RANGES`` (``ROS_AUTOMATIC_DISCOVERY_RANGE``).
        static_peers: hosts asked by name or address (``ROS_STATIC_PEERS``, separated by ``;``).
        cyclone_uri: the user's own settings (``CYCLONEDDS_URI``); they win over the above.
        distribution: ``ROS_DISTRO``.
        middleware: ``RMW_IMPLEMENTATION``.
    """

    domain_id: int = 0
    discovery_range: str = "SUBNET"
    static_peers: tuple[str, ...] = ()
    cyclone_uri: str = ""
    distribution: str = ""
    middleware: str = ""

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> RosEnvironment:
        """Read the process's environment, ``os.environ``.

        Raises:
            ConfigError: a value that ROS 2 would not understand either, or the order to speak
                securely or not at all.
        """
        _refuse_security(variables)
        alone = variables.get("ROS_LOCALHOST_ONLY") == "1"  # the older variable wins over both
        return cls(
            _domain_id(variables.get("ROS_DOMAIN_ID", "")),
            "LOCALHOST" if alone else _range(variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")),
            () if alone else _peers(variables.get("ROS_STATIC_PEERS", "")),
            variables.get("CYCLONEDDS_URI", "").strip(),
            variables.get("ROS_DISTRO", "").strip().lower(),
            variables.get("RMW_IMPLEMENTATION", "").strip(),
        )

    def reachable(self) -> RosEnvironment:
        """Without peers of unknown name or beyond every network: the library ends on them.

        So it does on addresses of IPv6, or of IPv4 where the user's settings are for IPv6.
        """
        known = []
        family = socket.AF_INET6 if _SPEAKS_IPV6.search(self._users()) else socket.AF_INET
        for peer in self.static_peers:
            try:
                _find_route(peer, family)
            except OSError as error:
                logger.warning("ROS_STATIC_PEERS: %s left out: %s", peer, error.strerror)
            else:
                known.append(peer)
        return replace(self, static_peers=tuple(known))

    def cyclone_config(self) -> str:
        """Cyclone DDS settings as XML fragments, later ones overriding earlier ones."""
        own = f"<CycloneDDS><Domain Id='any'>{self._discovery()}{_BUFFERS}</Domain></CycloneDDS>"
        return ",".join([own, *([self.cyclone_uri] if self.cyclone_uri else [])])

    def _discovery(self) -> str:
        if self.discovery_range == "SYSTEM_DEFAULT":
            return ""
        if self.discovery_range == "OFF":
            return (
                "<General><AllowMulticast>false</AllowMulticast></General>"
                "<Discovery><ParticipantIndex>none</ParticipantIndex>"
                "<Tag>ros_discovery_off_${CYCLONEDDS_PID}</Tag></Discovery>"
            )
        local = self.discovery_range == "LOCALHOST"
        peers = (("localhost",) if local else ()) + self.static_peers
        listed = "".join(f"<Peer Address={quoteattr(peer)}/>" for peer in peers)
        return (
            f"{_LOOPBACK + self._interfaces() if local else ''}"
            "<Discovery><ParticipantIndex>auto</ParticipantIndex>"
            "<MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
            f"{f'<Peers>{listed}</Peers>' if listed else ''}</Discovery>"
        )

    def _interfaces(self) -> str:
        if "<networkinterface" in self._users():  # the same one twice is an error
            return ""
        beyond = any(p != "localhost" and not p.startswith("127.") for p in self.static_peers)
        chosen = _ONLY_LOOPBACK + (_AND_NETWORK if beyond else "")
        return f"<General><Interfaces>{chosen}</Interfaces></General>"

    def _users(self) -> str:
        """The user's own settings, those in files too, in lower case: the library reads any."""
        texts = [self.cyclone_uri]
        for part in self.cyclone_uri.split(","):
            with suppress(OSError):  # XML, or a file that the library refuses
                file = Path(part.strip().removeprefix("file://"))
                texts.append(file.read_text(encoding="utf-8", errors="replace"))
        return _COMMENT.sub("", "".join(texts)).lower()


def _refuse_security(variables: Mapping[str, str]) -> None:
    """The library's wheel has no security plugins: where security is enforced, nothing is said.

    The values count as in ROS 2's own rcl, which takes them by the letter.
    """
    if variables.get("ROS_SECURITY_ENABLE") != "true":
        return
    if variables.get("ROS_SECURITY_STRATEGY") == "Enforce":
        raise ConfigError(
            "ROS_SECURITY_STRATEGY: Enforce, and the embedded front cannot encrypt or "
            "authenticate: expected --front ros in a ROS 2 with SROS 2"
        )
    logger.warning(
        "ROS_SECURITY_ENABLE is true, and the embedded front cannot encrypt or authenticate: "
        "it speaks in the clear, and secured nodes will not hear it"
    )


def _find_route(host: str, family: socket.AddressFamily) -> None:
    """Raise OSError where no network of the family leads to ``host``; nothing is sent."""
    _, kind, *_, address = socket.getaddrinfo(host, 9, family, socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)


def _range(text: str) -> str:
    reach = text.strip().upper() or "SUBNET"
    if reach not in RANGES:
        raise ConfigError(
            f"ROS_AUTOMATIC_DISCOVERY_RANGE: expected {', '.join(RANGES)}, got {reach!r}"
        )
    return reach


def _peers(text: str) -> tuple[str, ...]:
    peers = tuple(filter(None, (peer.strip() for peer in text.split(";"))))
    for peer in peers:
        if not _HOST.fullmatch(peer):
            raise ConfigError(
                "ROS_STATIC_PEERS: expected host names or addresses separated by ';', "
                f"got {peer!r}"
            )
    return peers


def _domain_id(text: str) -> int:
    text = text.strip() or "0"
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID: expected 0..{_MAX_DOMAIN}, got {text!r}")
    return int(text)
