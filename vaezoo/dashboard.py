"""A study on W&B: `python -m vaezoo.dashboard study=multirun/NAME entity=ME`.

Makes a workspace and a report for the study's runs: losses by model, scores by each swept key, figures side by side,
what the scores depend on. What was swept and logged is read from the run folders. Without credentials, or with
`out=FILE`, the specification of both is written to a file.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from vaezoo import runs
from vaezoo.checks import check, check_command_line
from vaezoo.config import DIRECTORY
from vaezoo.errors import UserError, report

if TYPE_CHECKING:
    from vaezoo.panels import Study
    from vaezoo.reporting.reading import Run

LOGGED = ("train/loss", "val/")  # terms to draw: all of the validation, and what is minimised
KL = ("kl", "kl_mi", "kl_tc", "kl_dw")


def make_dashboard(config: DictConfig) -> list[str]:
    """The lines that say where workspace and report are."""
    check(config)
    try:
        from vaezoo import panels
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing. Install it with: pip install 'vaezoo[dashboards]'") from None
    from vaezoo.loggers.mode import choose_mode
    from vaezoo.reporting.reading import read_runs

    root = Path(config.study).expanduser().resolve()
    table = read_runs([root])
    one = config_of(table, root)
    logged = one["logger"]["wandb"]
    study = study_of(root, one, table, logged["group"], config.scores)
    project = config.project or logged["project"]
    online = config.out is None and choose_mode() == "online"
    entity = config.entity or logged["entity"] or (default_entity(project) if online else "")
    built = {make.__name__: make(study, entity, project) for make in (panels.workspace, panels.report)}
    if online:
        return [f"{name:<10}{publish(what)}" for name, what in built.items()]
    out = Path(config.out) if config.out else root / "dashboard.json"
    about = {"entity": entity, "project": project, "name": study.name}
    runs.write_json(out, {**about, **{name: panels.specification(what) for name, what in built.items()}})
    missing = [] if config.out else ["W&B was not asked: there are no credentials (`wandb login`), or no network."]
    return [*missing, f"specification {out}"]


def study_of(root: Path, config: dict[str, Any], table: "list[Run]", group: str, scores: list[str] | None) -> "Study":
    """What its run folders tell of a study; `config` is that of one of them."""
    from vaezoo.panels import Study
    from vaezoo.reporting.score_selection import check_scores, list_scores, select_headline
    from vaezoo.reporting.settings import is_number, list_swept_keys

    known = list_scores(table)
    check_scores("scores", scores or [], known)
    names = scores or select_headline(known)
    logged = dict.fromkeys(term for run in table for term in columns(run.folder / "metrics.csv"))
    return Study(
        name=group,
        keys={
            in_config(key, config): all(is_number(run.config[key]) for run in table if run.config.get(key) is not None)
            for key in list_swept_keys(table)
        },
        models=list(dict.fromkeys(str(run.config["model"]) for run in table if run.config)),
        terms=[term for term in logged if term.startswith(LOGGED) and term.count("/") == 1],
        scores=[f"eval/{name}" for name in names],
        kl=[f"eval/{name}" for name in KL if name in known],
        figures=sorted({path.stem for run in table for path in (run.folder / "figures").glob("*.png")}),
        failures={str(run.folder.relative_to(root)): run.error for run in table if run.error},
    )


def columns(file: Path) -> list[str]:
    if not file.is_file():
        return []
    with file.open() as rows:
        return rows.readline().strip().split(",")


def in_config(key: str, config: dict[str, Any]) -> str:
    """Where W&B has what a report calls `key`: of a data set its name, of other parts their class."""
    if key in ("model", "dataset"):
        return {"model": "model", "dataset": "dataset.name"}[key]
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return f"{key}._target_" if isinstance(node, dict) else key


def config_of(table: "list[Run]", root: Path) -> dict[str, Any]:
    """The configuration of a run that was logged to W&B as part of a study."""
    for run in table:
        config = runs.read_config(run.folder) if run.config else {}
        if config.get("logger", {}).get("wandb", {}).get("group"):
            return config
    raise UserError(
        f"study={root}: none of its {len(table)} runs was logged to W&B as part of a study."
        " `python -m vaezoo.train -m ... logger=wandb` does that; a single run has a page of its own there."
    )


def default_entity(project: str) -> str:
    """Whose the credentials are."""
    import wandb_workspaces.reports.v2 as wr

    try:
        return wr.Report(project=project).entity
    except Exception as error:
        raise refused(error) from None


def publish(built: Any) -> str:
    """Save it on W&B; where it is."""
    try:
        return built.save().url
    except Exception as error:
        raise refused(error) from None


def refused(error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(f"W&B does not take it ({reason}). With out=FILE the specification goes into a file.")


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="dashboard")
def job(config: DictConfig) -> None:
    try:
        print("\n".join(make_dashboard(config)))
    except UserError as error:
        report(error)


def main() -> None:
    try:
        check_command_line("dashboard", sys.argv[1:])
    except UserError as error:
        report(error)
    job()


if __name__ == "__main__":
    main()
