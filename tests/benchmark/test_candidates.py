"""Which networks are measured, and at which sizes."""

import dataclasses
from collections.abc import Callable

import pytest

from gwunet.benchmark import TABLE1, VARIANTS, named_candidates, planned_candidates, table1_candidates
from gwunet.errors import UsageError
from gwunet.exposed_field import Border
from gwunet.networks import NETWORKS
from gwunet.plans import Configuration, Inference, Plans, Preprocessing, Spec


@pytest.fixture
def plans(make_configuration: Callable[..., Configuration]) -> Plans:
    tile = Inference(tile_size=(40, 56), step=0.5, mirror=True, threshold=0.5)
    wide = make_configuration(name="wide", batch_size=6, inference=tile)
    borders = {"uint8": Border(level=15.0, threshold=20.0, spread=2.0)}
    configurations = {"fganet": make_configuration(), "wide": wide}
    preprocessing = Preprocessing(borders=borders)
    return Plans(
        schema_version=1, dataset="Dataset001_Made", preprocessing=preprocessing, configurations=configurations
    )


def test_every_registered_network_and_variant_is_measured_by_default() -> None:
    labels = [candidate.label for candidate in named_candidates()]
    assert labels == sorted({*NETWORKS.names(), *VARIANTS})
    assert {NETWORKS.get(spec.name).__name__ for spec in VARIANTS.values()} == {"FGANet"}


def test_channels_and_sizes_reach_the_network() -> None:
    (chosen,) = named_candidates(["LinkNet"], size=(40, 60), channels=3, batch_size=4)
    assert chosen.network.arguments == {"in_channels": 3}
    assert chosen.channels == 3
    assert (chosen.frame_size, chosen.batch_size) == (chosen.patch_size, chosen.training_batch_size) == ((40, 60), 4)
    assert chosen.loss.name == "ModifiedFocalLoss"


def test_a_planned_configuration_runs_as_planned(plans: Plans) -> None:
    (chosen,) = planned_candidates(plans, ["wide"])
    assert (chosen.frame_size, chosen.batch_size) == ((40, 56), 1)
    assert (chosen.patch_size, chosen.training_batch_size) == ((16, 24), 6)
    assert chosen.loss_weights == (0.75, 0.25)
    assert chosen.network.arguments["features"] == [2, 4]
    (larger,) = planned_candidates(plans, ["wide"], size=(80, 80), batch_size=3)
    assert (larger.frame_size, larger.batch_size, larger.patch_size) == ((80, 80), 3, (16, 24))
    assert [each.label for each in planned_candidates(plans)] == ["fganet", "wide"]


def test_no_pretrained_weights_are_fetched(make_configuration: Callable[..., Configuration], plans: Plans) -> None:
    spec = Spec(name="LinkNet", arguments={"encoder": "resnet18", "pretrained": "imagenet"})
    changed = dataclasses.replace(plans, configurations={"linknet": make_configuration(network=spec)})
    (chosen,) = planned_candidates(changed)
    assert chosen.network.arguments == {"in_channels": 1, "encoder": "resnet18"}


def test_what_cannot_be_measured_is_refused(plans: Plans) -> None:
    with pytest.raises(UsageError, match="unknown network 'FGAnet': did you mean 'FGANet'"):
        named_candidates(["FGAnet"])
    with pytest.raises(UsageError, match="no configuration 'linknet': planned are fganet, wide"):
        planned_candidates(plans, ["linknet"])
    with pytest.raises(UsageError, match="--size 0"):
        named_candidates(size=(64, 0))
    with pytest.raises(UsageError, match="--batch_size 0"):
        planned_candidates(plans, batch_size=0)


def test_the_table_has_the_papers_rows_in_its_order() -> None:
    candidates = table1_candidates()
    assert [candidate.label for candidate in candidates] == list(TABLE1)
    assert all(candidate.frame_size == (512, 512) and candidate.channels == 3 for candidate in candidates)
    assert [row.giga for row in TABLE1.values()] == [54.98, 139.61, 266.53, 35.60, 83.32, 75.36, None]
    assert [row.ms for row in TABLE1.values()] == [4.06, 18.68, 17.42, 4.02, 21.64, 17.18, 130.0]
