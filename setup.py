"""Maps the three source folders onto one package tree; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

FOLDER_OF_PACKAGE = {"gwunet": "gwunet", "gwunet.planners": "planners", "gwunet.trainers": "trainers"}


def all_packages() -> list[str]:
    """The packages named above with every package in the folders below them."""
    names: list[str] = []
    for package, folder in FOLDER_OF_PACKAGE.items():
        names += [package, *(f"{package}.{below}" for below in find_packages(folder))]
    return names


setup(package_dir=FOLDER_OF_PACKAGE, packages=all_packages())
