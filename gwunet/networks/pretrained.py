"""Weights that somebody trained before: torchvision's ResNets on ImageNet, or another run of gwunet.

A file is data: tensors alone are read from it. What was loaded, what was not and why is told in one line of the log.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from gwunet.checkpoint import as_checkpoint, is_checkpoint, read_tensors
from gwunet.errors import ModelError, UsageError, few
from gwunet.networks.resnet import LAYOUTS, BasicBlock, Bottleneck, ResNet
from gwunet.splits import known_to

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"
IMAGENET_URLS = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
}
"""torchvision's first ImageNet weights of each encoder; the end of a name is the start of the file's SHA-256."""
PUBLIC_WIDTH = 64
"""Channels of the first convolution in the public weights."""
MARK = "layer1.0.conv1.weight"
"""In every ResNet's state dict, and in no other network's."""
COUNTER = "num_batches_tracked"
"""Ends the names of batch norm's counters. They are no weights and old files have none, so nothing here counts them."""
CLASSIFIER = "the classifier of the thousand classes"
NAMED = 3
"""Tensors that a message names of a kind, the others it counts."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """What came of a file of weights; names are the network's, those of ``skipped`` the file's."""

    source: str
    """Name of the file."""
    loaded: int
    """Tensors of the network that now hold the file's values."""
    tensors: int
    """Tensors the network has."""
    folded: dict[str, str]
    """Loaded into another number of channels: tensor and how."""
    skipped: dict[str, str]
    """Of the file, not loaded: tensor and why."""
    fresh: dict[str, int]
    """Parts of the network and how many of their tensors keep their random start."""
    dataset: str | None = None
    """The dataset that a checkpoint of gwunet was trained on; None for other files."""
    cases: tuple[str, ...] | None = None
    """The frames of that dataset that it was trained on; None where that is unknown."""
    cases_elsewhere: dict[str, tuple[str, ...] | None] = dataclasses.field(default_factory=dict)
    """The same of other datasets, by their names, on which weights were trained that it started from."""

    @property
    def seen(self) -> dict[str, tuple[str, ...] | None]:
        """By dataset, the frames that the weights were trained on; None where these are unknown."""
        return self.cases_elsewhere | ({} if self.dataset is None else {self.dataset: self.cases})

    def __str__(self) -> str:
        """One sentence for the log."""
        parts = [f"{self.source}: {self.loaded} of the network's {self.tensors} tensors loaded"]
        parts += [f"{name} folded ({how})" for name, how in self.folded.items()]
        names_by_reason: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            names_by_reason.setdefault(reason, []).append(name)
        shown = [f"{few(names, NAMED)} ({reason})" for reason, names in names_by_reason.items()]
        if shown:
            parts.append("skipped " + few(shown, NAMED))
        if self.fresh:
            parts.append("fresh are " + ", ".join(f"{count} of {part}" for part, count in self.fresh.items()))
        return "; ".join(parts)


def load_pretrained(encoder: ResNet, pretrained: str | Path | None) -> Transfer | None:
    """Give an encoder public weights; what a network's argument ``pretrained`` does.

    Args:
        encoder: of any width and number of input channels; on the meta device nothing is loaded or fetched.
        pretrained: None (nothing), ``"imagenet"`` (fetched once, then kept by ``torch.hub``) or a file in torchvision's
            layout.

    Raises:
        ValueError: ``pretrained`` is something else, or ``"imagenet"`` for an encoder of another width.
        ModelError: the weights cannot be fetched or read, are another encoder's, or none fits.
    """
    if pretrained is None or encoder.conv1.weight.is_meta:
        return None
    if pretrained == IMAGENET:
        width = encoder.conv1.out_channels
        if width != PUBLIC_WIDTH:
            raise ValueError(f"pretrained is {pretrained!r}, and {_other_width(width)}")
        name = _encoder_of(encoder.state_dict())
        return _copy(encoder, _fetch(name), IMAGENET_URLS[name])
    path = Path(pretrained)
    if not path.is_file():
        raise ValueError(f"pretrained is {str(pretrained)!r}, wanted {IMAGENET!r}, a file of weights, or nothing")
    content = read_tensors(path, "file of weights")
    if is_checkpoint(content):
        raise ModelError(f"{path}: found a checkpoint of gwunet, wanted ImageNet weights; give it to gw_train instead")
    return _copy(encoder, _state_dict(content, path), path.name)


