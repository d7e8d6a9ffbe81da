"""What the site adds to MkDocs: pages and pictures that lie elsewhere, and links there.

Files keep relative links that work on GitHub. In the site a link leads to the page of
the file if there is one, and otherwise to the file in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("benchmarks/README.md", "configs/*/README.md", "[A-Z]*[A-Z].md")
PICTURES = ("benchmarks/*/results/**/*.png",)
LEFT_OUT = ("README.md",)  # its place is taken by docs/index.md
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]*)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages and pictures from outside of docs/, under their own paths."""
    for pattern in (*PAGES, *PICTURES):
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            if place not in LEFT_OUT:
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turns links as GitHub follows them into those of the site."""
    uri = page.file.src_uri
    elsewhere = page.file.generated_by is not None
    folder = posixpath.dirname(uri if elsewhere else f"docs/{uri}")

    def in_site(match: re.Match) -> str:
        before, target, after = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        known = path.removeprefix("docs/")
        if files.get_file_from_path(known):
            link = posixpath.relpath(known, posixpath.dirname(uri) or ".")
        else:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            link = f"{config.repo_url.rstrip('/')}/{kind}/main/{path}"
        return f"{before}{link}{after}"

    return LINK.sub(in_site, markdown)
