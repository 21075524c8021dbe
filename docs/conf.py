"""Configuration of the site, for `make docs`: Sphinx reads the Markdown pages of the repository as they are.

The pages stay where code hosting sites show them, so the source folder is the repository, and links between pages are
relative paths to files. docs/index.md lists all pages in order; the navigation of the site is made from its lists.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that tests can read this file where Sphinx is not installed
    from docutils.nodes import document
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]

import reference_pages  # noqa: E402 - the line above says where it is

SLIDERS = "sliders"  # the folder of the site that has the pages of sliders of the gallery

project = "vaezoo"
author = copyright = "the vaezoo authors"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md", "docs/notebooks/*.ipynb"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}  # read_source writes notebooks as Markdown
# Folders are named, because Sphinx would search them; the page of the package index repeats the README.
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "docs"]
exclude_patterns.append("docs/package.md")
smartquotes = False  # texts have pieces of commands
myst_heading_anchors = 4  # links to headings are made as on code hosting sites
highlight_language = "bash"  # of blocks that name no language: commands
pygments_style, pygments_dark_style = "friendly", "monokai"

html_theme = "furo"
html_title = "vaezoo"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # browsers refuse to read the pages for it where the site is a folder of files


def read_sections(index: str) -> dict[str, dict[str, str]]:
    """Return the pages that the lists of docs/index.md link to, by section: from the file to the text of the link.

    A link to a heading of a page, with `#`, is none to the page.
    """
    bodies = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", index, re.MULTILINE | re.DOTALL)
    links = {
        heading: re.findall(r"^- \[(.+?)\]\(([^)#]+\.(?:md|ipynb))\)", body, re.MULTILINE) for heading, body in bodies
    }
    return {heading: {file: text for text, file in pairs} for heading, pairs in links.items()}


def write_navigation(index: str) -> str:
    """Return the index with a hidden table of contents below each of its sections.

    The section of reference, which lists no pages, gets a list of the pages that are made here.
    """
    head, *sections = re.split(r"(?=^## )", index, flags=re.MULTILINE)
    texts = [head]
    for section in sections:
        ((heading, pages),) = read_sections(section).items()
        if not pages:
            pages = {f"reference/{name}.md": title for name, title in reference_pages.list_entries().items()}
            section = section.rstrip() + "\n\n" + "\n".join(f"- [{title}]({file})" for file, title in pages.items())
        tree = "\n".join(f"{text} <{file.rpartition('.')[0]}>" for file, text in pages.items())
        texts.append(f"{section.rstrip()}\n\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{tree}\n```\n\n")
    return "".join(texts)


def list_unlisted(index: str) -> list[str]:
    """Return the pages, relative to docs/, that no list of docs/index.md links to."""
    listed = {(ROOT / "docs" / file).resolve() for pages in read_sections(index).values() for file in pages}
    excluded = {ROOT / "docs" / name for name in ("index.md", "package.md")}
    return sorted(path.name for path in set((ROOT / "docs").glob("*.md")) - listed - excluded)


def prepare_pages(app: "Sphinx") -> None:
    """Write the pages of reference. Raises ExtensionError for a page that docs/index.md does not list."""
    from sphinx.errors import ExtensionError

    reference_pages.write_pages(ROOT / "docs" / "reference")
    for name in list_unlisted((ROOT / "docs" / "index.md").read_text(encoding="utf-8")):
        raise ExtensionError(
            f"docs/{name} is in no list of docs/index.md. Add a line to the section where readers look for it:"
            f" - [What it is about]({name})"
        )


def read_source(app: "Sphinx", name: str, source: list[str]) -> None:
    """Add the navigation to docs/index.md and the pages of sliders to the gallery, and write notebooks as Markdown."""
    if name == root_doc:
        source[0] = write_navigation(source[0])
    elif name == "docs/gallery":
        source[0] = link_sliders(source[0])
    elif name.startswith("docs/notebooks/"):
        source[0] = write_notebook(json.loads(source[0])["cells"])


def write_notebook(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return the cells of a notebook as Markdown: texts, code, and below code what it printed and drew."""
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", [])})
            if "image/png" in data:
                parts.append(f"![](data:image/png;base64,{''.join(data['image/png'].split())})")
            else:
                printed = re.sub(r"\x1b\[[\d;]*m", "", "".join(data["text/plain"]))  # without codes of colours
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def link_sliders(gallery: str) -> str:
    """Return the page of the gallery with links to the pages of sliders, which only the site has."""
    line = r"^- sliders: (`.* out=(\w+)\.html`)$"
    return re.sub(line, rf'- sliders: <a href="../{SLIDERS}/\2.html">\2.html</a>, by \1', gallery, flags=re.MULTILINE)


def unlink_folders(app: "Sphinx", page: "document") -> None:
    """Replace links to folders by their texts, because folders are no part of the site."""
    from sphinx.addnodes import pending_xref

    for link in list(page.findall(pending_xref)):
        if Path(page["source"]).parent.joinpath(link["reftarget"]).is_dir():
            link.replace_self(link.children)


def finish_site(app: "Sphinx", error: Exception | None) -> None:
    """Write index.html at the top of the site, which leads to the first page, and the pages of sliders."""
    if error is None:
        from make_gallery import write_sliders  # loads torch, which the tests of this file do without

        write_sliders(Path(app.outdir, SLIDERS))
        start = '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        Path(app.outdir, "index.html").write_text(start, encoding="utf-8")


def setup(app: "Sphinx") -> None:
    """Connect the functions of this file with the steps of Sphinx."""
    app.connect("builder-inited", prepare_pages)
    app.connect("source-read", read_source)
    app.connect("doctree-read", unlink_folders)
    app.connect("build-finished", finish_site)
