# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded into the convolutions before them, for running a network in PyTorch.

Which norm follows which convolution is read from a trace of the module's forward; where a module
cannot be traced, from those of its parts. The trace is only read: what runs is a copy of the
module with its classes as they were, and layers that nothing was found about stay.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import cast

from torch import fx, nn
from torch.nn.utils import fuse_conv_bn_eval

_OTHER = -1  # what is no layer: a function, an input, an output
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
# What tracing raises about code that looks at values or sizes: it follows none of it.
_UNTRACEABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,  # the tracer's own TraceError as well
)


def folded(module: nn.Module) -> nn.Module:
    """The same function in fewer layers, up to rounding; ``module`` itself where nothing folds."""
    pairs = _pairs(module)
    if not pairs:
        return module
    out = copy.deepcopy(module).eval()
    for convolution, norm in pairs:
        before = cast(nn.Conv2d, out.get_submodule(convolution))
        after = cast(nn.BatchNorm2d, out.get_submodule(norm))
        transposed = isinstance(before, nn.ConvTranspose2d)
        _replace(out, convolution, fuse_conv_bn_eval(before, after, transposed))
        _replace(out, norm, nn.Identity())
    return out


def _pairs(module: nn.Module, prefix: str = "") -> list[tuple[str, str]]:
    """Names of convolutions and of the norms that alone read them."""
    if not any(isinstance(each, nn.BatchNorm2d) for each in module.modules()):
        return []
    try:
        graph = fx.Tracer().trace(module)
    except _UNTRACEABLE:
        return [
            pair
            for name, child in module.named_children()
            for pair in _pairs(child, f"{prefix}{name}.")
        ]
    return [(prefix + a, prefix + b) for a, b in _pairs_of(module, graph)]


def _pairs_of(module: nn.Module, graph: fx.Graph) -> list[tuple[str, str]]:
    """Pairs where every call of the one goes to the other alone, and comes from nowhere else."""
    layers = dict(module.named_modules(remove_duplicate=False))
    names = {id(layer): name for name, layer in layers.items()}
    readers: dict[int, set[int]] = defaultdict(set)
    sources: dict[int, set[int]] = defaultdict(set)
    for node in graph.nodes:
        for reader in node.users:
            to, of = _layer(reader, layers), _layer(node, layers)
            readers[of].add(to)
            sources[to].add(of)
    return [
        (names[of], names[next(iter(to))])
        for of, to in readers.items()
        if len(to) == 1 and _OTHER not in (of, *to) and sources[next(iter(to))] == {of}
        if _foldable(layers[names[of]], layers[names[next(iter(to))]])
    ]


def _layer(node: fx.Node, layers: dict[str, nn.Module]) -> int:
    """Which layer a node calls."""
    return id(layers[str(node.target)]) if node.op == "call_module" else _OTHER


def _foldable(first: nn.Module, second: nn.Module) -> bool:
    known = type(first) in _CONVOLUTIONS and type(second) is nn.BatchNorm2d
    return known and bool(second.track_running_stats)


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    owner, _, own = name.rpartition(".")
    setattr(module.get_submodule(owner), own, layer)
