"""The table of losses by name; plans name them here and nowhere else."""

from torch import nn

from gwunet.registry import Registry

LOSSES: Registry[type[nn.Module]] = Registry("loss", home="gwunet.losses")
