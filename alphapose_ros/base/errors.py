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
import os
import sys
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


# Packages that report to their makers over the network, and keep an identifier of the machine
# below the user's home, unless told otherwise before their import: ONNX Runtime (1.32 for one) by
# a variable, OpenVINO where the package that does it cannot be imported.
_REPORTS_UNLESS = {"onnxruntime": ("ORT_DISABLE_TELEMETRY", "1")}
_REPORTS_BY = {"openvino": "openvino_telemetry"}


def require(module: str, *, needed_for: str, install: str) -> ModuleType:
    """Import an optional ``module`` or say what needs it and how to get it.

    What a package would report to its makers is turned off; a variable of the user's own counts.

    Raises:
        MissingDependencyError: the module is not installed.
    """
    root = module.partition(".")[0]
    if root in _REPORTS_UNLESS:
        os.environ.setdefault(*_REPORTS_UNLESS[root])
    if root in _REPORTS_BY:
        sys.modules.setdefault(_REPORTS_BY[root], None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{needed_for} needs the Python package {module.split('.')[0]!r}, "
            f"which cannot be imported ({error}); {install}"
        ) from error
