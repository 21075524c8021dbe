"""Loggers: metrics.csv row by row, and W&B runs read back from their files."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaezoo.loggers.csv import CSVFile
from vaezoo.loggers.mode import choose_mode
from vaezoo.loggers.wandb import WandB, records
from vaezoo.runs import history

# ---- metrics.csv -----------------------------------------------------------------------------------------------


def test_rows_are_on_disk_at_once_and_new_names_add_columns(tmp_path):
    logger = CSVFile(tmp_path)
    logger.log_metrics({"train/loss": 1.5}, step=5)
    assert (tmp_path / "metrics.csv").read_text() == "batches,train/loss\n5,1.5\n"
    logger.log_metrics({"val/loss": 0.25}, step=5)
    logger.log_metrics({"train/loss": 1 / 3, "val/loss": 2}, step=10)
    series = history(tmp_path)
    assert {name: (b.tolist(), v.tolist()) for name, (b, v) in series.items()} == {
        "train/loss": ([5, 10], [1.5, 1 / 3]),
        "val/loss": ([5, 10], [0.25, 2.0]),
    }
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"]


def test_a_resumed_file_forgets_what_came_after_the_checkpoint(tmp_path):
    first = CSVFile(tmp_path)
    for batches in (5, 10, 15):
        first.log_metrics({"train/loss": batches}, step=batches)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("20,")  # a row that a killed process did not finish
    again = CSVFile(tmp_path)
    again.rewind(10)
    again.log_metrics({"train/loss": 11.0}, step=15)
    batches, values = history(tmp_path)["train/loss"]
    assert batches.tolist() == [5, 10, 15]
    assert values.tolist() == [5, 10, 11]


def test_history_of_a_folder_without_a_file_is_empty(tmp_path):
    assert history(tmp_path) == {}


# ---- W&B -------------------------------------------------------------------------------------------------------


def finished(path: Path) -> list:
    """The records of the offline file of a run that has ended; on a busy machine W&B is still writing the last."""
    patience = time.monotonic() + 30
    while True:
        found = list(records(path))
        if any(record.HasField("exit") for record in found) or time.monotonic() > patience:
            return found
        time.sleep(0.1)


def test_an_offline_run_holds_configuration_values_and_figures(tmp_path):
    logger = WandB(tmp_path, project="p", name="model.beta=4", group="a study", model="betavae", dataset="digits")
    logger.start({"model": {"beta": 4}, "seed": 0})
    logger.log_metrics({"train/loss": 2.5}, step=50)
    picture = np.full((6, 8, 3), 200, np.uint8)
    picture[2] = 10
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    frames[0].save(tmp_path / "samples.png")
    frames[0].save(tmp_path / "animation.gif", save_all=True, append_images=frames[1:])
    logger.log_figure("samples", tmp_path / "samples.png")
    logger.log_figure("animation", tmp_path / "animation.gif")
    sync = logger.close()
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert sync == f"wandb sync {path.parent}"
    kept = finished(path)
    run = next(record.run for record in kept if record.HasField("run"))
    assert (run.project, run.display_name, run.run_group) == ("p", "model.beta=4", "a study")
    assert (run.job_type, list(run.tags)) == ("betavae", ["betavae", "digits"])
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["model"]["beta"] == 4
    rows = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in kept
        if record.HasField("history")
    ]
    assert any(row.get("train/loss") == "2.5" and row.get("batches") == "50" for row in rows)
    assert any("figures/samples/sha256" in row for row in rows)
    (png,) = path.parent.glob("files/media/images/figures/*.png")
    assert np.array_equal(np.asarray(Image.open(png)), picture), "the same pixels as on disk"
    (gif,) = path.parent.glob("files/media/videos/figures/*.gif")
    assert gif.read_bytes() == (tmp_path / "animation.gif").read_bytes()


def test_each_job_of_a_process_gets_a_run_and_a_resumed_folder_the_same(tmp_path):
    ids = []
    for folder in ("a", "b", "a"):
        logger = WandB(tmp_path / folder, project="p", name="x", group=None)
        logger.start({})
        ids.append(logger.version)
        logger.log_metrics({"x": 1.0}, step=1)
        logger.close()
    assert ids[0] == ids[2] != ids[1]


def test_trouble_with_wandb_is_said_once_and_the_run_goes_on(tmp_path, caplog):
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


def test_the_environment_has_the_last_word(no_credentials):
    no_credentials.setenv("WANDB_MODE", "disabled")
    assert choose_mode() == "disabled"


class Faulty(BaseHTTPRequestHandler):
    """A W&B server that answers everything by an error, or does not answer for a while."""

    silent = 0.0  # seconds

    def do_POST(self) -> None:
        time.sleep(self.silent)
        self.send_error(500)

    do_GET = do_POST

    def log_message(self, *_) -> None:
        pass


@pytest.mark.parametrize("silent", [0.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_a_server_with_errors_or_without_answers_leaves_an_offline_run(silent, tmp_path, monkeypatch, caplog):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Faulty,), {"silent": silent}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("vaezoo.loggers.wandb.PATIENCE", 5.0)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    logger = WandB(tmp_path, project="p", name="n", group=None)
    logger.start({"seed": 0})
    logger.log_metrics({"train/loss": 2.5}, step=50)
    sync = logger.close()
    server.shutdown()
    assert "the server does not take this run" in caplog.text
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert sync == f"wandb sync {path.parent}"
    assert any(record.HasField("history") for record in finished(path))
