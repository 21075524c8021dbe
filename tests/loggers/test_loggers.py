"""Tests of the loggers without a W&B server: metrics.csv, offline records, and the choice of W&B's mode."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from tests.support.configuration import compose_train
from vaezoo.loggers.csv import CSVFile
from vaezoo.loggers.mode import choose_mode
from vaezoo.loggers.wandb import WandB, prepare_records, shorten
from vaezoo.runs.folder import read_history

# ---- metrics.csv -----------------------------------------------------------------------------------------------


def test_rows_are_on_disk_at_once_and_new_names_add_columns(tmp_path):
    logger = CSVFile(tmp_path)
    logger.log_metrics({"train/loss": 1.5}, step=5)
    assert (tmp_path / "metrics.csv").read_text() == "batches,train/loss\n5,1.5\n"
    logger.log_metrics({"val/loss": 0.25}, step=5)
    logger.log_metrics({"train/loss": 1 / 3, "val/loss": 2}, step=10)
    series = read_history(tmp_path)
    assert {name: (b.tolist(), v.tolist()) for name, (b, v) in series.items()} == {
        "train/loss": ([5, 10], [1.5, 1 / 3]),
        "val/loss": ([5, 10], [0.25, 2.0]),
    }
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"]


def test_rewind_removes_the_rows_after_the_checkpoint(tmp_path):
    logger = CSVFile(tmp_path)
    for batches in (5, 10, 15):
        logger.log_metrics({"train/loss": batches}, step=batches)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("20,")  # A killed process leaves an incomplete row.
    logger = CSVFile(tmp_path)
    logger.rewind(10)
    logger.log_metrics({"train/loss": 11.0}, step=15)
    batches, values = read_history(tmp_path)["train/loss"]
    assert batches.tolist() == [5, 10, 15]
    assert values.tolist() == [5, 10, 11]


def test_history_of_a_folder_without_a_file_is_empty(tmp_path):
    assert read_history(tmp_path) == {}


# ---- W&B -------------------------------------------------------------------------------------------------------


def test_an_offline_record_holds_the_pictures_unchanged(tmp_path):
    logger = WandB(
        tmp_path, project="p", name="model.beta=4", group="a study", model="betavae", dataset="digits", pictures=True
    )
    logger.start({})
    logger.log_metrics({"train/loss": 2.5}, step=50)
    picture = np.full((6, 8, 3), 200, np.uint8)
    picture[2] = 10
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    frames[0].save(tmp_path / "samples.png")
    frames[0].save(tmp_path / "animation.gif", save_all=True, append_images=frames[1:])
    logger.log_figure("samples", tmp_path / "samples.png")
    logger.log_figure("animation", tmp_path / "animation.gif")
    command = logger.close()
    (record,) = tmp_path.glob("wandb/offline-run-*")
    assert command == f"wandb sync {record}"
    (png,) = record.glob("files/media/images/figures/*.png")
    assert np.array_equal(np.asarray(Image.open(png)), picture)
    (gif,) = record.glob("files/media/videos/figures/*.gif")
    assert gif.read_bytes() == (tmp_path / "animation.gif").read_bytes()


def test_each_job_of_a_process_gets_a_run_and_a_resumed_folder_the_same(tmp_path):
    ids = []
    for folder in ("a", "b", "a"):
        logger = WandB(tmp_path / folder, project="p", name="x", group=None)
        logger.start({})
        ids.append(logger.run.id)
        logger.log_metrics({"x": 1.0}, step=1)
        logger.close()
    assert ids[0] == ids[2] != ids[1]


def test_unsent_records_are_deleted_and_the_note_of_the_others_counts(tmp_path):
    records = {"offline-run-1-id": "51", "offline-run-2-id": "101", "run-3-id": "41", "offline-run-4-other": "7"}
    for name, next_step in records.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "next_step").write_text(next_step)
    (tmp_path / "offline-run-1-id" / "run-id.wandb.synced").touch()
    (tmp_path / "offline-run-5-id").mkdir()  # W&B was killed before it wrote anything.
    assert prepare_records(tmp_path, "id") == 51
    assert sorted(path.name for path in tmp_path.iterdir()) == ["offline-run-1-id", "offline-run-4-other", "run-3-id"]
    assert prepare_records(tmp_path, "new") == 0


def test_long_names_fit_and_stay_different():
    names = [shorten("a" * 300 + end) for end in "xy"]
    assert [len(name) for name in names] == [128, 128]
    assert len(set(names)) == 2
    assert (shorten("a" * 128), shorten(""), shorten(None)) == ("a" * 128, None, None)


def test_the_project_of_the_environment_counts(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert compose_train("dataset=digits", "metric=none", "figure=none", "seed=11").logger.wandb.project == "mine"
    line = ["dataset=digits", "metric=none", "figure=none", "seed=12", "logger.wandb.project=other"]
    assert compose_train(*line).logger.wandb.project == "other"


def test_an_error_of_wandb_is_reported_once_and_the_run_goes_on(tmp_path, caplog):
    (tmp_path / "wandb").write_text("a file where the folder should be")
    logger = WandB(tmp_path, project="p", name="x", group=None)
    logger.start({})
    logger.log_metrics({"x": 1.0}, step=1)
    logger.log_figure("x", tmp_path / "x.png")
    assert logger.close() is None
    assert caplog.text.count("W&B is switched off for this run") == 1


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return monkeypatch


def test_without_credentials_a_run_is_offline(no_credentials):
    assert choose_mode() == "offline"


def test_with_credentials_a_run_is_online_only_if_the_server_answers(no_credentials, caplog):
    no_credentials.setenv("WANDB_API_KEY", "x" * 40)
    with socket.create_server(("127.0.0.1", 0)) as server:
        no_credentials.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert choose_mode() == "online"
    assert choose_mode(timeout=1) == "offline"
    assert "127.0.0.1 does not answer" in caplog.text


def test_credentials_in_netrc_count(no_credentials, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
    no_credentials.setenv("NETRC", str(tmp_path / "netrc"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        no_credentials.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert choose_mode() == "online"


def test_the_mode_of_the_environment_is_used(no_credentials):
    no_credentials.setenv("WANDB_MODE", "disabled")
    assert choose_mode() == "disabled"


class Faulty(BaseHTTPRequestHandler):
    """A W&B server that answers each request with an error after `delay` seconds."""

    delay = 0.0

    def do_POST(self) -> None:
        time.sleep(self.delay)
        self.send_error(500)

    do_GET = do_POST

    def log_message(self, *_) -> None:
        pass


@pytest.mark.parametrize("delay", [0.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_a_server_with_errors_or_without_answers_leaves_an_offline_run(delay, tmp_path, monkeypatch, caplog):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Faulty,), {"delay": delay}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("vaezoo.loggers.wandb.INIT_TIMEOUT", 5.0)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    logger = WandB(tmp_path, project="p", name="n", group=None)
    logger.start({"seed": 0})
    logger.log_metrics({"train/loss": 2.5}, step=50)
    command = logger.close()
    server.shutdown()
    assert "the server does not accept this run" in caplog.text
    (record,) = tmp_path.glob("wandb/offline-run-*")
    assert command == f"wandb sync {record}"
    assert (record / "next_step").read_text() == "51", "the row of batch 50 is in the record"
