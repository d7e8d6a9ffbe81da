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
ELSEWHERE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "benchmarks/*/results/**/*.png",
    "configs/**/README.md",
)
# Of docstrings, as in :class:`File` and `Name <https://...>`_.
SPHINX_ROLE = re.compile(r":(?:attr|class|func|meth|mod):(?=<code>)")
SPHINX_LINK = re.compile(r"<code>([^<]+?)\s+&lt;(https?://[^<]+)&gt;</code>_")
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]*)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages and pictures that lie outside of docs/."""
    for pattern in ELSEWHERE:
        for path in sorted(ROOT.glob(pattern)):
            place = site_path(path.relative_to(ROOT).as_posix())
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turns links as GitHub follows them into those of the site."""
    here = page.file.src_uri
    source = Path(page.file.abs_src_path).relative_to(ROOT).as_posix()

    def in_site(match: re.Match) -> str:
        before, target, after = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if files.get_file_from_path(site_path(path)):
            link = posixpath.relpath(site_path(path), posixpath.dirname(here) or ".")
        else:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            link = f"{config.repo_url.rstrip('/')}/{kind}/main/{path}"
        return f"{before}{link}{after}"

    return LINK.sub(in_site, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Shows what docstrings have of Sphinx as a site without Sphinx can."""
    return SPHINX_LINK.sub(r'<a href="\2">\1</a>', SPHINX_ROLE.sub("", html))


def site_path(path: str) -> str:
    """Where a file of the repository stands in the site's sources."""
    if path == "README.md":  # index.md is the first page
        return "quick_start.md"
    return path.removeprefix("docs/") if "/" in path else path.lower()
