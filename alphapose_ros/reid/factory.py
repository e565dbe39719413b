# SPDX-License-Identifier: Apache-2.0
"""Building the embedder from its configuration."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.models.export import GraphNames
from alphapose_ros.models.osnet import OSNET_HW, is_osnet, osnet_of
from alphapose_ros.models.reid import REID_HW, ReidNet, is_reid_net, packed, reid_net_of
from alphapose_ros.models.state import without_prefix
from alphapose_ros.registry.bundled import REID_NANO
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, Guide, ReidNetwork
from alphapose_ros.reid.masking import masked, masked_and_packed
from alphapose_ros.reid.open_model_zoo import OpenModelZooReid
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate, choose_runtime
from alphapose_ros.weights import OPENVINO, load_tensors

REID_NAMES = GraphNames(
    ("crops",), ("embeddings",), {name: {0: "N"} for name in ("crops", "embeddings")}
)


class Normalised(nn.Module):
    """A network behind ImageNet's normalisation: RGB crops (N, 3, H, W) in 0..255 go in."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            constants = 255 * torch.tensor(values).view(3, 1, 1)
            self.register_buffer(name, constants, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Whatever the network gives."""
        return self.network((crops - self.mean) / self.std)


def create_embedder(
    config: ReidConfig,
    device: torch.device | str = "cpu",
    runtime: RuntimeOptions | None = None,
) -> Embedder | None:
    """The configured embedder, None where people are not embedded; nothing is downloaded.

    Args:
        config: which network, and how.
        device: where it runs.
        runtime: what runs its network; None: PyTorch.

    Raises:
        WeightsError: the weight file is missing, damaged or of another network.
        MissingDependencyError: it needs a package that is not installed.
    """
    if not config.enabled or not (config.weights or REID_NANO in MODELS):
        return None
    options = runtime or RuntimeOptions("torch", device=str(device))
    path = resolve(config.weights or REID_NANO)
    network, own_hw, dim = load_reid(path, attend=config.attention, threads=options.threads)
    guide: Guide | None = masked if config.attention else None
    if isinstance(network, ReidNet):
        # It takes the fourth plane also where it looks away from it.
        guide = masked_and_packed if network.masks and config.attention else packed
    if isinstance(network, OpenModelZooReid):
        if config.input_hw not in (None, own_hw):
            raise ConfigError(
                f"reid: expected input_height and input_width {own_hw} or 0 for {path.name}, got "
                f"{config.input_hw}"
            )
        alone = ReidNetwork(lambda crops: (network(crops),), own_hw, dim, guide)
        return Embedder(alone, config)
    input_hw = config.input_hw or own_hw
    planes = 4 if isinstance(network, ReidNet) else 3
    example = torch.zeros((min(2, config.max_batch), planes, *input_hw))
    run = accelerate(
        network, example, choose_runtime(options), REID_NAMES, max_batch=config.max_batch
    )
    return Embedder(ReidNetwork(run, input_hw, dim, guide), config)


def load_reid(
    path: Path, *, attend: bool = True, threads: int = 0
) -> tuple[nn.Module, tuple[int, int], int]:
    """A file's network, told by its keys, in evaluation mode; its crop size and embedding size.

    Args:
        path: of the weights, or of Open Model Zoo's .xml.
        attend: whether a network that has attention uses it.
        threads: of the CPU that run an .xml; 0 for PyTorch's number.

    Raises:
        WeightsError: missing, damaged, or of no network that is known here.
        MissingDependencyError: it needs a package that is not installed.
    """
    if path.suffix.lower() == OPENVINO:
        found = OpenModelZooReid(path, threads)
        return found.eval(), found.input_hw, found.dim
    state = without_prefix(load_tensors(path))
    try:
        if is_reid_net(state):
            reid = reid_net_of(state, attend=attend)
            return reid, REID_HW, reid.dim
        if is_osnet(state):
            osnet = osnet_of(state)
            return Normalised(osnet).eval(), OSNET_HW, osnet.dim
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    raise WeightsError(
        f"{path}: expected weights of this project's ReidNet, of OSNet or of OSNet-AIN, or an "
        f"{OPENVINO} of Open Model Zoo's"
    )
