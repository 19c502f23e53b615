"""Public ImageNet weights and checkpoints of other runs, as files made here in the public layout."""

import dataclasses
import json
import logging
import os
import shutil
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gwunet
from gwunet.checkpoint import load_checkpoint, save_checkpoint
from gwunet.cli.train import main
from gwunet.errors import ModelError, SchemaError, UsageError
from gwunet.networks import NETWORKS, FGANet, LinkNet, build_network
from gwunet.networks.build import pretrain
from gwunet.networks.pretrained import (
    IMAGENET_URLS,
    Transfer,
    count_seen,
    fold_kernel,
    load_pretrained,
    load_pretrained_file,
)
from gwunet.networks.resnet import LAYOUTS, ResNet
from gwunet.plans import Configuration, Spec, Target
from gwunet.synthetic import synthesize_dataset
from gwunet.trainers.loop import Run
from gwunet.training import TrainConfig

State = dict[str, Tensor]
WIDTH = 8


def public_state(name: str = "resnet18", width: int = WIDTH) -> State:
    """Every tensor of a trained ResNet in torchvision's layout: three input channels, and a classifier."""
    torch.manual_seed(5)
    state = ResNet(name, in_channels=3, width=width).state_dict()
    for key, value in state.items():
        if key.endswith(("running_mean", "bias")):
            value.normal_(std=0.1)
        elif key.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.ndim == 0:
            value.fill_(1000)
    channels = state["layer4.0.bn2.weight"].numel() * LAYOUTS[name][0].expansion
    return dict(state) | {"fc.weight": torch.randn(1000, channels), "fc.bias": torch.randn(1000)}


@pytest.fixture
def public_file(tmp_path: Path) -> Path:
    torch.save(public_state(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def small_linknet(**arguments: Any) -> LinkNet:
    return LinkNet(**{"encoder": "resnet18", "width": WIDTH, "head_channels": 4} | arguments)


def assert_loaded(encoder: nn.Module, state: State) -> None:
    """Every tensor but the first kernel is the file's."""
    own = encoder.state_dict()
    assert set(own) == set(state) - {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[key], state[key]) for key in own if key != "conv1.weight")


# An encoder ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_encoder_has_public_weights(name: str) -> None:
    assert name in IMAGENET_URLS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_arrives_in_the_encoder(tmp_path: Path, name: str, legacy: bool) -> None:
    state = public_state(name, width=4)
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    network = LinkNet(in_channels=3, encoder=name, pretrained=str(path), width=4, head_channels=4)
    assert_loaded(network.encoder, state)
    assert torch.equal(network.encoder.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_folded_kernel_answers_to_a_grey_frame_as_the_public_one(public_file: Path, channels: int) -> None:
    public = ResNet("resnet18", in_channels=3, width=WIDTH).eval()
    public.load_state_dict(torch.load(public_file, weights_only=True), strict=False)
    ours = small_linknet(in_channels=channels, pretrained=str(public_file)).encoder.eval()
    assert_loaded(ours, torch.load(public_file, weights_only=True))
    frame = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        expected, found = public(frame.expand(-1, 3, -1, -1)), ours(frame.expand(-1, channels, -1, -1))
    for ours_of_layer, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_of_layer, theirs, atol=1e-4, rtol=1e-4)


def test_one_channel_takes_the_sum_of_the_three() -> None:
    kernel = torch.randn(8, 3, 7, 7)
    torch.testing.assert_close(fold_kernel(kernel, 1)[:, 0], kernel[:, 0] + kernel[:, 1] + kernel[:, 2])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 90},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {key: value.half() if value.ndim else value for key, value in state.items()},
    ],
    ids=["state_dict", "module", "both", "half precision"],
)
def test_what_people_wrap_around_a_state_dict(tmp_path: Path, wrap: Callable[[State], Any]) -> None:
    torch.save(wrap(public_state()), tmp_path / "w.pth")
    encoder = ResNet("resnet18", in_channels=3, width=WIDTH)
    transfer = load_pretrained(encoder, tmp_path / "w.pth")
    assert transfer is not None
    assert (transfer.loaded, transfer.tensors, transfer.fresh) == (100, 100, {})
    assert encoder.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(encoder.conv1.weight.detach(), public_state()["conv1.weight"], atol=1e-3, rtol=1e-3)