def load_pretrained_file(network: nn.Module, path: Path) -> Transfer:
    """Start a network from a file, which may be public ImageNet weights or a checkpoint of another run.

    ImageNet weights go into the network's ResNet encoder; of a checkpoint every tensor of equal name and shape is
    taken, as nnU-Net does for fine-tuning.

    Raises:
        UsageError: the file holds a ResNet and the network has none.
        ModelError: the file cannot be read, holds another encoder, or nothing in it fits the network.
    """
    content = read_tensors(path, "file of weights")
    if is_checkpoint(content):
        checkpoint = as_checkpoint(content, path)
        transfer = _copy(network, _tensors(checkpoint.weights, path), path.name)
        return dataclasses.replace(
            transfer,
            dataset=checkpoint.dataset,
            cases=checkpoint.cases,
            cases_elsewhere=checkpoint.cases_elsewhere,
        )
    state = _state_dict(content, path)
    if MARK not in state:
        return _copy(network, state, path.name)
    if not isinstance(getattr(network, "encoder", None), ResNet):
        raise UsageError(
            f"--pretrained_weights {path}: found the weights of a ResNet, and {type(network).__name__} has no ResNet "
            "encoder; wanted a checkpoint of gwunet, or a configuration with such an encoder (linknet, cenet, "
            "deeplabv3plus)"
        )
    return _copy(network, state, path.name, prefix="encoder.")


def count_seen(transfer: Transfer, dataset: str, validation: Sequence[str], undivided: Mapping[str, str]) -> int | None:
    """How many validation frames of a dataset the weights know, with a warning where there may be some.

    Args:
        transfer: what was loaded.
        dataset: the name of the dataset.
        validation: names of the fold's validation frames.
        undivided: the patient, say, of each of the dataset's training frames (``gwunet.splits.group_of``).

    Returns:
        Frames that they were trained on, or on others of their patient; None where that is unknown.
    """
    if transfer.dataset is None:
        return None
    if dataset not in transfer.seen or not validation:
        return 0
    trained_on = transfer.seen[dataset]
    if trained_on is None:
        logger.warning(
            "%s: trained on %s as well, on frames it does not name; the fold's validation frames may have been among "
            "them, and its figures be too good: start from weights of another dataset or of the same fold",
            transfer.source,
            dataset,
        )
        return None
    seen = known_to(trained_on, validation, undivided)
    if seen:
        unit = undivided.get(seen[0], "").partition(" ")[0]
        others = "" if set(seen) <= set(trained_on) else f", or on others of their {unit}"
        logger.warning(
            "%s: was trained on %d of the fold's %d validation frames%s, so that its figures would be too good: the "
            "fold will be trained and not validated; start from weights of another dataset or of the same fold",
            transfer.source,
            len(seen),
            len(validation),
            others,
        )
    return len(seen)


def _fetch(name: str) -> dict[str, Tensor]:
    """Public weights from the internet, or from where ``torch.hub`` kept them."""
    url = IMAGENET_URLS[name]
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    if kept.is_file():  # read here: torch.hub compares check sums of what it fetches, not of what it kept
        try:
            return _state_dict(read_tensors(kept, "file of weights"), kept)
        except ModelError as problem:
            raise ModelError(f"{problem}: it is damaged; delete it, and it is fetched anew") from problem
    try:
        content = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", weights_only=True, check_hash=True, progress=False
        )
    except Exception as problem:  # no internet, no such page, a full disk, a wrong check sum
        raise ModelError(
            f"{url}: the public weights of {name} could not be fetched ({type(problem).__name__}: {problem}); download "
            f"the file where there is internet and give it with --pretrained_weights FILE, or put it into {kept.parent}"
        ) from problem
    return _state_dict(content, kept)


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Tensors by name from what people save: a state dict, one under ``state_dict``, one of a wrapped network."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    tensors = _tensors(content, path)
    wrapped = all(name.startswith("module.") for name in tensors)
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()} if wrapped else tensors


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path}: found {type(content).__name__}, wanted a state dict: tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(f"{path}: {name}: found {type(value).__name__}, wanted a state dict: tensors by name")
    return content


