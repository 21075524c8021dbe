"""The site of the documentation: every page of docs/ has a place in its navigation."""

import importlib.util
from types import ModuleType

import pytest

from tests.support.paths import ROOT

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
    spec = importlib.util.spec_from_file_location("site_configuration", ROOT / "docs" / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sections_and_their_pages_are_read_from_the_lists_of_the_index(site):
    assert site.read_sections(INDEX) == {
        "Guides": {"speed.md": "Speed"},
        "Project": {"../CONTRIBUTING.md": "Contributing"},
    }


def test_each_section_becomes_a_hidden_table_of_contents(site):
    navigation = site.write_navigation(INDEX).removeprefix(INDEX)
    assert navigation.count("```{toctree}\n:hidden:\n:caption: ") == 2
    assert ":caption: Guides\n\nSpeed <speed>\n```" in navigation
    assert "Contributing <../CONTRIBUTING>" in navigation


def test_every_page_is_listed(site):
    assert "speed.md" not in site.list_unlisted(INDEX)
    assert "studies.md" in site.list_unlisted(INDEX)
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    unlisted = site.list_unlisted(index)
    assert not unlisted, f"add a line for {', '.join(unlisted)} to a list of docs/index.md"
