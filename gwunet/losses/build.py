"""From a plan's configuration to a loss."""

from gwunet.errors import SchemaError, UsageError
from gwunet.losses.deep_supervision import DeepSupervision
from gwunet.losses.registry import LOSSES
from gwunet.plans import Configuration


def build_loss(configuration: Configuration) -> DeepSupervision:
    """The loss a configuration names, wrapped for deep supervision.

    Raises:
        SchemaError: the name is not registered or the arguments do not fit the loss.
    """
    spec = configuration.loss
    where = f"plans.json: configurations.{configuration.name}.loss"
    try:
        return DeepSupervision(LOSSES.get(spec.name)(**spec.arguments), configuration.deep_supervision_weights)
    except UsageError as problem:
        raise SchemaError(f"{where}.name: {problem}") from problem
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SchemaError(f"{where}.arguments: {problem}") from problem
