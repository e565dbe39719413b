# SPDX-License-Identifier: Apache-2.0
"""State dicts into networks, with one message about everything that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import WeightsError

State = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

_PREFIX = "module."
_COUNTER = "num_batches_tracked"  # of training alone; old files lack it
_SHOWN = 3  # of each kind: the line stays one that is read


def without_prefix(state: State) -> dict[str, Tensor]:
    """The state dict without the ``module.`` that parallel training puts before every key.

    Raises:
        WeightsError: a key is not text.
    """
    for key in state:
        if not isinstance(key, str):
            raise WeightsError(f"expected names of tensors, got the key {key!r}")
    prefixed = bool(state) and all(key.startswith(_PREFIX) for key in state)
    return {key[len(_PREFIX) if prefixed else 0 :]: value for key, value in state.items()}


def fitted(build: Callable[[], Network], state: State) -> Network:
    """What ``build`` makes, float32, with the values of ``state``, in evaluation mode on the CPU.

    The network is built without memory first, so that nothing is drawn at random in vain. All its
    buffers must be in its state dict.

    Raises:
        WeightsError: keys are missing or left over, or shapes differ; the first of each are named.
    """
    with torch.device("meta"):
        network = build()
    own = network.state_dict()
    check_fit(own, state)
    counters = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in own.items() if k not in state}
    # Copied rather than assigned: that converts half precision, needs no torch of 2.1, and leaves
    # no parameter that is a window on the file.
    _allocate(network)
    network.load_state_dict({**state, **counters})
    return network.eval()


def check_fit(own: State, state: State) -> None:
    """Refuse a ``state`` that does not fit a network whose own is ``own``.

    Raises:
        WeightsError: keys are missing or left over, or shapes differ; the first of each are named.
    """
    missing = [key for key in own if key not in state and not key.endswith(_COUNTER)]
    problems = [
        _listed("missing", map(repr, missing)),
        _listed("unexpected", (repr(key) for key in state if key not in own)),
        _listed("not as expected", _differences(own, state)),
    ]
    if any(problems):
        raise WeightsError("does not fit its network: " + "; ".join(filter(None, problems)))


def load_into(network: nn.Module, state: State, name: str) -> None:
    """Give ``network``, which is called ``name``, the values of ``state``.

    Raises:
        WeightsError: as :func:`check_fit`, with the name.
    """
    try:
        check_fit(network.state_dict(), state)
        network.load_state_dict(dict(state))
    except (RuntimeError, WeightsError) as error:
        raise WeightsError(f"expected the tensors of {name}: {error}") from error


def _allocate(network: nn.Module) -> None:
    """Give every tensor of a network without memory its own on the CPU, with any values.

    As ``to_empty`` does, for which PyTorch imports its symbolic algebra, a second at the start.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            filled = torch.empty(parameter.shape, dtype=parameter.dtype)
            setattr(module, name, nn.Parameter(filled, parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _differences(own: State, state: State) -> Iterable[str]:
    for key, expected in own.items():
        value = state.get(key, expected)
        if value.shape != expected.shape:
            yield f"{key!r} is {tuple(value.shape)} in place of {tuple(expected.shape)}"
        elif expected.is_floating_point() and not value.is_floating_point():
            yield f"{key!r} is {value.dtype} in place of floating point"


def _listed(what: str, items: Iterable[str]) -> str:
    found = list(items)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{what}: {', '.join(found[:_SHOWN])}{more}" if found else ""
