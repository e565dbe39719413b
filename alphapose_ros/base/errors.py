# SPDX-License-Identifier: Apache-2.0
"""Every error that the package raises on purpose.

AlphaPoseError
├── InputError      an image, box or file is not what was expected (the message says what came)
├── ConfigError     an unknown key, a wrong type, a value out of range
├── WeightsError    a weight file is missing, damaged, of another network or unsafe
├── SourceError     a camera, video or recording cannot be opened or read
├── TransportError  the middleware refused: no network, no domain, a foreign message type
└── MissingDependencyError   an optional package is not installed (the message names the remedy)
"""

from __future__ import annotations

import importlib
from types import ModuleType


class AlphaPoseError(Exception):
    """Base of all errors of this package; the command line prints it as one line."""


class InputError(AlphaPoseError, ValueError):
    """An image, box, keypoint array or file content is not what was expected."""


class ConfigError(AlphaPoseError, ValueError):
    """A configuration has an unknown key, a wrong type or a value out of range."""


class WeightsError(AlphaPoseError):
    """A weight file is missing, damaged, made for another network, or not plain tensors."""


class SourceError(AlphaPoseError):
    """A camera, video, folder or recording cannot be opened or read."""


class TransportError(AlphaPoseError):
    """The middleware cannot be joined or does not speak the expected types."""


class MissingDependencyError(AlphaPoseError, ImportError):
    """An optional package is needed and not installed."""


def require(module: str, *, needed_for: str, install: str) -> ModuleType:
    """Import an optional ``module`` or say what needs it and how to get it.

    Raises:
        MissingDependencyError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{needed_for} needs the Python package {module.split('.')[0]!r}, "
            f"which cannot be imported ({error}); {install}"
        ) from error
