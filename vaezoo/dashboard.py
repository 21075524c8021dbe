"""Show a study on W&B: `python -m vaezoo.dashboard study=multirun/NAME entity=ME`.

The command makes a workspace and a report for the runs of the study: losses by model, scores by each swept key, figures
side by side, and the keys that the scores depend on. It reads the swept keys and the logged terms from the run folders.
Without credentials, or with `out=FILE`, it writes the specification of both to a file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.runs.files import write_json
from vaezoo.runs.folder import read_config
from vaezoo.runs.start import start_command

if TYPE_CHECKING:
    from vaezoo.reporting.reading import Run
    from vaezoo.reporting.wandb_panels import Study

DRAWN = ("train/loss", "val/")  # prefixes of the terms to draw: the training loss and all of the validation
KL = ("kl", "kl_mi", "kl_tc", "kl_dw")


def make_dashboard(config: DictConfig) -> list[str]:
    """Make the workspace and the report, and return the lines that name their addresses or their file."""
    check_config(config)
    try:
        from vaezoo.reporting import wandb_panels
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing. Install it with: pip install 'vaezoo[dashboards]'") from None
    from vaezoo.loggers.mode import choose_mode
    from vaezoo.reporting.reading import read_runs

    root = Path(config.study).expanduser().resolve()
    table = read_runs([root])
    run_config = find_config(table, root)
    logger = run_config["logger"]["wandb"]
    study = describe_study(root, run_config, table, logger["group"], config.scores)
    project = config.project or logger["project"]
    online = config.out is None and choose_mode() == "online"
    entity = config.entity or logger["entity"] or (default_entity(project) if online else "")
    views = {
        "workspace": wandb_panels.make_workspace(study, entity, project),
        "report": wandb_panels.make_report(study, entity, project),
    }
    if online:
        return [f"{name:<10}{publish(view)}" for name, view in views.items()]
    out = Path(config.out) if config.out else root / "dashboard.json"
    about = {"entity": entity, "project": project, "name": study.name}
    write_json(out, {**about, **{name: wandb_panels.dump_specification(view) for name, view in views.items()}})
    reason = [] if config.out else ["Nothing was sent to W&B: there are no credentials (`wandb login`), or no network."]
    return [*reason, f"specification {out}"]


def describe_study(
    root: Path, config: dict[str, Any], table: "list[Run]", group: str, scores: list[str] | None
) -> "Study":
    """Return what the run folders of `table` say about a study. `config` is the configuration of one of its runs."""
    from vaezoo.reporting.score_selection import check_scores, collect_directions, list_scores, select_headline
    from vaezoo.reporting.settings import is_number, list_swept_keys
    from vaezoo.reporting.wandb_panels import Study

    available = list_scores(table)
    check_scores("scores", scores or [], available)
    names = scores or select_headline(available, collect_directions(table))
    terms = dict.fromkeys(term for run in table for term in read_columns(run.folder / "metrics.csv"))
    return Study(
        name=group,
        keys={
            find_config_key(key, config): all(
                is_number(run.config[key]) for run in table if run.config.get(key) is not None
            )
            for key in list_swept_keys(table)
        },
        models=list(dict.fromkeys(str(run.config["model"]) for run in table if run.config)),
        terms=[term for term in terms if term.startswith(DRAWN) and term.count("/") == 1],
        scores=[f"eval/{name}" for name in names],
        kl=[f"eval/{name}" for name in KL if name in available],
        figures=sorted({path.stem for run in table for path in (run.folder / "figures").glob("*.png")}),
        failures={str(run.folder.relative_to(root)): run.error for run in table if run.error},
    )


def read_columns(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file, or none if there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def find_config_key(key: str, config: dict[str, Any]) -> str:
    """Return the key of the configuration on W&B that holds what a report calls `key`.

    A data set is known by its name, and any other part by its class.
    """
    if key in ("model", "dataset"):
        return {"model": "model", "dataset": "dataset.name"}[key]
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return f"{key}._target_" if isinstance(node, dict) else key


def find_config(table: "list[Run]", root: Path) -> dict[str, Any]:
    """Return the configuration of the first run that was logged to W&B as part of a study.

    Raise UserError if there is no such run.
    """
    for run in table:
        config = read_config(run.folder) if run.config else {}
        if config.get("logger", {}).get("wandb", {}).get("group"):
            return config
    raise UserError(
        f"study={root}: none of its {len(table)} runs was logged to W&B as part of a study."
        " `python -m vaezoo.train -m ... logger=wandb` does that; a single run has its own page on W&B."
    )


def default_entity(project: str) -> str:
    """Return the entity that the credentials belong to."""
    import wandb_workspaces.reports.v2 as wr

    try:
        return wr.Report(project=project).entity
    except Exception as error:
        raise make_error(error) from None


def publish(view: Any) -> str:
    """Save a workspace or a report on W&B and return its address."""
    try:
        return view.save().url
    except Exception as error:
        raise make_error(error) from None


def make_error(error: Exception) -> UserError:
    """Return the error of W&B as a message that names the way without W&B."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(f"W&B refused the request ({reason}). With out=FILE the specification is written to a file.")


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="dashboard")
def job(config: DictConfig) -> None:
    with command():  # also here, because Hydra would print a traceback
        print("\n".join(make_dashboard(config)))


def main() -> None:
    start_command("dashboard", job)


if __name__ == "__main__":
    main()
