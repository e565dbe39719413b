# SPDX-License-Identifier: Apache-2.0
"""What ``train reid`` trains: this project's network with attention, or OSNet in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.data.reid_samples import crops_of, pixels_of
from alphapose_ros.models.checkpoint import load_light_state
from alphapose_ros.models.osnet import OSNET_HW, WIDTHS, OSNet, is_osnet, osnet_of
from alphapose_ros.models.reid import REID_HW, ReidNet, is_reid_net, reid_net_of, take_trunk
from alphapose_ros.models.state import without_prefix
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.factory import Normalised
from alphapose_ros.reid.masking import masked_again
from alphapose_ros.reid.render import GuidanceRenderer
from alphapose_ros.train.reid_config import REID_NET, ReidTrainConfig
from alphapose_ros.weights import load_tensors

_AIN = "osnet_ain"
_LAST = ("embed.", "plain.", "neck.", "plain_neck.")


@dataclass(frozen=True)
class Learned:
    """One embedding in training.

    Attributes:
        raw, neck: (N, D) before and behind the neck; the same where there is none.
        taught: (N, D) what is compared with the teacher's answer.
        classifier: of the people who were seen more than once, behind the neck.
        weight: of its losses.
    """

    raw: Tensor
    neck: Tensor
    taught: Tensor
    classifier: nn.Module
    weight: float


class Learner(nn.Module):
    """The network and, of training alone, a classifier behind each of its embeddings.

    Args:
        network: what is trained.
        classes: people who were seen more than once.
        config: weights of the losses.
    """

    def __init__(self, network: ReidNet | OSNet, classes: int, config: ReidTrainConfig) -> None:
        super().__init__()
        self.network = network
        self._config, self._input = config, Normalised(nn.Identity())
        self.classifier = nn.Linear(network.dim, max(classes, 1), bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        if isinstance(network, OSNet):
            # Its embedding has no negative numbers, a teacher's has: they differ by a rotation.
            self.toward_teacher = nn.Linear(network.dim, network.dim, bias=False)
        else:
            self.plain_classifier = nn.Linear(network.dim, max(classes, 1), bias=False)
            nn.init.normal_(self.plain_classifier.weight, std=0.001)

    def embeddings(
        self, batch: Mapping[str, Tensor], renderer: GuidanceRenderer, device: torch.device
    ) -> dict[str, Learned]:
        """Of a batch of ``ReidSamples``, by name; the one whose losses have columns has none."""
        config = self._config
        if isinstance(self.network, OSNet):
            raw = self.network.raw(self._input(pixels_of(batch, device)))
            return {"": Learned(raw, raw, self.toward_teacher(raw), self.classifier, 1.0)}
        out = self.network.both(_seen(self.network, crops_of(batch, renderer, device)))
        attended = out.attended, out.attended_neck, out.attended_neck
        plain = out.plain, out.plain_neck, out.plain_neck
        return {
            "": Learned(*attended, self.classifier, config.attended_weight),
            "plain": Learned(*plain, self.plain_classifier, config.plain_weight),
        }


def crop_hw(config: ReidTrainConfig) -> tuple[int, int]:
    """Height and width of the crops."""
    if config.input_hw:
        height, width = config.input_hw
        return height, width
    return REID_HW if config.layout == REID_NET else OSNET_HW


def started(config: ReidTrainConfig) -> ReidNet | OSNet:
    """The network with its start values, its first blocks frozen.

    Raises:
        WeightsError: ``init`` is damaged, or of another network than ``layout``.
        ConfigError: blocks of random weights were to stay as they are, or more numbers to be kept
            than there are.
    """
    network = _network(config)
    if config.kept_dim > network.dim:
        raise ConfigError(f"kept_dim: expected at most {network.dim}, got {config.kept_dim}")
    if config.freeze and not config.init and isinstance(network, OSNet):
        raise ConfigError(
            f"freeze: expected 0 where {config.layout} starts from random weights, got "
            f"{config.freeze}"
        )
    for block in frozen_blocks(network, config):
        block.requires_grad_(False)
    return network


def frozen_blocks(network: ReidNet | OSNet, config: ReidTrainConfig) -> list[nn.Module]:
    """Those that keep their weights, and the moments of their norms."""
    return _trunk(network)[: config.freeze]


def parameter_groups(learner: Learner, config: ReidTrainConfig) -> list[dict[str, object]]:
    """The rest and the trunk at their own rates; frozen blocks take no gradient at all."""
    trunk = [p for block in _trunk(learner.network) for p in block.parameters() if p.requires_grad]
    inside = {id(p) for block in _trunk(learner.network) for p in block.parameters()}
    rest = [p for p in learner.parameters() if p.requires_grad and id(p) not in inside]
    rate = config.learning_rate
    # From random weights a trunk learns as fast as what stands on it.
    slower = config.trunk_rate if config.init or config.layout == REID_NET else 1.0
    groups = [(rest, rate), (trunk, rate * slower)]
    return [{"params": params, "lr": lr} for params, lr in groups if params]


@torch.no_grad()
def settle_necks(network: ReidNet, batches: Iterable[Tensor]) -> None:
    """Give both necks the moments of unspoilt crops, packed (N, 4, H, W).

    Training's crops are covered, pasted over and blurred; their mean lies elsewhere, and what is
    left of it in every embedding makes people look alike.
    """
    network.eval()
    outputs = [network.both(_seen(network, crops)) for crops in batches]
    for neck, name in ((network.neck, "attended"), (network.plain_neck, "plain")):
        raw = torch.cat([getattr(each, name) for each in outputs])
        if len(raw) > 1:
            cast(Tensor, neck.running_mean).copy_(raw.mean(0))
            cast(Tensor, neck.running_var).copy_(raw.var(0))


@torch.no_grad()
def narrowed(network: ReidNet, batches: Iterable[Tensor], dim: int) -> ReidNet:
    """The network with embeddings of ``dim`` numbers, those that say most of ``batches``.

    They are the coordinates along the directions in which unit embeddings of unspoilt crops,
    packed (N, 4, H, W), are longest together: what two embeddings have in common changes least.
    The rotation and the necks' factors go into the last layers. ``dim`` is at most what the
    network has.
    """
    network.eval()
    outputs = [network.both(_seen(network, crops)) for crops in batches]
    width, maps = network.plain.in_features, len(network.gain)
    state = network.state_dict()
    for last, neck, name in (("embed", "neck", "attended"), ("plain", "plain_neck", "plain")):
        units = torch.cat([getattr(each, f"{name}_neck") for each in outputs])
        units = nn.functional.normalize(units, dim=1).double()
        basis = torch.linalg.eigh(units.T @ units)[1].flip(1)[:, :dim].T.float()
        norm = getattr(network, neck)
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        state[f"{last}.weight"] = basis @ (factor[:, None] * state[f"{last}.weight"])
        state[f"{neck}.running_mean"] = basis @ (factor * norm.running_mean)
        state[f"{neck}.running_var"] = torch.full((dim,), 1 - norm.eps)
        state[f"{neck}.weight"], state[f"{neck}.bias"] = torch.ones(dim), torch.zeros(dim)
    fewer = ReidNet(width=width, maps=maps, dim=dim, masks=network.masks)
    fewer.load_state_dict(state)
    return fewer.eval()


def _seen(network: ReidNet, crops: Tensor) -> Tensor:
    """Packed crops as the network wants them."""
    return masked_again(crops) if network.masks else crops


def _network(config: ReidTrainConfig) -> ReidNet | OSNet:
    path = resolve(config.init) if config.init else None
    state = without_prefix(load_tensors(path)) if path else {}
    try:
        if config.layout != REID_NET:
            return _osnet(config.layout, state)
        if is_reid_net(state):
            return _like(config, reid_net_of(state))
        network = _like(config, ReidNet())
        if state:
            take_trunk(network, load_light_state(state))
        return network
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _like(config: ReidTrainConfig, network: ReidNet) -> ReidNet:
    """The same network; where it shall give another number of numbers, its last layers are new."""
    width, maps = network.plain.in_features, len(network.gain)
    other = ReidNet(width=width, maps=maps, dim=config.dim or network.dim, masks=config.masks)
    last = () if other.dim == network.dim else _LAST
    own = other.state_dict()
    kept = {
        key: values
        for key, values in network.state_dict().items()
        if key in own and not key.startswith(last)
    }
    other.load_state_dict(own | kept)
    return other


def _osnet(layout: str, state: Mapping[str, Tensor]) -> OSNet:
    channels, ain = WIDTHS[layout.rpartition("_x")[2]], layout.startswith(_AIN)
    fresh = OSNet(channels, ain=ain)
    if not state:
        return fresh
    if not is_osnet(state):
        raise WeightsError(f"expected weights of {layout}, got those of another network")
    found = osnet_of(state)
    if found.channels != fresh.channels or found.ain != fresh.ain:
        raise WeightsError(
            f"expected weights of {layout}, got {'OSNet-AIN' if found.ain else 'OSNet'} of "
            f"{found.channels} channels"
        )
    return found


def _trunk(network: ReidNet | OSNet) -> list[nn.Module]:
    """The blocks that have start values of their own, from the input on."""
    return network.stages if isinstance(network, OSNet) else list(network.features)
