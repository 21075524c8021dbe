"""Tests of loggers of Lightning beside metrics.csv: each row and picture once, also when a run was killed."""

import numpy as np
import pytest
from PIL import Image

from tests.support.configuration import compose_train
from tests.support.together import ListLogger
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.loggers.build import build_loggers, describe_loggers
from vaezoo.loggers.csv import CSVFile
from vaezoo.loggers.mirror import Mirror
from vaezoo.loggers.wandb import WandB
from vaezoo.runs.folder import move_logger, read_history

PUBLIC = {"dataset": {"source": {"_target_": "vaezoo.data.sources.digits.digits"}}}
OWN = {"dataset": {"source": {"_target_": "vaezoo.data.sources.arrays.arrays"}}}


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path)
    return path


def train_twice(folder, make, config=PUBLIC):
    """Log as a run does that is killed after batch 30, with its checkpoint at 20, goes on to 40 and is scored."""
    for begin, end in ((0, 30), (20, 40)):
        loggers = [CSVFile(folder), make()]
        for logger in loggers:
            logger.start(config, begin)
        for step in range(begin + 10, end + 1, 10):
            for logger in loggers:
                logger.log_metrics({"train/loss": 1 / step, "train/kl": float(step)}, step=step)
                logger.log_metrics({"val/loss": 2 / step}, step=step)
                name = f"samples_{step:08d}.png"
                logger.log_figure("samples_over_time", draw(folder / "figures" / "over_time" / name), step=step)
    for logger in loggers:
        logger.log_metrics({"eval/elbo": -1.5}, step=40)
        logger.log_figure("traversals", draw(folder / "figures" / "traversals.png"))
        logger.close()
    return loggers[1]


def logged(folder):
    return {name: (steps.tolist(), values.tolist()) for name, (steps, values) in read_history(folder).items()}