def test_the_report_says_what_was_loaded_folded_skipped_and_left(
    public_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = small_linknet()
    with caplog.at_level(logging.INFO, "gwunet"):
        transfer = load_pretrained_file(network, public_file)
    assert_loaded(network.encoder, public_state())
    counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    assert (transfer.source, transfer.loaded) == ("resnet18.pth", 100)
    assert transfer.tensors == len(network.state_dict()) - len(counters) == 100 + sum(transfer.fresh.values())
    assert set(transfer.fresh) == {"decoder1", "decoder2", "decoder3", "decoder4", "head"}
    assert transfer.fresh["head"] == 6  # three convolutions with bias
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith(f"resnet18.pth: 100 of the network's {transfer.tensors} tensors loaded; ")
    for part in (
        "encoder.conv1.weight folded (3 channels to 1)",
        "skipped fc.weight, fc.bias (the classifier of the thousand classes)",
        "6 of head",
    ):
        assert part in record.getMessage()


@pytest.mark.parametrize("name", ["LinkNet", "CENet", "DeepLabV3Plus"])
def test_every_network_with_a_resnet_takes_a_file_either_way(public_file: Path, name: str) -> None:
    network_class = NETWORKS.get(name)
    with_file = network_class(encoder="resnet18", width=WIDTH, pretrained=str(public_file))
    later = network_class(encoder="resnet18", width=WIDTH)
    load_pretrained_file(later, public_file)
    for network in (with_file, later):
        assert isinstance(network.encoder, ResNet)
        assert_loaded(network.encoder, public_state())


def test_old_files_without_counters_are_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = {key: value for key, value in public_state().items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    network = small_linknet()
    with caplog.at_level(logging.INFO, "gwunet"):
        transfer = load_pretrained_file(network, tmp_path / "old.pth")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert transfer.loaded == len(old) - 2  # the classifier's
    assert "encoder" not in transfer.fresh


@pytest.mark.parametrize(("found", "wanted"), [("resnet50", "resnet34"), ("resnet18", "resnet34")])
def test_a_file_of_another_encoder_is_refused(tmp_path: Path, found: str, wanted: str) -> None:
    """Though some of its tensors would fit: the first convolution, and more of fewer blocks."""
    torch.save(public_state(found), tmp_path / "w.pth")
    message = rf"w\.pth: found the weights of {found}, wanted those of {wanted}.*give a file of {wanted}"
    network = small_linknet(encoder=wanted)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        load_pretrained_file(network, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=message):
        small_linknet(encoder=wanted, pretrained=str(tmp_path / "w.pth"))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    torch.save({f"encoder.{key}": value for key, value in public_state(found).items()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=message):  # as others save a whole network
        load_pretrained_file(network, tmp_path / "w.pth")


def test_other_resnets_are_described_by_their_blocks(tmp_path: Path) -> None:
    """Wide and grouped ones have a known number of blocks, which are wider inside; others have unknown numbers."""
    state = public_state("resnet50", width=4)
    first = state["layer1.0.conv1.weight"]
    wide = state | {"layer1.0.conv1.weight": torch.cat((first, first))}
    deep = state | {"layer4.3.conv1.weight": torch.ones(32, 128, 1, 1)}
    encoder = ResNet("resnet50", in_channels=3, width=4)
    for other, message in (
        (wide, "found the weights of resnet50 with 8 channels in its first block instead of 4, wanted those of resnet"),
        (deep, "found the weights of a ResNet of 3-4-6-4 Bottlenecks, wanted those of resnet50"),
    ):
        torch.save(other, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=message):
            load_pretrained(encoder, tmp_path / "w.pth")


def test_a_shape_that_differs_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = public_state() | {"layer1.0.bn1.weight": torch.ones(9), "extra": torch.ones(2)}
    torch.save(state, tmp_path / "w.pth")
    transfer = load_pretrained(ResNet("resnet18", in_channels=3, width=WIDTH), tmp_path / "w.pth")
    assert transfer is not None
    assert (transfer.loaded, transfer.tensors) == (99, 100)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert transfer.skipped["layer1.0.bn1.weight"] == "its shape is 9, the network's 8"
    assert transfer.skipped["extra"] == "not in the network"
    assert transfer.fresh == {"layer1": 1}


def test_public_weights_in_a_narrow_encoder_are_refused(public_file: Path) -> None:
    """Only the counters of batch norm fit, and they are no weights."""
    message = r"resnet18\.pth: found no tensor that fits ResNet .*conv1\.weight: its shape is 8x3x7x7, the network's 4"
    with pytest.raises(ModelError, match=message + r".*public weights have width 64, this encoder 4"):
        small_linknet(width=4, pretrained=str(public_file))


@pytest.mark.parametrize("value", ["imagenett", "missing.pth", "", "ImageNet"])
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=rf"pretrained is '{value}', wanted 'imagenet', a file of weights"):
        small_linknet(pretrained=value)


class Harmful:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": Harmful(tmp_path / "was run")}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match=r"w\.pth: not a readable file of weights"):
        small_linknet(pretrained=str(path))
    assert not (tmp_path / "was run").exists()


def test_damaged_and_other_files_are_named(public_file: Path) -> None:
    whole = public_file.read_bytes()
    position = whole.index(public_state()["layer1.0.conv1.weight"].numpy().tobytes())
    flipped = whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :]
    for damaged in (b"", b"no weights", whole[: len(whole) // 2], flipped):
        public_file.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"resnet18\.pth: not a readable file of weights"):
            load_pretrained_file(small_linknet(), public_file)
    for other, found in ((torch.ones(3), "Tensor"), ({"a": 3}, "a: found int"), ({}, "dict")):
        torch.save(other, public_file)
        with pytest.raises(ModelError, match=rf"resnet18\.pth: (found )?{found}.*wanted a state dict"):
            load_pretrained_file(small_linknet(), public_file)
    torch.save({"some": torch.ones(3)}, public_file)
    with pytest.raises(ModelError, match=r"no tensor that fits LinkNet by name and shape; some: not in the network"):
        load_pretrained_file(small_linknet(), public_file)
    with pytest.raises(ModelError, match="no such file of weights"):
        load_pretrained_file(small_linknet(), public_file.with_name("gone.pth"))


def test_a_network_without_a_resnet_says_so(public_file: Path) -> None:
    network = FGANet(features=(4, 6), decoder_features=(4,))
    with pytest.raises(UsageError, match=r"found the weights of a ResNet, and FGANet has no ResNet encoder"):
        load_pretrained_file(network, public_file)


# The internet -------------------------------------------------------------------------------------------------------


def test_without_internet_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError) as raised:
        load_pretrained(ResNet("resnet34"), "imagenet")
    message = str(raised.value)
    for part in (
        "https://download.pytorch.org/models/resnet34-b627a593.pth: the public weights of resnet34 could not be",
        "name resolution",
        "--pretrained_weights FILE",
        f"or put it into {tmp_path}",
    ):
        assert part in message


@pytest.mark.parametrize("damage", ["half", "flipped", "none"])
def test_a_kept_file_that_is_damaged_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    """It could be fetched anew, once it is out of the way."""

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("fetched, where a file is kept")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setattr("gwunet.networks.pretrained.PUBLIC_WIDTH", WIDTH)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    state = public_state()
    torch.save(state, kept)
    whole = kept.read_bytes()
    position = whole.index(state["layer1.0.conv1.weight"].numpy().tobytes())
    if damage == "half":
        kept.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        kept.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
    encoder = ResNet("resnet18", width=WIDTH)
    if damage == "none":
        load_pretrained(encoder, "imagenet")
        assert_loaded(encoder, state)
        return
    with pytest.raises(ModelError, match=rf"{kept}: not a readable file of weights .*: it is damaged; delete it, and"):
        load_pretrained(encoder, "imagenet")


def test_imagenet_weights_come_from_the_public_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def fetch(url: str, **options: Any) -> State:
        asked.append((url, options["weights_only"], options["check_hash"]))
        return public_state(width=64)

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetch)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert_loaded(small_linknet(pretrained="imagenet", width=64).encoder, public_state(width=64))
    assert asked == [(IMAGENET_URLS["resnet18"], True, True)]


