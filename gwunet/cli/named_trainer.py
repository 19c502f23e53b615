"""``-tr``, where a trained model is looked for."""


def trainer_named(given: str | None) -> str | None:
    """The name that a trainer's results stand under.

    ``module:Class`` imports the module, which may register the network that a checkpoint names: the checkpoint itself
    never does.

    Args:
        given: what stands behind ``-tr``; None where nothing does.

    Raises:
        UsageError: there is no such module or class, or it is no trainer.
    """
    if given is None or ":" not in given:
        return given
    from gwunet.registry import class_name
    from gwunet.training import TRAINERS

    TRAINERS.find(given)
    return class_name(given)
