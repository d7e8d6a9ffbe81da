"""Packaging of mmswinv2; the lists of requirements live in requirements/."""

import re
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PLACES = runpy.run_path(str(ROOT / "mmswinv2" / "places.py"))
NAMES = {file: name for name, file in PLACES["COMMANDS"].items()}
URL = "https://github.com/mmswinv2/mmswinv2"
DOCS = "https://mmswinv2.github.io/mmswinv2/"


def read_requirements(name: str) -> list[str]:
    """Return the requirements of ``requirements/<name>.txt``, comments removed."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    requirements = (line.partition("#")[0].strip() for line in lines)
    return [requirement for requirement in requirements if requirement]


def read_version() -> str:
    """Return ``__version__`` without importing the package."""
    source = (ROOT / "mmswinv2" / "__init__.py").read_text("utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]


def read_description() -> str:
    """Return README.md with links that lead into the repository from elsewhere too."""
    text = (ROOT / "README.md").read_text("utf-8")
    local = r"(?!https?:|mailto:|#)"
    text = re.sub(rf'(!\[[^]]*\]\(|\bsrc="){local}', rf"\g<0>{URL}/raw/main/", text)
    return re.sub(rf'(\]\(|\bhref="){local}', rf"\g<0>{URL}/blob/main/", text)


def name_commands(text: str) -> str:
    """Return a text that says ``mmswinv2 train`` for ``python tools/train.py``.

    A name that ends a string without ``python`` before it is a path, and stays.
    """

    def name(match: re.Match) -> str:
        command = NAMES.get(match["file"])
        return f"mmswinv2 {command}" if command else match[0]

    file = r"(?P<file>(?<![\w/])(tools|demo)/[\w/]+\.(py|sh)\b)"
    return re.sub(rf'{file}(?!")', name, re.sub(rf"python {file}", name, text))


class BuildWithCommands(build_py):
    """Adds configs, tools and demo as ``mmswinv2/.mim``, where ``mim`` looks for them.

    What an installed package tells names the command ``mmswinv2``, as nobody has
    tools/ there. An editable installation takes all from the clone.
    """

    def run(self) -> None:
        """Build, but for editable installations."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib, "mmswinv2")
        shutil.rmtree(package / ".mim", ignore_errors=True)
        for name in PLACES["CARRIED"]:
            source, target = ROOT / name, package / ".mim" / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                unwanted = shutil.ignore_patterns("__pycache__", "*.py[cod]", ".*")
                shutil.copytree(source, target, ignore=unwanted)
            else:
                shutil.copy(source, target)
        for pattern in ("*.py", "*.sh", "*.md"):
            for file in package.rglob(pattern):
                file.write_text(name_commands(file.read_text("utf-8")), "utf-8")


setup(
    name="mmswinv2",
    version=read_version(),
    description="Swin Transformer V2 for MMDetection 3.x and MMSegmentation 1.x",
    long_description=read_description(),
    long_description_content_type="text/markdown",
    author="mmswinv2 authors",
    url=URL,
    project_urls={
        "Documentation": DOCS,
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Issues": f"{URL}/issues",
    },
    keywords=[
        "swin transformer v2",
        "object detection",
        "instance segmentation",
        "semantic segmentation",
        "video classification",
        "openmmlab",
        "pytorch",
    ],
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["mmswinv2", "mmswinv2.*"]),
    package_data={"mmswinv2": ["py.typed"], "mmswinv2.pretraining": ["*.txt"]},
    entry_points={"console_scripts": ["mmswinv2 = mmswinv2.__main__:main"]},
    cmdclass={"build_py": BuildWithCommands},
    zip_safe=False,
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
