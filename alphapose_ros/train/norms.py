# SPDX-License-Identifier: Apache-2.0
"""Batch norms given back to networks whose norms were folded into their convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def restore_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give every batch norm of ``model`` the moments of ``batches``; the function stays the same.

    One pass in evaluation mode collects mean and variance of each norm's input. With scale s and
    shift t of the norm as it stands, gamma = s sqrt(var + eps) and beta = t + s mean. It is what
    lets a network from a folded file train at an ordinary learning rate.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    sums: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def collect(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        flat = inputs[0].double().transpose(0, 1).flatten(1)
        count = torch.full_like(flat[:, 0], flat.shape[1])
        sums[module].append(torch.stack([count, flat.sum(1), flat.square().sum(1)]))

    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    was_training = model.training
    model.eval()
    for batch in batches:
        model(batch)
    for hook in hooks:
        hook.remove()
    model.train(was_training)
    for norm in norms:
        if sums[norm]:
            _set_moments(norm, torch.stack(sums[norm]).sum(0))


def _set_moments(norm: nn.BatchNorm2d, sums: Tensor) -> None:
    count, total, squares = sums
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - scale * norm.running_mean.double()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + scale * mean)


def set_training(model: nn.Module, freeze_norms: bool, kept: Iterable[nn.Module] = ()) -> None:
    """Training mode, the batch norms' moments held where they are if ``freeze_norms``.

    Those of the parts in ``kept``, whose weights do not move either, are held in any case.
    """
    model.train()
    for part in (model,) if freeze_norms else kept:
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
