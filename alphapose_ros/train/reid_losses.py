# SPDX-License-Identifier: Apache-2.0
"""What makes embeddings of one person alike and those of others unlike.

Triplets with the hardest pairs of the batch (Hermans et al., 2017), supervised contrast (Khosla
et al., NeurIPS 2020; with two views of each person it is InfoNCE), and classification with label
smoothing behind the BN-neck (Luo et al., CVPRW 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def batch_hard_triplet(embeddings: Tensor, identities: Tensor, margin: float = 0.3) -> Tensor:
    """Mean over the batch of max(0, farthest friend - nearest stranger + margin).

    Args:
        embeddings: (N, D), of any length.
        identities: (N,).
        margin: how much nearer a friend shall be than a stranger.

    Rows without a friend or without a stranger have no say; without any row that has both it is 0.
    """
    distances = _distances(embeddings)
    same = identities[:, None] == identities[None]
    itself = torch.eye(len(identities), dtype=torch.bool, device=same.device)
    friends = same & ~itself
    infinity = torch.finfo(distances.dtype).max
    farthest = distances.masked_fill(~friends, -infinity).amax(1)
    nearest = distances.masked_fill(same, infinity).amin(1)
    useful = friends.any(1) & ~same.all(1)
    if not useful.any():
        return embeddings.sum() * 0
    return functional.relu(farthest[useful] - nearest[useful] + margin).mean()


def supervised_contrast(
    embeddings: Tensor, identities: Tensor, temperature: float = 0.1
) -> Tensor:
    """Mean over friends of -log(exp(s/t) / sum over all others of exp(s/t)).

    Args:
        embeddings: (N, D); their directions count.
        identities: (N,).
        temperature: t; the smaller, the more the nearest strangers count.
    """
    unit = functional.normalize(embeddings, dim=1)
    logits = unit @ unit.T / temperature
    itself = torch.eye(len(identities), dtype=torch.bool, device=logits.device)
    friends = (identities[:, None] == identities[None]) & ~itself
    chances = logits - logits.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    count = friends.sum(1)
    useful = count > 0
    if not useful.any():
        return embeddings.sum() * 0
    total = chances.masked_fill(~friends, 0).sum(1)
    return -(total[useful] / count[useful]).mean()


def classification(logits: Tensor, labels: Tensor, smoothing: float = 0.1) -> Tensor:
    """Cross entropy with smoothed labels of the rows whose label is not -1; 0 without any."""
    known = labels >= 0
    if not known.any():
        return logits.sum() * 0
    return functional.cross_entropy(logits[known], labels[known], label_smoothing=smoothing)


def teaching(embeddings: Tensor, answers: Tensor) -> Tensor:
    """Mean of 1 - cosine between embeddings (N, D) and a teacher's unit ones (N, D)."""
    return (1 - (functional.normalize(embeddings, dim=1) * answers).sum(1)).mean()


def _distances(embeddings: Tensor) -> Tensor:
    """Euclidean, (N, N); the root is held off zero, where its slope is infinite."""
    squares = embeddings.square().sum(1)
    between = squares[:, None] + squares[None] - 2 * embeddings @ embeddings.T
    return between.clamp_min(1e-8).sqrt()
