"""Shared runs on the Hugging Face hub: there and back through a server on loopback."""

import sys
import zipfile
from pathlib import Path

import pytest

import vaezoo
import vaezoo.share
from tests.support.command_line import run as run_command
from tests.support.command_line import train_in
from tests.support.hub_server import serve
from vaezoo.runs import hub


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub of this test's own, with an empty cache and a token."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with serve() as (server, address):
        for name, value in {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_TELEMETRY": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield server


def test_a_run_goes_there_and_comes_back(server, tmp_path, monkeypatch, capsys):
    hub_package = pytest.importorskip("huggingface_hub")
    line = ["model=vae", "dataset=digits", "logger=csv", "callbacks.progress=false"]
    folder = train_in(tmp_path / "run", *line, "metric=score/elbo", "figure=samples", "max_batches=2")
    assert run_command(vaezoo.share.main, monkeypatch, f"run={folder}", "to=hf://me/first") == 0
    assert "vaezoo.load('hf://me/first')" in capsys.readouterr().out
    revision, files = server.commits["me/first"][0]
    assert set(files) == {"vaezoo.zip", "README.md", "figures/samples.png"}
    card = hub_package.ModelCard(files["README.md"].decode())
    assert card.data.library_name == "vaezoo"
    assert {result.metric_type for result in card.data.eval_results} <= set(vaezoo.load(folder).scores)
    assert 'vaezoo.load("hf://me/first")' in card.text

    first = vaezoo.load("hf://me/first")
    assert first.model.batches == 2
    assert first.figures == ["samples"]
    scores = vaezoo.evaluate("hf://me/first", metric="score/elbo", figure="none", out=tmp_path / "scores")
    assert scores["elbo"] == first.scores["elbo"]

    assert run_command(vaezoo.share.main, monkeypatch, f"run={folder}", "to=hf://me/first", "figures=false") == 0
    assert vaezoo.load("hf://me/first").figures == []
    assert vaezoo.load(f"hf://me/first@{revision}").figures == ["samples"]

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    server.calls.clear()
    assert vaezoo.load(f"hf://me/first@{revision}").figures == ["samples"]
    assert vaezoo.load("hf://me/first").figures == []
    with pytest.raises(vaezoo.UserError, match=r"hf://me/other: vaezoo\.zip cannot be downloaded"):
        vaezoo.load("hf://me/other")
    assert server.calls == []


def test_what_the_hub_refuses_is_answered(server, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../escape", "x")
    server.commits["you/bad"] = [("1" * 40, {"vaezoo.zip": (tmp_path / "bad.zip").read_bytes()})]
    server.commits["you/else"] = [("1" * 40, {"model.bin": b""})]
    for address, message in (
        ("hf://you/none", "Repository Not Found"),
        ("hf://you/bad@v9", "Revision Not Found"),
        ("hf://you/else", "Entry Not Found"),
        ("hf://you/bad", "which is not a part of one"),
        ("hf://you", "must be hf://owner/name"),
        ("hf://you/a/b", "must be hf://owner/name"),
    ):
        with pytest.raises(vaezoo.UserError, match=message):
            vaezoo.load(address)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(vaezoo.UserError, match=r"hf://me/x cannot be uploaded .*401.*hf auth login"):
        hub.upload("hf://me/x", Path(__file__), {})
    with pytest.raises(vaezoo.UserError, match="without a revision"):
        hub.upload("hf://me/x@main", Path(__file__), {})


def test_the_extra_is_named_where_it_is_missing(monkeypatch, capsys, in_tmp):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(vaezoo.UserError, match=r"huggingface_hub is missing.*vaezoo\[hub\]"):
        vaezoo.load("hf://me/first")
    assert run_command(vaezoo.share.main, monkeypatch, "run=.", "to=hf://me/first") == 2
    assert "pip install 'vaezoo[hub]'" in capsys.readouterr().err