def _copy(network: nn.Module, state: Mapping[str, Tensor], source: str, prefix: str = "") -> Transfer:
    """Copy what fits by name and shape; ``prefix`` stands before the file's names in the network."""
    own = network.state_dict()
    _refuse_another_encoder(own, state, source, prefix)
    fitting: dict[str, Tensor] = {}
    folded: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name, tensor in state.items():
        inner = prefix + name
        if inner not in own and name.endswith(COUNTER):
            continue
        if inner not in own:
            skipped[name] = CLASSIFIER if name.startswith("fc.") else "not in the network"
        elif tensor.shape == own[inner].shape:
            fitting[inner] = tensor
        elif name == "conv1.weight" and _differ_in_channels(tensor, own[inner]):
            fitting[inner] = fold_kernel(tensor, own[inner].shape[1])
            folded[inner] = f"{tensor.shape[1]} channels to {own[inner].shape[1]}"
        else:
            skipped[name] = f"its shape is {_shape(tensor)}, the network's {_shape(own[inner])}"
    counted = {inner for inner in own if not inner.endswith(COUNTER)}
    left = counted - fitting.keys()
    if left == counted:  # counters fit everywhere
        raise ModelError(_nothing_fits(network, source, skipped, own.get(prefix + "conv1.weight")))
    network.load_state_dict(fitting, strict=False)
    fresh: dict[str, int] = {}
    for inner in left:
        part = inner.split(".")[0]
        fresh[part] = fresh.get(part, 0) + 1
    transfer = Transfer(
        source=source,
        loaded=len(counted - left),
        tensors=len(counted),
        folded=folded,
        skipped=skipped,
        fresh=dict(sorted(fresh.items())),
    )
    whole = not any(inner.startswith(prefix) for inner in left)
    logger.log(logging.INFO if whole else logging.WARNING, "%s", transfer)
    return transfer


def _refuse_another_encoder(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str, prefix: str) -> None:
    """Of one ResNet some tensors fit another by name and shape, and are no use there."""
    for part in ("", "encoder."):
        mark = state.get(part + MARK)
        if mark is None or mark.ndim != 4 or prefix + part + MARK not in own:
            continue
        found, wanted = _encoder_of(state, part), _encoder_of(own, prefix + part)
        if found != wanted:
            raise ModelError(
                f"{source}: found the weights of {found}, wanted those of {wanted}, which is this network's encoder; "
                f'give a file of {wanted}, or set "encoder" in plans.json'
            )


def _encoder_of(state: Mapping[str, Tensor], prefix: str = "") -> str:
    """The ResNet whose state dict it is, by its blocks: a key of ``LAYOUTS``, or another's blocks in words."""
    blocks = {tuple(name.removeprefix(prefix).split(".")[:2]) for name in state if name.startswith(prefix)}
    depths = tuple(sum(block[0] == f"layer{number}" for block in blocks) for number in range(1, 5))
    kind = Bottleneck if f"{prefix}layer1.0.conv3.weight" in state else BasicBlock
    known = [name for name, layout in LAYOUTS.items() if layout == (kind, depths)]
    name = known[0] if known else f"a ResNet of {'-'.join(map(str, depths))} {kind.__name__}s"
    inside, width = state[prefix + MARK].shape[:2]  # not equal in wide ResNets and ResNeXts
    return name if inside == width else f"{name} with {inside} channels in its first block instead of {width}"


def fold_kernel(kernel: Tensor, channels: int) -> Tensor:
    """``(N, C, h, w)`` to ``(N, channels, h, w)`` that answers to a grey frame in all channels as the first one did.

    The channels' sum, shared out equally: for one channel the sum itself.
    """
    return (kernel.sum(1, keepdim=True) / channels).expand(-1, channels, -1, -1)


def _differ_in_channels(kernel: Tensor, wanted: Tensor) -> bool:
    return kernel.ndim == wanted.ndim == 4 and (kernel.shape[0], *kernel.shape[2:]) == (
        wanted.shape[0],
        *wanted.shape[2:],
    )


def _nothing_fits(network: nn.Module, source: str, skipped: Mapping[str, str], first: Tensor | None) -> str:
    message = (
        f"{source}: found no tensor that fits {type(network).__name__} by name and shape; "
        f"{few([f'{name}: {reason}' for name, reason in skipped.items()], NAMED)}"
    )
    if MARK in skipped and first is not None and first.shape[0] != PUBLIC_WIDTH:
        message += f"; {_other_width(first.shape[0])}"
    return message


def _other_width(width: int) -> str:
    return (
        f"public weights have width {PUBLIC_WIDTH}, this encoder {width}: plan for cuda,"
        f' or set "width": {PUBLIC_WIDTH} in plans.json'
    )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
