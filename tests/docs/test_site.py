"""The site of the documentation: every page of docs/ has a place in its navigation, and pages are made from code."""

import ast
import re
import tomllib
from types import ModuleType

import pytest

from tests.support.paths import ROOT
from tests.support.scripts import load_script

INDEX = """# Title

## Guides

- [Speed](speed.md): where the time goes
- [First run](../README.md#first-run): a heading, no page

## Project

- [Contributing](../CONTRIBUTING.md)
"""


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """Return docs/conf.py as a module, which needs no Sphinx."""
    return load_script(ROOT / "docs" / "conf.py")


def test_sections_and_their_pages_are_read_from_the_lists_of_the_index(site):
    assert site.read_sections(INDEX) == {
        "Guides": {"speed.md": "Speed"},
        "Project": {"../CONTRIBUTING.md": "Contributing"},
    }


def test_each_section_gets_a_table_of_contents(site):
    navigation = site.write_navigation(INDEX + "\n## Reference\n\nMade from code.\n")
    assert navigation.count("```{toctree}\n:hidden:\n:caption: ") == 3
    assert ":caption: Guides\n\nSpeed <speed>\n```\n\n## Project" in navigation
    assert "Contributing <../CONTRIBUTING>" in navigation
    assert "Made from code.\n\n- [Commands and their keys](reference/commands.md)\n" in navigation


def test_the_site_links_the_page_of_sliders_of_every_packed_model(site):
    linked = site.link_sliders((ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"))
    packed = {path.stem for path in (ROOT / "docs" / "gallery").glob("*.zip")}
    assert set(re.findall(r'href="\.\./sliders/(\w+)\.html"', linked)) == packed


def test_the_page_of_installation_has_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    table = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(extras)


def test_every_page_is_listed(site):
    assert "speed.md" not in site.list_unlisted(INDEX)
    assert "studies.md" in site.list_unlisted(INDEX)
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    unlisted = site.list_unlisted(index)
    assert not unlisted, f"add a line for {', '.join(unlisted)} to a list of docs/index.md"


@pytest.mark.parametrize(
    ("code", "signature"),
    [
        ("def f(a: int, *, b: str = 'x') -> None: ...", "def f(a: int, *, b: str='x') -> None"),
        ("class C(B):\n    def __init__(self, a): ...", "class C(B)\n    def __init__(self, a)"),
        ("class C:\n    pass", "class C"),
        ("@property\ndef f(self): ...", "@property\ndef f(self)"),
        (
            f"def f(a, {'b' * 80}: int = 3, *c, d: str, **e): ...",
            f"def f(\n    a,\n    {'b' * 80}: int = 3,\n    *c,\n    d: str,\n    **e,\n)",
        ),
    ],
)
def test_signatures_are_written_from_source_text(code, signature, site):
    assert site.reference_pages.write_signature(ast.parse(code).body[0]) == signature


def test_docstrings_become_markdown(site):
    docstring = "Multiply a * b < c.\n\n    a = b * c\n\n>>> f(1)  # doctest: +SKIP\n2"
    text = "Multiply a \\* b \\< c.\n\n    a = b * c\n\n```pycon\n>>> f(1)\n2\n```"
    assert site.reference_pages.to_markdown(docstring) == text


def test_a_notebook_becomes_markdown(site):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "source": ["f()"],
            "outputs": [
                {"output_type": "stream", "text": ["\x1b[1ma\x1b[0m\n", "b\n"]},
                {"output_type": "display_data", "data": {"image/png": "eHg=\n", "text/plain": ["<Figure>"]}},
            ],
        },
    ]
    picture = "![](data:image/png;base64,eHg=)"
    assert site.write_notebook(cells) == (f"# Title\ntext\n\n```python\nf()\n```\n\n```text\na\nb\n```\n\n{picture}\n")


def test_an_option_has_its_own_keys_and_links_to_shared_ones(site):
    page = site.reference_pages.write_group("model")
    assert "## model=dipvae\n\nDIP-VAE (Kumar" in page
    assert "- `model.decay=0.9`: of the running average; must be a number of at least 0 and below 1" in page
    assert page.count("- `model.gradient_clip=null`") == 1
    assert "[guidedvae](#modelguidedvae)" in page, "of an option that another one is based on"
