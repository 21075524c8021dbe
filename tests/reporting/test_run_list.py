"""The list of trained runs: its rows, its states and what it says where there are none."""

from dataclasses import replace

import pytest

from tests.support.reports import write_run
from vaezoo.reporting.reading import Run
from vaezoo.reporting.run_list import format_size, tabulate_runs
from vaezoo.runs.__main__ import main


def test_the_command_lists_states_scores_and_sizes(in_tmp, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    scores, about = {"mig_hist": 0.1234, "elbo": -80.0}, {"batches": 1500}
    write_run(in_tmp / "outputs/b", scores, about=about, environment={"started": "2026-11-21T10:00:00"})
    write_run(in_tmp / "multirun/s/a", None, error="out of [memory]", environment={"started": "2026-11-21T11:00:00"})
    main([])
    lines = capsys.readouterr().out.splitlines()
    first, second = ([cell.strip() for cell in line.split("│")[1:7]] for line in lines if "betavae" in line)
    assert first == ["outputs/b", "betavae", "squares", "1,500", "finished", "0.123"]
    assert second == ["multirun/s/a", "betavae", "squares", "", "failed", ""]
    assert lines[-1] == "multirun/s/a: out of [memory]"


def test_places_without_runs_are_answered(in_tmp, capsys):
    for line, answer in (([], "no folder outputs or multirun here"), (["nowhere"], "nowhere is no folder")):
        with pytest.raises(SystemExit) as end:
            main(line)
        assert end.value.code == 2
        assert answer in capsys.readouterr().err


def test_the_total_is_the_sum_of_the_sizes(tmp_path):
    runs = [Run(tmp_path / name, "finished") for name in ("a", "b")]
    for run, size in zip(runs, (1_500, 2_500), strict=True):
        run.folder.mkdir()
        (run.folder / "file").write_bytes(bytes(size))
    assert list(tabulate_runs(runs).columns[-1].cells) == ["1.5 kB", "2.5 kB"]
    assert tabulate_runs(runs).columns[-1].footer == "4.0 kB"
    assert tabulate_runs([replace(runs[0], state="stopped")]).columns[-1].footer == "1.5 kB"
    assert [format_size(size) for size in (0, 999, 12_345_678, 3e9)] == ["0 B", "999 B", "12 MB", "3.0 GB"]
