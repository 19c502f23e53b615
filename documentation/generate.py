"""Writes the pages of documentation/reference that the program itself knows best.

    python documentation/generate.py

``commands.md`` from the commands' own parsers, ``python_api.md`` from the docstrings of the public names, and
``file_formats.md`` from the dataclasses that files are read into. A test compares the pages with what this script would
write.
"""

from writing.commands import commands_page
from writing.file_formats import file_formats_page
from writing.python_api import python_api_page
from writing.sources import ROOT

PAGES = {
    "commands.md": commands_page,
    "python_api.md": python_api_page,
    "file_formats.md": file_formats_page,
}


def main() -> None:
    for name, text in pages().items():
        (ROOT / "documentation" / "reference" / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """File name in documentation/reference -> what the page has to say."""
    return {name: "\n".join(page()) + "\n" for name, page in PAGES.items()}


if __name__ == "__main__":
    main()