def test_tensorboard_reads_what_metrics_csv_has(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install 'vaezoo[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from vaezoo.loggers.tensorboard import TensorBoard

    train_twice(tmp_path, lambda: TensorBoard(tmp_path), OWN)  # nothing leaves the folder, so own data are shown
    events = EventAccumulator(str(tmp_path / "tensorboard"), {"scalars": 0, "images": 0}).Reload()
    expected = logged(tmp_path)
    assert set(events.Tags()["scalars"]) == set(expected)
    for name, (steps, values) in expected.items():
        assert [event.step for event in events.Scalars(name)] == steps
        assert [event.value for event in events.Scalars(name)] == np.float32(values).tolist()
    pictures = {name: [event.step for event in events.Images(name)] for name in events.Tags()["images"]}
    assert pictures == {"figures/samples_over_time": [10, 20, 30, 40], "figures/traversals": [40]}


def test_mlflow_has_what_metrics_csv_has(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'vaezoo[mlflow]'")
    from mlflow.tracking import MlflowClient

    from vaezoo.loggers.mlflow import MLFlow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    run_id = train_twice(tmp_path, lambda: MLFlow(tmp_path, "vaezoo", "beta=4")).logger.run_id
    client = MlflowClient()
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "beta=4")
    expected = logged(tmp_path)
    assert set(run.data.metrics) == set(expected)
    for name, (steps, values) in expected.items():
        history = sorted(client.get_metric_history(run_id, name), key=lambda metric: metric.step)
        assert ([metric.step for metric in history], [metric.value for metric in history]) == (steps, values)
    assert len(client.list_artifacts(run_id, "figures")) == 5
    (tmp_path / "mlflow" / "run_id").write_text("0" * 32)  # a run that the store does not have
    logger = MLFlow(tmp_path, "vaezoo", "beta=4")
    logger.start(PUBLIC, 40)
    assert set(client.get_run(logger.logger.run_id).data.metrics) == set(expected)


class PictureLogger(ListLogger):
    """A logger that takes pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = []

    def log_image(self, key, images, step=None) -> None:
        self.pictures.append((key, step))


def test_any_logger_gets_each_row_and_picture_once(tmp_path):
    inner = PictureLogger()
    train_twice(tmp_path, lambda: Mirror(inner, tmp_path, "mine"))
    rows = [pair for row in inner.rows for pair in row.items()]
    expected = [(name, value) for name, (_, values) in logged(tmp_path).items() for value in values]
    assert sorted(rows) == sorted(expected)
    over_time = [("figures/samples_over_time", step) for step in (10, 20, 30, 40)]
    assert inner.pictures == [*over_time, ("figures/traversals", 40)]


@pytest.mark.parametrize(
    ("config", "pictures", "count"), [(OWN, None, 0), ({}, None, 0), (OWN, True, 5), (PUBLIC, False, 0)]
)
def test_pictures_of_own_data_need_consent(config, pictures, count, tmp_path):
    inner = PictureLogger()
    train_twice(tmp_path, lambda: Mirror(inner, tmp_path, "mine", pictures), config)
    assert len(inner.pictures) == count


@pytest.mark.parametrize(("pictures", "count"), [(None, 0), (True, 1)])
def test_wandb_gets_pictures_of_own_data_with_consent_only(pictures, count, tmp_path):
    logger = WandB(tmp_path, project="p", name="x", group=None, pictures=pictures)
    logger.start(OWN)
    logger.log_metrics({"x": 1.0}, step=1)
    logger.log_figure("samples", draw(tmp_path / "samples.png"))
    logger.close()
    assert len(list(tmp_path.glob("wandb/offline-run-*/files/media/images/figures/*.png"))) == count


def test_a_score_that_changed_is_sent_again(tmp_path):
    inner = ListLogger()
    for value in (0.5, 0.5, 0.75):
        logger = Mirror(inner, tmp_path, "mine")
        logger.start({}, 40)
        logger.log_metrics({"eval/mig": value}, step=40)
    assert inner.rows == [{"eval/mig": 0.5}, {"eval/mig": 0.75}]


def test_an_error_switches_a_logger_off_and_the_run_goes_on(tmp_path, caplog):
    class Broken(ListLogger):
        def log_metrics(self, metrics, step=None):
            raise OSError("no server")

    logger = Mirror(Broken(), tmp_path, "mine")
    logger.start({})
    logger.log_metrics({"x": 1.0}, step=1)
    logger.log_metrics({"x": 1.0}, step=2)
    assert logger.close() is None
    assert caplog.text.count("logger.mine is switched off for this run, which goes on (OSError: no server)") == 1


# ---- the configuration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "keys"),
    [
        ("none", []),
        ("csv", ["csv"]),
        ("tensorboard", ["csv", "tensorboard"]),
        ("[csv,tensorboard]", ["csv", "tensorboard"]),
        ("[mlflow,wandb,tensorboard]", ["csv", "mlflow", "wandb", "tensorboard"]),
    ],
)
def test_several_loggers_are_chosen_at_once(choice, keys):
    config = compose_train("dataset=digits", "metric=none", "figure=none", f"logger={choice}")
    assert sorted(config.logger) == sorted(keys)


@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_built(package, monkeypatch):
    config = compose_train("dataset=digits", "metric=none", "figure=none", f"logger={package}", "folder=x")
    monkeypatch.setattr("vaezoo.config.requirements.is_installed", lambda name: False)
    with pytest.raises(UserError, match=rf"logger={package}: .* pip install 'vaezoo\[{package}\]' brings it"):
        check_config(config)


def test_a_class_of_the_user_is_wrapped(tmp_path):
    node = {"_target_": "tests.support.together.ListLogger", "pictures": True}
    loggers = build_loggers({"mine": node}, tmp_path)
    assert isinstance(loggers["mine"], Mirror)
    assert loggers["mine"].pictures
    assert describe_loggers(loggers) == "ListLogger (logger.mine)"
    assert describe_loggers({}) == "nothing is logged (logger=none)"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pathlib.Path", "logger.mine: pathlib.Path is no logger of Lightning"),
        ("my_package.Logger", "logger.mine: my_package.Logger cannot be built"),
        ("pytorch_lightning.loggers.CSVLogger", "cannot be built .*save_dir"),
    ],
)
def test_what_is_no_logger_is_refused(target, message, tmp_path):
    with pytest.raises(UserError, match=message):
        build_loggers({"mine": {"_target_": target}}, tmp_path)


def test_a_moved_run_logs_into_the_folder_where_it_lies_now():
    ours = {"_target_": "vaezoo.loggers.csv.CSVFile", "folder": "/old/run"}
    own = {"_target_": "my_package.Logger", "save_dir": "/old/run/mine", "root": "/old/running", "name": "x"}
    for node in (ours, own):
        move_logger(node, "/old/run", "/new")
    assert ours["folder"] == "/new"
    assert own == {"_target_": "my_package.Logger", "save_dir": "/new/mine", "root": "/old/running", "name": "x"}
