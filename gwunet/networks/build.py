"""From a plan's configuration to a network."""

import torch
from torch import nn

from gwunet.errors import SchemaError, UsageError
from gwunet.networks.pretrained import Transfer, load_pretrained
from gwunet.networks.registry import NETWORKS
from gwunet.networks.resnet import ResNet
from gwunet.plans import Configuration


def build_network(configuration: Configuration) -> nn.Module:
    """The network a configuration names, with its arguments and fresh weights, in channels_last memory.

    The argument ``pretrained`` is for ``pretrain``, at the start of training: whoever puts trained weights into the
    network needs no others, nor the file or the internet they came from.

    Raises:
        SchemaError: the name is not registered or the arguments do not fit the network.
    """
    spec = configuration.network
    arguments = spec.arguments | ({"pretrained": None} if "pretrained" in spec.arguments else {})
    where = f"plans.json: configurations.{configuration.name}.network"
    try:
        network = NETWORKS.get(spec.name)(**arguments)
    except UsageError as problem:
        raise SchemaError(f"{where}.name: {problem}") from problem
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SchemaError(f"{where}.arguments: {problem}") from problem
    return in_channels_last(network)


def in_channels_last(network: nn.Module) -> nn.Module:
    """The same network with its kernels in channels_last memory, which its feature maps then take on.

    Convolutions, norms and the deformable convolution's gather are faster so, on CPUs as on GPUs.
    """
    ready: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs
    return ready


def pretrain(network: nn.Module, configuration: Configuration) -> Transfer | None:
    """Give a network the weights that its configuration's argument ``pretrained`` names, if any.

    Raises:
        SchemaError: the argument is neither ``"imagenet"`` nor a file.
        ModelError: the weights cannot be fetched or read, or none fits the network.
    """
    encoder = getattr(network, "encoder", None)
    pretrained = configuration.network.arguments.get("pretrained")
    if pretrained is None or not isinstance(encoder, ResNet):
        return None
    try:
        return load_pretrained(encoder, pretrained)
    except (TypeError, ValueError) as problem:
        where = f"plans.json: configurations.{configuration.name}.network.arguments"
        raise SchemaError(f"{where}: {problem}") from problem
