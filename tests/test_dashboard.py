"""The workspace and the report of a study on W&B: what they show follows from its run folders."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.wandb_server import wandb_server
from vaezoo.config.directory import DIRECTORY
from vaezoo.dashboard import make_dashboard
from vaezoo.errors import UserError
from vaezoo.reporting import wandb_panels
from vaezoo.runs.files import write_json, write_text


def run(folder: Path, model: str, beta: float | None, seed: int, mig: float | None = None) -> None:
    """What a job leaves, as far as it matters here; without a score it has failed."""
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
        run(tmp_path / f"vae-{seed}", "vae", None, seed, 0.1)
        for beta in (1, 4.5):
            run(tmp_path / f"betavae-{beta}-{seed}", "betavae", beta, seed, 0.1 * beta)
    run(tmp_path / "betavae-4.5-2", "betavae", 4.5, 2)
    return tmp_path


def made(study: Path, *line: str) -> tuple[list[str], dict[str, Any]]:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = compose("dashboard", [f"study={study}", *line])
    lines = make_dashboard(config)
    out = config.out or study / "dashboard.json"
    return lines, json.loads(Path(out).read_text()) if Path(out).is_file() else {}


def sections(specification: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Of a workspace: what each panel is, by the name of its section."""
    found = specification["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [(panel["viewType"], panel["config"]) for panel in section["panels"]] for section in found}


def test_the_workspace_follows_from_what_was_swept_and_logged(study):
    lines, told = made(study)
    assert lines[0].startswith("W&B was not asked: there are no credentials")
    assert lines[1] == f"specification {study / 'dashboard.json'}"
    assert (told["project"], told["name"]) == ("ours", "a study")
    runs = told["workspace"]["section"]["runSets"][0]
    (group,) = runs["filters"]["filters"]
    assert (group["key"], group["op"], group["value"]) == ({"section": "run", "name": "group"}, "=", "a study")
    assert [(key["section"], key["name"]) for key in runs["grouping"]] == [
        ("run", "jobType"),
        ("config", "model.value.beta"),  # where W&B keeps model.beta of a nested configuration; seeds are averaged
    ]
    found = sections(told["workspace"])
    assert list(found) == [
        "losses, nats per image",
        "scores by model",
        "scores by model.beta",
        "KL",
        "figures",
        "failures",
    ]
    assert [panel["metrics"] for _, panel in found["losses, nats per image"]] == [
        ["train/loss"],
        ["val/rec"],
        ["val/kl"],
    ]
    assert {panel["xAxis"] for _, panel in found["losses, nats per image"]} == {"batches"}
    assert [(kind, panel["groupBy"]) for kind, panel in found["scores by model"]] == [("Bar Chart", "jobType")] * 2
    assert [(kind, panel["xAxis"], panel["yAxis"]) for kind, panel in found["scores by model.beta"]] == [
        ("Scatter Plot", "config:model.value.beta", "summary:eval/mig_hist"),
        ("Scatter Plot", "config:model.value.beta", "summary:eval/recon_mse"),
    ]
    assert [panel["mediaKeys"] for _, panel in found["figures"]] == [["figures/samples"]]
    ((_, failed),) = found["failures"]
    assert "| betavae-4.5-2 | The term kl was not finite / at batch 3 |" in failed["value"]


def test_the_report_has_trade_off_importance_means_and_failures(study):
    _, told = made(study, "scores=[mig_hist,recon_mse]", f"out={study / 'x.json'}", "entity=me")
    assert not (study / "dashboard.json").exists()
    grids = {}
    for heading, block in zip(blocks := told["report"]["blocks"], blocks[1:], strict=False):
        name = heading["children"][0].get("text") if heading["type"] in ("heading", "paragraph") else None
        if block["type"] == "panel-grid":
            grids[name] = block["metadata"]
    assert list(grids) == [
        "Means over seeds; open a row for its runs.",
        "Reconstruction against scores",
        "What the scores depend on",
        None,
        "Figures",
        "Runs that ended badly",
    ]
    means, trade, coordinates, importance, pictures, badly = grids.values()
    assert [key["name"] for key in means["runSets"][0]["grouping"]] == ["jobType", "model.value.beta"]
    assert means["runSets"][0]["sort"]["keys"][0]["key"] == {"section": "summary", "name": "eval/mig_hist"}
    ((kind, plot),) = drawn(trade)
    assert (kind, plot["xAxis"], plot["yAxis"]) == ("Scatter Plot", "summary:eval/recon_mse", "summary:eval/mig_hist")
    ((_, plot),) = drawn(coordinates)
    assert [column["accessor"] for column in plot["columns"]] == [
        "run:jobType",
        "config:model.value.beta",
        "summary:eval/recon_mse",
        "summary:eval/mig_hist",
    ]
    assert [plot["targetKey"] for _, plot in drawn(importance)] == ["eval/mig_hist"]
    assert len(drawn(pictures)) == 1
    state = badly["runSets"][0]["filters"]["filters"][1]
    assert (state["key"]["name"], state["value"]) == ("state", ["failed", "crashed", "killed"])


def drawn(grid: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(panel["viewType"], panel["config"]) for panel in grid["panelBankSectionConfig"]["panels"]]


def test_a_long_name_is_cut_where_w_and_b_wants_it():
    study = wandb_panels.Study("n" * 150, keys={}, models=["vae"], terms=[], scores=[], kl=[], figures=[])
    assert wandb_panels.report(study, "", "ours").title == "n" * 128
    assert wandb_panels.sections(study) == []
    (filtered,) = wandb_panels.specification(wandb_panels.workspace(study, "", "ours"))["section"]["runSets"]
    assert filtered["filters"]["filters"][0]["value"] == "n" * 150


def test_with_credentials_both_are_saved(study, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        wandb.teardown()  # it looks at the environment once a process
        lines, nothing = made(study, "project=vaezoo")
    wandb.teardown()
    assert nothing == {}
    assert [line.split()[0] for line in lines] == ["workspace", "report"]
    assert f"{server.url}/me/vaezoo" in lines[0]
    assert "/reports/a-study--" in lines[1]
    assert list(sections(server.views["project-view"]))[:2] == ["losses, nats per image", "scores by model"]
    assert any(block["type"] == "panel-grid" for block in server.views["runs"]["blocks"])


def test_what_w_and_b_refuses_is_said(study, monkeypatch):
    monkeypatch.setattr("vaezoo.loggers.mode.choose_mode", lambda: "online")
    workspace = type("Workspace", (), {"save": lambda self: 1 / 0})()
    monkeypatch.setattr(wandb_panels, "workspace", lambda *_: workspace)
    monkeypatch.setattr(wandb_panels, "report", lambda *_: workspace)
    with pytest.raises(UserError, match=r"W&B does not take it \(division by zero\)"):
        made(study, "entity=me")


def test_mistakes(study, tmp_path_factory, monkeypatch):
    with pytest.raises(UserError, match=r"none of the runs has a score called mig\. Did you mean 'mig_hist'"):
        made(study, "scores=[mig]")
    alone = tmp_path_factory.mktemp("alone")
    run(alone / "a", "vae", None, 0, 0.1)
    path = alone / "a" / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("a study", "null"))
    with pytest.raises(UserError, match=r"none of its 1 runs was logged to W&B as part of a study"):
        made(alone)
    monkeypatch.delitem(sys.modules, "vaezoo.reporting.wandb_panels")
    monkeypatch.delattr("vaezoo.reporting.wandb_panels")
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'vaezoo\[dashboards\]'"):
        made(study)
