"""The part of the page on what was decided, and why."""

from collections.abc import Sequence

from gwunet.plans import Configuration, Decision, Plans
from gwunet.report.markup import Markup, element
from gwunet.report.parts import section, table


def plan_section(plans: Plans) -> Markup:
    """Decisions that all configurations share, then those of each."""
    configurations = list(plans.configurations.values())
    shared = [
        decision
        for decision in (configurations[0].decisions if configurations else ())
        if len(configurations) > 1 and all(decision in each.decisions for each in configurations)
    ]
    return section(
        "plan",
        "Plan",
        element("p", "What the planner decided for these frames, why, and what would change it."),
        [element("h3", "All configurations"), _decisions(shared, "decisions all share")] if shared else None,
        [_configuration(each, shared, opened=number == 0) for number, each in enumerate(configurations)],
    )


def _configuration(configuration: Configuration, shared: Sequence[Decision], opened: bool) -> Markup:
    own = [decision for decision in configuration.decisions if decision not in shared]
    target = f"{configuration.target.device}, {configuration.target.memory_gb:g} GiB"
    return element(
        "details",
        element("summary", element("h3", configuration.name), f" by {configuration.planner}, for {target}"),
        _decisions(own, f"decisions for {configuration.name}"),
        open=opened,
    )


def _decisions(decisions: Sequence[Decision], label: str) -> Markup:
    rows = [(each.what, each.value, each.reason, each.change) for each in decisions]
    header = ("decision", "value", "reason", "what would change it")
    return table(header, rows, label=label, stacked=True, numbers=False)
