"""Quiet and isolated tests; what they share besides lies in tests/support."""

import gc
import os

import pytest

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
# Several test processes share the cores; small tensors gain nothing from threads that wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # nor do small fits gain from processes of their own
pytest.register_assert_rewrite("tests.support")

from tests.support.configuration import forget_lines  # noqa: E402
from tests.support.slow import trainings  # noqa: E402 - the lines above decide how torch and tests are loaded


def pytest_collection_finish():
    """Search for garbage rarely, and never in what was imported, because a search takes half a second with it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True, scope="module")
def collect_garbage():
    """Free the configurations, pictures and models of a file of tests, which take much memory."""
    yield
    forget_lines()
    gc.collect()


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch):
    """No test sees the user's data sets, or writes among them."""
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run the test inside an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """train(*words, seeds=...) -> runs of the command line (tests/support/slow.py), each trained once for all tests."""
    return trainings(tmp_path_factory.mktemp("trainings"))
