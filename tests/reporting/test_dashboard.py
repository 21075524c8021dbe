"""Tests of the workspace and the report of a study on W&B, which are made from its run folders."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import wandb
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.support.wandb_server import wandb_server
from vaezoo.config.directory import DIRECTORY
from vaezoo.dashboard import make_dashboard
from vaezoo.errors import UserError
from vaezoo.reporting import wandb_panels
from vaezoo.runs.files import write_json, write_text


def write_run(folder: Path, model: str, beta: float | None, seed: int, mig: float | None = None) -> None:
    """Write the files of a run that matter here. A run without a score has failed."""
    config = {
        "seed": seed,
        "folder": str(folder),
        "model": {"_target_": f"vaezoo.models.{model}.X", **({} if beta is None else {"beta": beta})},
        "dataset": {"name": "digits"},
        "logger": {"wandb": {"group": "a study", "project": "ours", "entity": None, "folder": str(folder)}},
    }
    write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(config))
    columns = ["batches", "train/loss", "train/kl_per_dim/0", "val/rec", "val/kl", "val/diversity", "perf/images"]
    write_text(folder / "metrics.csv", f"{','.join(columns)}\n{','.join(['10'] * len(columns))}\n")
    if mig is None:
        write_text(folder / "error.txt", "The term kl was not finite | at batch 3\n")
    else:
        scores = {"eval/mig_hist": mig, "eval/mig_hist/sd": 0.0, "eval/recon_mse": 0.02, "eval/kl": 3.0}
        write_json(folder / "metrics.json", {"scores": scores})
        write_text(folder / "figures" / "samples.png", "")


@pytest.fixture
def study(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"vae-{seed}", "vae", None, seed, 0.1)
        for beta in (1, 4.5):
            write_run(tmp_path / f"betavae-{beta}-{seed}", "betavae", beta, seed, 0.1 * beta)
    write_run(tmp_path / "betavae-4.5-2", "betavae", 4.5, 2)
    return tmp_path


def run_command(study: Path, *overrides: str) -> tuple[list[str], dict[str, Any]]:
    """Run the command, and return the lines that it prints and the specification that it writes."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = compose("dashboard", [f"study={study}", *overrides])
    lines = make_dashboard(config)
    out = config.out or study / "dashboard.json"
    return lines, json.loads(Path(out).read_text(encoding="utf-8")) if Path(out).is_file() else {}


