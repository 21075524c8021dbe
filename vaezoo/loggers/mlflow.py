"""MLflow: a run in the store of MLFLOW_TRACKING_URI, or else in the file mlflow.db of the current folder."""

import os
import re
from pathlib import Path

from pytorch_lightning.loggers import MLFlowLogger

from vaezoo.loggers.mirror import Mirror
from vaezoo.runs.files import write_text


class MLFlow(Mirror):
    """A run of MLflow with the name of the job. The file mlflow/run_id of the run folder says which run it is.

    Only the environment names the store, because the configuration of a run folder may be another person's. The store
    itself says which rows it has, so that a run that was killed loses and doubles none.
    """

    needs_package = "mlflow"

    def __init__(
        self, folder: str | Path, experiment: str, name: str | None = None, pictures: bool | None = None
    ) -> None:
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
        self.experiment_name, self.run_name = experiment, name or None
        self.id_file = Path(folder) / "mlflow" / "run_id"
        run_id = self.id_file.read_text(encoding="utf-8").strip() if self.id_file.is_file() else ""
        logger = self.make_logger(run_id if re.fullmatch(r"[0-9a-f]{32}", run_id) else None)
        super().__init__(logger, Path(folder), "mlflow", pictures)

    def make_logger(self, run_id: str | None) -> MLFlowLogger:
        """Return Lightning's logger for the run of that id, or for a new one."""
        return MLFlowLogger(self.experiment_name, self.run_name, self.uri, run_id=run_id)

    def describe(self) -> str:
        return f"MLflow ({self.uri})"

    def read_sent(self) -> dict[str, tuple[int, str]]:
        """Open the run, and return the newest step of each value that the store has, and its value there."""
        try:
            run_id = self.logger.run_id
        except Exception:  # The store has no such run, or another job has just made the experiment.
            self.logger = self.make_logger(None)
            run_id = self.logger.run_id
        write_text(self.id_file, run_id)
        client = self.experiment
        client.update_run(run_id, status="RUNNING")
        sent = {}
        for name in client.get_run(run_id).data.metrics:
            newest = max(client.get_metric_history(run_id, name), key=lambda metric: metric.step)
            sent[name] = (newest.step, repr(newest.value))
        return sent

    def send_picture(self, key: str, path: Path, batches: int) -> None:
        """Store the file among the artifacts of the run; the same file is replaced."""
        self.experiment.log_artifact(self.logger.run_id, str(path), key.partition("/")[0])
