"""Run folders for tests of the report: what a run leaves, without a training."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import vaezoo.report

SIDE, VALUES = 8, 5


def report(*line: str) -> int:
    """Run the command of the report with these words, and return its exit status."""
    before = sys.argv
    sys.argv = ["vaezoo.report", *line]
    try:
        vaezoo.report.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def write_run(
    folder: Path,
    scores: dict[str, float] | None,
    *,
    model: str = "betavae",
    seed: int = 0,
    error: str = "",
    about: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    skipped: dict[str, str] | None = None,
    protocols: dict[str, Any] | None = None,
    floors: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """`settings` are dotted keys with __ for the dot, such as model__beta=4."""
    config: dict[str, Any] = {
        "seed": seed,
        "folder": str(folder),
        "dataset": {"name": "squares", "seed": seed},
        "model": {"_target_": f"vaezoo.models.{model}.{model.upper()}", "latent": {"dim": 10}},
        "latent": {"_target_": "vaezoo.latents.gaussian.gaussian.Gaussian", "dim": 10},
        "logger": {"csv": {"_target_": "vaezoo.loggers.csv.CSVFile", "folder": str(folder)}},
    }
    for key, value in settings.items():
        place = config
        *path, last = key.split("__")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.dump(config))
    if environment is not None:
        (folder / "environment.json").write_text(json.dumps(environment))
    if error:
        (folder / "error.txt").write_text(f"Traceback\n{error}\n")
    if scores is not None:
        if not error:
            (folder / "done.json").write_text("{}")
        told = {
            "scores": {f"eval/{name}": value for name, value in scores.items()},
            "protocols": protocols or {},
            "skipped": skipped or {},
            "floors": {f"eval/{name}": entry for name, entry in (floors or {}).items()},
            "about": about or {"dataset": "squares", "data": {"origin": "made by the tests"}},
        }
        (folder / "metrics.json").write_text(json.dumps(told))
    return folder


def write_codes(folder: Path, codes: np.ndarray, index: np.ndarray | None = None) -> None:
    """Codes, and traversals in which the brightness of a row tells its latent, and its slope the direction."""
    dims = np.arange(codes.shape[1])
    moved = np.linspace(0, 1, VALUES)[None, :, None, None, None] * (dims + 1)[:, None, None, None, None] / len(dims)
    (folder / "figures").mkdir()
    np.savez(
        folder / "figures" / "traversals.npz",
        traversal=np.broadcast_to(moved, (len(dims), VALUES, 1, SIDE, SIDE)).astype(np.float32),
        traversal_dims=dims,
        traversal_kl=np.linspace(2, 1, len(dims)),
        original=np.full((1, SIDE, SIDE), 0.5, np.float32),
    )
    rows = np.arange(len(codes)) if index is None else index
    np.savez(folder / "latents.npz", index=rows, codes=codes.astype(np.float32))


def write_study(root: Path, models: dict[str, tuple[str, list[float]]], seeds: int) -> list[Path]:
    """Runs of every model at every value of its weight: reconstruction worsens with it, MIG grows."""
    rng = np.random.default_rng(0)
    folders = []
    for number, (model, (key, values)) in enumerate(models.items()):
        for weight in values:
            for seed in range(seeds):
                step = np.log1p(weight)
                scores = {
                    "recon_mse": 0.01 + 0.004 * step + 0.0004 * rng.random(),
                    "mig_hist": (0.1 + 0.05 * number) * step + 0.05 * rng.random(),
                    "sap_continuous": 0.02 * step + 0.02 * rng.random(),
                    "factor_vae": 0.4 + 0.05 * step + 0.05 * rng.random(),
                    "elbo": -200 - 10 * step - rng.random(),
                    "correlation": 0.3 / (1 + step) + 0.02 * rng.random(),
                    "kl": 20 / (1 + step),
                }
                folder = root / f"{model}_{key}-{weight:g}_seed-{seed}"
                folders.append(write_run(folder, scores, model=model, seed=seed, **{f"model__{key}": weight}))
    return folders
