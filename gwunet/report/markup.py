"""HTML put together from elements, so that text cannot turn into markup.

Names of cases and files come from other people; whatever is not ``Markup`` is escaped, and only ``element`` and
``literal`` make ``Markup``.
"""

import html
from collections.abc import Iterable

EMPTY = frozenset({"meta", "img", "input", "br"})
"""Elements without content."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | Iterable["Child"] | None
"""What an element may hold: text, markup, any nesting of them, or None for nothing."""
Attribute = str | int | float | bool | None


def element(tag: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """``<tag attributes>children</tag>``.

    Args:
        tag: name of the element.
        children: text, which is escaped, or ``Markup``, which is not.
        attributes: by name; a trailing underscore is dropped (``class_``), the others become hyphens (``aria_label``).
            True gives a bare attribute; None and False leave it out.
    """
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    written = "".join(
        f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
        for name, value in given.items()
        if value is not None and value is not False
    )
    if tag in EMPTY:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Child) -> Markup:
    """Children one after another, text escaped."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int):
        return Markup(html.escape(str(children)))
    return Markup("".join(map(joined, children)))


def literal(own: str) -> Markup:
    """Markup written in this package (a style sheet, say); never anything read from a file of the user's."""
    return Markup(own)