def test_nothing_is_fetched_for_an_encoder_of_another_width(
    monkeypatch: pytest.MonkeyPatch, make_configuration: Callable[..., Configuration]
) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("fetched, and could not be loaded")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    message = 'public weights have width 64, this encoder 8: plan for cuda, or set "width": 64 in plans.json'
    with pytest.raises(ValueError, match=f"pretrained is 'imagenet', and {message}"):
        small_linknet(pretrained="imagenet")
    spec = Spec(name="LinkNet", arguments={"encoder": "resnet18", "width": WIDTH, "pretrained": "imagenet"})
    configuration = make_configuration(network=spec)
    with pytest.raises(SchemaError, match=rf"configurations\.fganet\.network\.arguments: .*{message}"):
        pretrain(build_network(configuration), configuration)


def test_only_the_start_of_training_fetches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_configuration: Callable[..., Configuration]
) -> None:
    """Not planning, which builds on the meta device, nor a network that is built to take a checkpoint's weights."""
    fetched = []

    def fetch(url: str, **options: Any) -> State:
        fetched.append(url)
        return public_state()

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetch)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("gwunet.networks.pretrained.PUBLIC_WIDTH", WIDTH)
    arguments = {"encoder": "resnet18", "width": WIDTH, "pretrained": "imagenet"}
    configuration = make_configuration(network=Spec(name="LinkNet", arguments=arguments))
    with torch.device("meta"):
        LinkNet(**arguments)
    network = build_network(configuration)
    assert fetched == []
    transfer = pretrain(network, configuration)
    assert transfer is not None
    assert fetched == [IMAGENET_URLS["resnet18"]]
    assert isinstance(network.encoder, nn.Module)
    assert_loaded(network.encoder, public_state())


