"""Pieces of a page that several sections use."""

from collections.abc import Mapping, Sequence
from typing import Any

from gwunet.report.markup import Child, Markup, element


def section(name: str, title: str, *children: Child) -> Markup:
    """A part of the page that the navigation leads to."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *children, id=name, aria_labelledby=f"{name}-title")


def facts(known: Mapping[str, str]) -> Markup:
    """Names and values side by side."""
    return element(
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in known.items()), class_="facts"
    )


def table(
    header: Sequence[str], rows: Sequence[Sequence[Child]], *, label: str, stacked: bool = False, numbers: bool = True
) -> Markup:
    """A table whose first column names the row.

    Args:
        header: names of the columns.
        rows: cells.
        label: what it shows, for those who do not see it.
        stacked: on a narrow screen every row becomes a block, its cells below one another.
        numbers: right-aligns all cells but the first.
    """
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(
                element("td", cell, data_label=name if stacked else None)
                for name, cell in zip(header[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    kinds = " ".join(kind for kind, holds in (("stacked", stacked), ("numbers", numbers)) if holds)
    made = element(
        "table",
        element("caption", label, class_="unseen"),
        element("thead", head),
        element("tbody", body),
        class_=kinds,
    )
    # Scrolled by the arrow keys where it is wider than the screen.
    return element("div", made, class_="scroll", tabindex=0, role="region", aria_label=label)


def number(value: Any, decimals: int = 3) -> str:
    """A number of a JSON file; a dash for anything else."""
    return f"{value:.{decimals}f}" if isinstance(value, int | float) else "–"


def picture(shown: tuple[str, int, int], words: str) -> Markup:
    """A data URI with its width and height."""
    uri, width, height = shown
    return element("img", src=uri, width=width, height=height, alt=words)
