# SPDX-License-Identifier: Apache-2.0
"""Detectors of others: packages installed beside this one name them by an entry point.

Here is only who there is; nothing of theirs is imported before it is asked for by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from alphapose_ros.base.errors import AlphaPoseError, ConfigError

log = logging.getLogger(__name__)

GROUP = "alphapose_ros.detectors"


@dataclass(frozen=True)
class Plugin:
    """A detector's name, where it lies (``module:attribute``) and whose it is.

    Attributes:
        name: value of ``detector.name``.
        entry: the entry point.
        origin: name and version of the distribution that brings it.
    """

    name: str
    entry: EntryPoint
    origin: str

    def load(self) -> Callable[..., Any]:
        """What makes the detector.

        Raises:
            ConfigError: it cannot be imported; names the distribution and the cause.
        """
        try:
            found = self.entry.load()
        except Exception as error:  # whatever the code of others raises
            raise self._broken("cannot be imported", error) from error
        if not callable(found):
            raise ConfigError(f"{self}: expected a function or a class, got {found!r}")
        made: Callable[..., Any] = found
        return made

    def make(self, *arguments: Any) -> Any:
        """The detector.

        Raises:
            ConfigError: it cannot be imported or made, or is no detector.
            AlphaPoseError: what its maker says of the configuration.
        """
        maker = self.load()
        try:
            detector = maker(*arguments)
        except AlphaPoseError:
            raise
        except Exception as error:  # whatever the code of others raises
            raise self._broken("cannot be made", error) from error
        if not callable(detector) or not callable(getattr(detector, "reconfigure", None)):
            raise ConfigError(
                f"{self}: expected a detector, callable and with a method reconfigure, got a "
                f"{type(detector).__name__}"
            )
        return detector

    def _broken(self, what: str, error: Exception) -> ConfigError:
        log.debug("%s %s", self, what, exc_info=error)
        return ConfigError(f"{self} {what}: {type(error).__name__}: {error}")

    def __str__(self) -> str:
        return f"detector {self.name!r} of {self.origin} ({self.entry.value})"


def installed_plugins() -> list[Plugin]:
    """All that installed distributions name, usable or not, by name."""
    found = [Plugin(each.name, each, _origin(each)) for each in entry_points(group=GROUP)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.origin))


def refusal(plugin: Plugin, others: Collection[Plugin], built_in: Collection[str]) -> str:
    """Why a plugin cannot be used by its name; empty: it can."""
    if plugin.name in built_in:
        return "its name is built in; a plugin needs one of its own"
    same = [each.origin for each in others if each.name == plugin.name and each != plugin]
    return f"{', '.join(same)} has one of the same name; uninstall one of them" if same else ""


def plugin_named(name: str, built_in: Collection[str]) -> Plugin | None:
    """Whose detector a name means; None: the name is built in, whoever else took it.

    Raises:
        ConfigError: nobody's, which lists all names and where they come from; or a plugin's that
            cannot be used.
    """
    everybody = installed_plugins()
    same = [plugin for plugin in everybody if plugin.name == name]
    if name in built_in:
        for plugin in same:
            log.warning("%s is not used: %s", plugin, refusal(plugin, everybody, built_in))
        return None
    if same:
        reason = refusal(same[0], everybody, built_in)
        if reason:
            raise ConfigError(f"detector.name: {same[0]}: {reason}")
        return same[0]
    theirs = ", ".join(f"{plugin.name} (of {plugin.origin})" for plugin in everybody)
    raise ConfigError(
        f"detector.name: expected one of {', '.join(built_in)} (built in), or of the detectors of "
        f"installed packages: {theirs or 'there are none'}; got {name!r}"
    )


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
