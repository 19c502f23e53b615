"""The table of networks by name; plans name them here and nowhere else."""

from torch import nn

from gwunet.registry import Registry

NETWORKS: Registry[type[nn.Module]] = Registry("network", home="gwunet.networks")