def test_a_plan_with_another_value_is_named(make_configuration: Callable[..., Configuration]) -> None:
    for value in ("imagenett", 3):
        spec = Spec(name="LinkNet", arguments={"encoder": "resnet18", "width": 4, "pretrained": value})
        configuration = make_configuration(network=spec)
        with pytest.raises(SchemaError, match=r"configurations\.fganet\.network\.arguments: "):
            pretrain(build_network(configuration), configuration)
    unknown = make_configuration(network=Spec(name="FGANet", arguments={"pretrained": "imagenet"}))
    with pytest.raises(SchemaError, match="unexpected keyword argument 'pretrained'"):
        build_network(unknown)
    assert pretrain(build_network(make_configuration()), make_configuration()) is None


# Training -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a planned dataset, whose plan of LinkNet is as narrow as the files made here."""
    root = tmp_path_factory.mktemp("workspace")
    synthesize_dataset(
        root / "raw" / "Dataset901_Small", patients=5, test_patients=0, sequences=1, frames=1, size=64, seed=3
    )
    target = Target(device="cpu", memory_gb=2.0)
    gwunet.plan_dataset(901, workspace=root, configurations=["linknet", "fganet"], target=target)
    gwunet.preprocess_dataset(901, workspace=root)
    path = root / "preprocessed" / "Dataset901_Small" / "plans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["linknet"]["network"]["arguments"]["width"] = WIDTH
    path.write_text(json.dumps(plans))
    return root


QUICK = TrainConfig(epochs=1, iterations=1, batch_size=2, device="cpu")


class StoppedError(Exception):
    """Raised where the first epoch would begin."""


def train(workspace: Path, options: TrainConfig, configuration: str = "linknet", fold: int = 0, **flags: bool) -> None:
    gwunet.train(901, fold, configuration=configuration, workspace=workspace, options=options, **flags)