def read_sections(workspace: dict[str, Any]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return (kind, configuration) of each panel, by the name of its section."""
    sections = workspace["section"]["panelBankConfig"]["sections"]
    return {section["name"]: read_panels(section) for section in sections}


def read_panels(section: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(panel["viewType"], panel["config"]) for panel in section["panels"]]


def test_the_workspace_shows_what_was_swept_and_logged(study):
    lines, dashboard = run_command(study)
    assert lines[0].startswith("Nothing was sent to W&B: there are no credentials")
    assert lines[1] == f"specification {study / 'dashboard.json'}"
    assert (dashboard["project"], dashboard["name"]) == ("ours", "a study")
    runs = dashboard["workspace"]["section"]["runSets"][0]
    (group,) = runs["filters"]["filters"]
    assert (group["key"], group["op"], group["value"]) == ({"section": "run", "name": "group"}, "=", "a study")
    assert [(key["section"], key["name"]) for key in runs["grouping"]] == [
        ("run", "jobType"),
        ("config", "model.value.beta"),  # W&B's name of model.beta. The seed is missing, so that seeds are averaged.
    ]
    sections = read_sections(dashboard["workspace"])
    assert list(sections) == [
        "losses, nats per image",
        "scores by model",
        "scores by model.beta",
        "KL",
        "figures",
        "failures",
    ]
    assert [panel["metrics"] for _, panel in sections["losses, nats per image"]] == [
        ["train/loss"],
        ["val/rec"],
        ["val/kl"],
    ]
    assert {panel["xAxis"] for _, panel in sections["losses, nats per image"]} == {"batches"}
    assert [(kind, panel["groupBy"]) for kind, panel in sections["scores by model"]] == [("Bar Chart", "jobType")] * 2
    assert [(kind, panel["xAxis"], panel["yAxis"]) for kind, panel in sections["scores by model.beta"]] == [
        ("Scatter Plot", "config:model.value.beta", "summary:eval/mig_hist"),
        ("Scatter Plot", "config:model.value.beta", "summary:eval/recon_mse"),
    ]
    assert [panel["mediaKeys"] for _, panel in sections["figures"]] == [["figures/samples"]]
    ((_, failures),) = sections["failures"]
    assert "| betavae-4.5-2 | The term kl was not finite / at batch 3 |" in failures["value"]


def test_the_report_has_trade_off_importance_means_and_failures(study):
    _, dashboard = run_command(study, "scores=[mig_hist,recon_mse]", f"out={study / 'x.json'}", "entity=me")
    assert not (study / "dashboard.json").exists()
    grids = {}
    blocks = dashboard["report"]["blocks"]
    for heading, block in pairwise(blocks):
        name = heading["children"][0].get("text") if heading["type"] in ("heading", "paragraph") else None
        if block["type"] == "panel-grid":
            grids[name] = block["metadata"]["panelBankSectionConfig"], block["metadata"]["runSets"][0]
    assert list(grids) == [
        "Each row is a mean over seeds; open it to see its runs.",
        "Reconstruction against scores",
        "What the scores depend on",
        None,
        "Figures",
        "Failed runs",
    ]
    panels_of_grids = [read_panels(section) for section, _ in grids.values()]
    runs_of_grids = [runs for _, runs in grids.values()]
    assert [key["name"] for key in runs_of_grids[0]["grouping"]] == ["jobType", "model.value.beta"]
    assert runs_of_grids[0]["sort"]["keys"][0]["key"] == {"section": "summary", "name": "eval/mig_hist"}
    _, trade_off, coordinates, importance, pictures, _ = panels_of_grids
    ((kind, plot),) = trade_off
    assert (kind, plot["xAxis"], plot["yAxis"]) == ("Scatter Plot", "summary:eval/recon_mse", "summary:eval/mig_hist")
    ((_, plot),) = coordinates
    assert [column["accessor"] for column in plot["columns"]] == [
        "run:jobType",
        "config:model.value.beta",
        "summary:eval/recon_mse",
        "summary:eval/mig_hist",
    ]
    assert [plot["targetKey"] for _, plot in importance] == ["eval/mig_hist"]
    assert len(pictures) == 1
    state = runs_of_grids[-1]["filters"]["filters"][1]
    assert (state["key"]["name"], state["value"]) == ("state", ["failed", "crashed", "killed"])


def test_a_long_name_is_cut_in_the_title_of_the_report():
    study = wandb_panels.Study("n" * 150, keys={}, models=["vae"], terms=[], scores=[], kl=[], figures=[])
    assert wandb_panels.make_report(study, "", "ours").title == "n" * 128
    assert wandb_panels.make_sections(study) == []
    (runs,) = wandb_panels.dump_specification(wandb_panels.make_workspace(study, "", "ours"))["section"]["runSets"]
    assert runs["filters"]["filters"][0]["value"] == "n" * 150


@pytest.mark.parametrize("name", ["w t=é β", 'it\'s \\ "a" < b == 🙂 within_last 3 days'])
def test_the_name_of_a_study_may_have_any_letters_and_signs(name):
    study = wandb_panels.Study(name, {}, ["vae"], [], [], [], [])
    workspace = wandb_panels.dump_specification(wandb_panels.make_workspace(study, "", "ours"))
    report = wandb_panels.dump_specification(wandb_panels.make_report(study, "", "ours"))
    assert workspace["section"]["runSets"][0]["filters"]["filters"][0]["value"] == name
    runs = [runset for block in report["blocks"] for runset in block.get("metadata", {}).get("runSets", [])]
    assert {runset["filters"]["filters"][0]["value"] for runset in runs} == {name}
    assert wandb_panels.remove_signs("w t=é β 🙂") == "w t-é β -"


def test_with_credentials_both_are_saved(study, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        wandb.teardown()  # W&B reads the environment only once per process.
        lines, specification = run_command(study, "project=vaezoo")
    wandb.teardown()
    assert specification == {}
    assert [line.split()[0] for line in lines] == ["workspace", "report"]
    assert f"{server.url}/me/vaezoo" in lines[0]
    assert "/reports/a-study--" in lines[1]
    assert list(read_sections(server.views["project-view"]))[:2] == ["losses, nats per image", "scores by model"]
    assert any(block["type"] == "panel-grid" for block in server.views["runs"]["blocks"])


def test_a_refusal_of_wandb_is_reported(study, monkeypatch):
    monkeypatch.setattr("vaezoo.loggers.mode.choose_mode", lambda: "online")
    workspace = type("Workspace", (), {"save": lambda self: 1 / 0})()
    monkeypatch.setattr(wandb_panels, "make_workspace", lambda *_: workspace)
    monkeypatch.setattr(wandb_panels, "make_report", lambda *_: workspace)
    with pytest.raises(UserError, match=r"W&B refused the request \(division by zero\)"):
        run_command(study, "entity=me")


def test_mistakes(study, tmp_path_factory, monkeypatch):
    with pytest.raises(UserError, match=r"none of the runs has a score called mig\. Did you mean 'mig_hist'"):
        run_command(study, "scores=[mig]")
    alone = tmp_path_factory.mktemp("alone")
    write_run(alone / "a", "vae", None, 0, 0.1)
    path = alone / "a" / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("a study", "null"))
    with pytest.raises(UserError, match=r"none of its 1 runs was logged to W&B as part of a study"):
        run_command(alone)
    monkeypatch.delitem(sys.modules, "vaezoo.reporting.wandb_panels")
    monkeypatch.delattr("vaezoo.reporting.wandb_panels")
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'vaezoo\[dashboards\]'"):
        run_command(study)
