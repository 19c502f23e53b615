"""Lines of Markdown."""

import textwrap

MADE = "*Written by `documentation/generate.py`: change {what}, not this page.*"
WIDTH = 120


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def in_markdown(text: str) -> str:
    """A docstring's paragraph as a line of Markdown."""
    return " ".join(text.split()).replace("``", "`")
