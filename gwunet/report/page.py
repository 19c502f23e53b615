"""The page as a whole: one file that needs nothing else, neither a network nor another file."""

import base64
import datetime
import hashlib
import html
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import gwunet
from gwunet.jsonio import as_utf8, replacing
from gwunet.report.dataset_section import dataset_section
from gwunet.report.findings import Findings, findings_of
from gwunet.report.markup import Markup, element, joined, literal
from gwunet.report.material import Material, gather
from gwunet.report.plan_section import plan_section
from gwunet.report.predicted_section import predicted_section
from gwunet.report.results_section import results_section
from gwunet.report.training_section import training_section
from gwunet.workspace import Workspace

NAME = "report.html"
NAVIGATION = {"brief": "In brief", "dataset": "Dataset", "plan": "Plan", "training": "Training", "results": "Results"}
LOWEST_NAMED = 3


def write_report(
    dataset: str | int,
    output: Path | None = None,
    *,
    workspace: Workspace | str | Path | None = None,
    configurations: Sequence[str] | None = None,
    predictions: Mapping[Path, Path | None] | None = None,
) -> Path:
    """Write a dataset's report.

    Args:
        dataset: id or folder name; it has been planned.
        output: the file; None is ``report.html`` among the dataset's results.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        configurations: the trained ones to report on; None takes all.
        predictions: folders that ``gw_predict`` wrote, each with the file of ``gw_evaluate``; None looks for that in
            the folder.

    Returns:
        The file.

    Raises:
        NotPreparedError: the dataset has not been planned, or a configuration not trained.
        SchemaError: its fingerprint or plans are damaged.
        OutputError: the file cannot be written.
    """
    workspace = Workspace.find(workspace)
    name = workspace.dataset_name(dataset)
    material = gather(workspace, name, configurations, predictions)
    page = render(material, findings_of(material), datetime.datetime.now(datetime.UTC))
    page = without_places(page, (workspace.raw, workspace.preprocessed, workspace.results))
    output = output or workspace.results_dataset(name) / NAME
    with replacing(output) as partial:
        # A name that is no text, as file systems allow, must not keep the rest from being written.
        partial.write_bytes(as_utf8(page))
    return output


def without_places(page: str, folders: Sequence[Path]) -> str:
    """The page without where on this machine the folders lie, as messages have it: a report is passed on."""
    for folder in folders:
        if folder.is_absolute() and len(folder.parts) > 2:
            page = page.replace(html.escape(str(folder)), folder.name)
    return page


def render(material: Material, findings: Sequence[Findings], now: datetime.datetime) -> str:
    """The page's source.

    Scripts and styles but the page's own are refused by its content security policy, which names theirs by hash, and
    so is every request to anywhere.
    """
    style, script = (_own(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{material.dataset} – gwunet report"),
        element("style", literal(style)),
    )
    body = element(
        "body",
        element("a", "Skip to the results", href="#results", class_="skip"),
        _header(material, now),
        element("main", _brief(material, findings), _sections(material, findings)),
        element(
            "footer",
            element(
                "p",
                f"Made by gw_report of gwunet {gwunet.__version__}. It shows frames of patients: keep it as "
                "you keep them.",
            ),
        ),
        element("script", literal(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sections(material: Material, findings: Sequence[Findings]) -> Markup:
    return joined(
        [
            dataset_section(material),
            plan_section(material.plans),
            training_section(material.models),
            results_section(material, findings),
            predicted_section(material),
        ]
    )


def _own(name: str) -> str:
    return resources.files("gwunet.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _header(material: Material, now: datetime.datetime) -> Markup:
    links = [
        element("a", title, href=f"#{name}") for name, title in {**NAVIGATION, "versions": "Speed and versions"}.items()
    ]
    return element(
        "header",
        element("p", f"gwunet report, {now:%Y-%m-%d %H:%M} UTC", class_="note"),
        element("h1", material.dataset),
        element("nav", *links, aria_label="parts of the page"),
    )


def _brief(material: Material, findings: Sequence[Findings]) -> Markup:
    found = material.fingerprint
    whose = "of unknown patients" if found.n_patients is None else f"of {found.n_patients} patients"
    lines = [element("p", f"{found.n_frames} frames {whose} in {found.n_sequences} sequences.")]
    lines += [_brief_result(each) for each in findings]
    if not findings:
        planned = ", ".join(material.plans.configurations)
        lines.append(element("p", f"Planned: {planned}. Nothing is validated yet."))
    if findings:
        lines.append(_lowest(findings[0]))
    if material.problems:
        problems = [element("li", problem) for problem in material.problems]
        heading = element("h3", "What could not be read, or is out of date")
        lines.append(element("div", heading, element("ul", problems), class_="warning"))
    title = element("h2", "In brief", id="brief-title")
    return element("section", title, *lines, id="brief", aria_labelledby="brief-title", class_="brief")


def _brief_result(found: Findings) -> Markup:
    value, results = found.results.value("dice"), found.results
    assert value is not None  # every row has it
    groups = f"{results.n_groups} {results.unit}s"
    interval = (
        f"no interval below six {results.unit}s, here {results.n_groups}"
        if value.interval is None
        else f"{results.level:.0%} interval {value.interval[0]:.3f} to {value.interval[1]:.3f} over {groups}"
    )
    words = f": mean Dice {value.mean:.3f} on {results.n_frames} frames never trained on ({interval})."
    return element("p", element("b", found.model.name), words)


def _lowest(found: Findings) -> Markup:
    items = [
        element(
            "li",
            element("b", group.name),
            f" (Dice {group.dice:.2f}): {'; '.join((*group.faults, *group.circumstances)) or 'single pixels'}",
        )
        for group in found.groups[:LOWEST_NAMED]
    ]
    return element("div", element("h3", f"Lowest {found.results.unit}s of {found.model.name}"), element("ol", items))