@pytest.fixture
def started(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``start(options)``: begin a run, stop before its first epoch, and give its folder."""

    def start(options: TrainConfig, configuration: str = "linknet", fold: int = 0) -> Path:
        root = tmp_path / "run"
        shutil.copytree(planned, root, dirs_exist_ok=True)

        def stop(*arguments: Any) -> None:
            raise StoppedError

        with monkeypatch.context() as patch:
            patch.setattr(Run, "_run_epoch", stop)
            with pytest.raises(StoppedError):
                train(root, options, configuration, fold, overwrite=True)
        return next((root / "results" / "Dataset901_Small").glob(f"{configuration}__*")) / f"fold_{fold}"

    return start


def resume_until_first_epoch(fold: Path, options: TrainConfig) -> None:
    def stop(*arguments: Any) -> None:
        raise StoppedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_run_epoch", stop)
        with pytest.raises(StoppedError):
            train(fold.parents[3], options, resume=True)


def weights_at_start(fold: Path) -> State:
    checkpoint = load_checkpoint(fold / "checkpoint_latest.pt")
    assert checkpoint.epoch == 0
    return checkpoint.weights


def encoder_of(weights: State) -> State:
    return {key.removeprefix("encoder."): value for key, value in weights.items() if key.startswith("encoder.")}


@pytest.mark.parametrize("minutes", [None, 0.001])
def test_training_starts_from_a_public_file(
    started: Callable[..., Path], public_file: Path, minutes: float | None
) -> None:
    """With a time, too: the steps that measure it leave no trace."""
    options = dataclasses.replace(QUICK, pretrained_weights=public_file)
    if minutes is not None:
        options = dataclasses.replace(options, minutes=minutes, epochs=None, iterations=None)
    fold = started(options)
    first = weights_at_start(fold)
    found, state = encoder_of(first), public_state()
    torch.testing.assert_close(found.pop("conv1.weight"), state["conv1.weight"].sum(1, keepdim=True))
    assert all(torch.equal(value, state[key]) for key, value in found.items())
    line = json.loads((fold / "log.jsonl").read_text().splitlines()[0])
    assert line["pretrained"]["source"] == "resnet18.pth"
    assert line["pretrained"]["loaded"] == 100
    assert line["pretrained"]["validation_frames_seen"] is None  # a public file says nothing of its frames
    assert line["pretrained"]["folded"] == {"encoder.conv1.weight": "3 channels to 1"}
    again = weights_at_start(started(options))
    assert all(torch.equal(value, again[key]) for key, value in first.items())


def test_a_continued_run_keeps_what_it_has(
    started: Callable[..., Path], public_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file may be gone by then; what was loaded stays in the log. Only choices that differ are set aside."""
    options = dataclasses.replace(QUICK, pretrained_weights=public_file, learning_rate=1e-12)
    fold = started(options)
    state = torch.load(public_file, weights_only=True)
    public_file.unlink()
    resume_until_first_epoch(fold, options)
    assert "the choices it began with" not in caplog.text
    others = dataclasses.replace(options, learning_rate=1e-3, epochs=4, seed=3)
    train(fold.parents[3], others, resume=True)
    final = load_checkpoint(fold / "checkpoint_final.pt").weights
    torch.testing.assert_close(final["encoder.layer3.1.conv2.weight"], state["layer3.1.conv2.weight"])
    assert json.loads((fold / "log.jsonl").read_text().splitlines()[0])["pretrained"]["loaded"] == 100
    message = "training goes on with the choices it began with, not with --epochs 4, --lr 0.001, --seed 3"
    assert message in [record.getMessage().split(": ")[1] for record in caplog.records]


def test_training_starts_from_a_checkpoint_of_another_run(started: Callable[..., Path], tmp_path: Path) -> None:
    earlier = started(dataclasses.replace(QUICK, seed=4), "fganet") / "checkpoint_latest.pt"
    kept = earlier.rename(tmp_path / "earlier.pt")
    fold = started(dataclasses.replace(QUICK, pretrained_weights=kept), "fganet")
    wanted, found = load_checkpoint(kept).weights, weights_at_start(fold)
    assert all(torch.equal(value, wanted[key]) for key, value in found.items())
    pretrained = json.loads((fold / "log.jsonl").read_text().splitlines()[0])["pretrained"]
    counted = sum(not name.endswith("num_batches_tracked") for name in wanted)
    assert (pretrained["source"], pretrained["loaded"], pretrained["fresh"]) == ("earlier.pt", counted, {})


def log_of(fold: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads((fold / "log.jsonl").read_text().splitlines()[0])
    return line


def leak_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if "too good" in record.getMessage()]
    caplog.clear()
    return found


def test_weights_trained_on_the_validation_frames_are_told(
    started: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five folds of a frame each: a fold's validation frame is in every other fold's training."""
    other = (started(QUICK, fold=1) / "checkpoint_latest.pt").rename(tmp_path / "other.pt")
    same = (started(QUICK, fold=0) / "checkpoint_latest.pt").rename(tmp_path / "same.pt")
    assert load_checkpoint(other).cases == tuple(log_of(started(QUICK, fold=1))["train"])
    leak_warnings(caplog)
    started(dataclasses.replace(QUICK, pretrained_weights=same), fold=0)
    assert leak_warnings(caplog) == []
    fold = started(dataclasses.replace(QUICK, pretrained_weights=other), fold=0)
    (warning,) = leak_warnings(caplog)
    assert warning.startswith("other.pt: was trained on 1 of the fold's 1 validation frames, so")
    log = log_of(fold)
    assert set(log["val"]) <= set(log["pretrained"]["cases"])
    assert log["pretrained"]["validation_frames_seen"] == 1
    # What a run starts from counts for the runs that start from it, also after a break.
    resume_until_first_epoch(fold, QUICK)
    descendant = (fold / "checkpoint_latest.pt").rename(tmp_path / "descendant.pt")
    assert load_checkpoint(descendant).cases == tuple(sorted(log["train"] + log["val"]))
    started(dataclasses.replace(QUICK, pretrained_weights=descendant), fold=1)
    assert len(leak_warnings(caplog)) == 1


def test_weights_of_unknown_frames_are_told(
    started: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint of an earlier version names no frames; that of another dataset needs none."""
    checkpoint = load_checkpoint(started(QUICK, fold=1) / "checkpoint_latest.pt")
    path = tmp_path / "earlier.pt"
    options = dataclasses.replace(QUICK, pretrained_weights=path)
    save_checkpoint(path, checkpoint)
    content = torch.load(path, weights_only=True)
    del content["cases"]
    torch.save(content, path)
    leak_warnings(caplog)
    fold = started(options)
    assert "earlier.pt: trained on Dataset901_Small as well, on frames it does not name" in leak_warnings(caplog)[0]
    assert log_of(fold)["pretrained"]["validation_frames_seen"] is None
    assert load_checkpoint(fold / "checkpoint_latest.pt").cases is None
    save_checkpoint(path, dataclasses.replace(checkpoint, dataset="Dataset902_Other", cases=None))
    fold = started(options)
    assert leak_warnings(caplog) == []
    assert log_of(fold)["pretrained"]["validation_frames_seen"] == 0
    assert load_checkpoint(fold / "checkpoint_latest.pt").cases == tuple(log_of(fold)["train"])
    torch.save(content | {"cases": ["a", 3]}, path)
    with pytest.raises(ModelError, match=r"earlier\.pt: cases: expected a list of names, got \['a', 3\]"):
        load_checkpoint(path)


def test_weights_that_knew_the_validation_frames_before_another_dataset_are_told(
    started: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From this dataset to another and back: what was seen on the way is kept, also over a break."""
    other = load_checkpoint(started(QUICK, fold=1) / "checkpoint_latest.pt")
    path = tmp_path / "other.pt"
    options = dataclasses.replace(QUICK, pretrained_weights=path)
    save_checkpoint(path, dataclasses.replace(other, dataset="Dataset902_Other", cases=("far",)))
    fold = started(options)
    assert leak_warnings(caplog) == []
    resume_until_first_epoch(fold, QUICK)
    kept = load_checkpoint(fold / "checkpoint_latest.pt")
    assert kept.cases_elsewhere == {"Dataset902_Other": ("far",)}
    elsewhere = dataclasses.replace(other, dataset="Dataset902_Other", cases_elsewhere={other.dataset: other.cases})
    save_checkpoint(path, elsewhere)
    fold = started(options)
    (warning,) = leak_warnings(caplog)
    assert warning.startswith("other.pt: was trained on 1 of the fold's 1 validation frames, so")
    log, kept = log_of(fold), load_checkpoint(fold / "checkpoint_latest.pt")
    assert log["pretrained"]["validation_frames_seen"] == 1
    assert kept.cases == tuple(sorted(log["train"] + log["val"]))
    assert kept.cases_elsewhere == {"Dataset902_Other": other.cases}
    save_checkpoint(path, dataclasses.replace(elsewhere, cases_elsewhere={other.dataset: None}))
    assert log_of(started(options))["pretrained"]["validation_frames_seen"] is None
    assert "trained on Dataset901_Small as well, on frames it does not name" in leak_warnings(caplog)[0]


def test_files_of_before_other_datasets_were_kept_are_read(started: Callable[..., Path], tmp_path: Path) -> None:
    path = started(QUICK) / "checkpoint_latest.pt"
    content = torch.load(path, weights_only=True)
    del content["cases_elsewhere"]
    torch.save(content, path)
    assert load_checkpoint(path).cases_elsewhere == {}
    torch.save(content | {"cases_elsewhere": {"Dataset902_Other": "far"}}, path)
    with pytest.raises(ModelError, match=r"cases_elsewhere\.Dataset902_Other: expected a list of names, got 'far'"):
        load_checkpoint(path)


def test_weights_trained_on_other_frames_of_the_same_patient_are_told(caplog: pytest.LogCaptureFixture) -> None:
    transfer = Transfer(
        source="x.pt", loaded=1, tensors=1, folded={}, skipped={}, fresh={}, dataset="Dataset901_Small", cases=("a1",)
    )
    patients = {"a1": "patient a", "a2": "patient a", "b1": "patient b"}
    assert count_seen(transfer, "Dataset901_Small", ["b1"], patients) == 0
    assert leak_warnings(caplog) == []
    assert count_seen(transfer, "Dataset901_Small", ["a2", "b1"], patients) == 1
    assert "1 of the fold's 2 validation frames, or on others of their patient, so" in leak_warnings(caplog)[0]


@pytest.mark.parametrize("content", ["damaged", "another encoder", "nothing that fits"])
def test_a_trained_fold_outlives_weights_that_do_not_load(
    started: Callable[..., Path], tmp_path: Path, content: str
) -> None:
    fold = started(QUICK)
    names = ("checkpoint_final.pt", "checkpoint_best.pt", "checkpoint_latest.pt")
    for name in names[:2]:
        shutil.copy(fold / names[2], fold / name)
    before = [(fold / name).read_bytes() for name in names]
    bad = tmp_path / "bad.pth"
    if content == "damaged":
        bad.write_bytes(b"no weights")
    else:
        torch.save(public_state("resnet50") if content == "another encoder" else {"a": torch.ones(2)}, bad)
    plan = json.loads((fold.parents[3] / "preprocessed" / "Dataset901_Small" / "plans.json").read_text())
    assert plan["configurations"]["linknet"]["network"]["arguments"]["encoder"] != "resnet50"
    with pytest.raises(ModelError, match=r"bad\.pth: "):
        train(fold.parents[3], dataclasses.replace(QUICK, pretrained_weights=bad), overwrite=True)
    assert [(fold / name).read_bytes() for name in names] == before
    assert started(QUICK) == fold  # weights that load take its place
    assert [(fold / name).exists() for name in names] == [False, False, True]


def test_weights_that_the_run_itself_would_overwrite_are_kept(started: Callable[..., Path], tmp_path: Path) -> None:
    fold = started(QUICK)
    for name, message in (("checkpoint_latest.pt", "copy it elsewhere first"), ("gone.pt", "no such file")):
        with pytest.raises(UsageError, match=rf"--pretrained_weights .*{name}: .*{message}"):
            train(fold.parents[3], dataclasses.replace(QUICK, pretrained_weights=fold / name), overwrite=True)
    assert (fold / "checkpoint_latest.pt").is_file()


def test_a_run_without_pretrained_weights_says_so_in_its_log(started: Callable[..., Path]) -> None:
    fold = started(QUICK)
    assert json.loads((fold / "log.jsonl").read_text().splitlines()[0])["pretrained"] is None


def test_the_plan_may_name_a_file(started: Callable[..., Path], planned: Path, public_file: Path) -> None:
    path = planned / "preprocessed" / "Dataset901_Small" / "plans.json"
    before = path.read_text()
    plans = json.loads(before)
    plans["configurations"]["linknet"]["network"]["arguments"]["pretrained"] = str(public_file)
    path.write_text(json.dumps(plans))
    try:
        found = encoder_of(weights_at_start(started(QUICK)))
    finally:
        path.write_text(before)
    assert torch.equal(found["layer4.1.conv1.weight"], public_state()["layer4.1.conv1.weight"])


def test_the_command_takes_the_file(
    planned: Path,
    public_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A network without ResNet encoder is wrong use."""
    monkeypatch.setattr("gwunet.device.keep_freed_memory", lambda: None)
    shutil.copytree(planned, tmp_path / "run")
    flags = ["--epochs", "1", "--iterations", "1", "--batch_size", "2", "--device", "cpu"]
    files = ["--workspace", str(tmp_path / "run"), "--pretrained_weights", str(public_file)]
    assert main(["901", "0", "-c", "fganet", *flags, *files]) == 2
    assert f"--pretrained_weights {public_file}: found the weights of a ResNet, and FGANet" in capsys.readouterr().err
