"""Packaging of mmswinv2; the lists of requirements live in requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_requirements(name: str) -> list[str]:
    """Return the requirements of ``requirements/<name>.txt``, comments removed."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    requirements = (line.partition("#")[0].strip() for line in lines)
    return [requirement for requirement in requirements if requirement]


def read_version() -> str:
    """Return ``__version__`` without importing the package."""
    source = (ROOT / "mmswinv2" / "__init__.py").read_text()
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]


setup(
    name="mmswinv2",
    version=read_version(),
    description="Swin Transformer V2 for MMDetection 3.x and MMSegmentation 1.x",
    author="mmswinv2 authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["mmswinv2", "mmswinv2.*"]),
    package_data={"mmswinv2.pretraining": ["*.txt"]},
    python_requires=">=3.10",
    install_requires=read_requirements("runtime"),
    # Neither stack is a hard requirement: they share their import names, and
    # installing one over the other would overwrite its files.
    extras_require={
        "teachers": [*read_requirements("pretrain"), *read_requirements("teachers")],
        "video": [*read_requirements("pretrain"), *read_requirements("video")],
        # One of the tests builds the site.
        "tests": [*read_requirements("tests"), *read_requirements("docs")],
        **{
            name: read_requirements(name)
            for name in (
                "onedl",
                "openmmlab",
                "pretrain",
                "demo",
                "export",
                "docs",
            )
        },
    },
)
