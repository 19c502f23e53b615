"""From a plan's configuration to a network."""

from torch import nn

from gwunet.errors import SchemaError, UsageError
from gwunet.networks.registry import NETWORKS
from gwunet.plans import Configuration


def build_network(configuration: Configuration) -> nn.Module:
    """The network a configuration names, with its arguments and fresh weights.

    Raises:
        SchemaError: the name is not registered or the arguments do not fit the network.
    """
    spec = configuration.network
    where = f"plans.json: configurations.{configuration.name}.network"
    try:
        return NETWORKS.get(spec.name)(**spec.arguments)
    except UsageError as problem:
        raise SchemaError(f"{where}.name: {problem}") from problem
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SchemaError(f"{where}.arguments: {problem}") from problem
