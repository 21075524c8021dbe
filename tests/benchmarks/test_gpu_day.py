"""The script for a GPU: its parts fail alone, and a rehearsal on the CPU runs all of them."""

import json
import os
import runpy
import subprocess
import sys

import annotated_types
import pytest

from tests.support.paths import ROOT

HERE = ROOT / "benchmarks"
sys.path.append(str(HERE))

import gpu_day  # noqa: E402


def outcome_of(code: str, limit: float = 30) -> tuple[bool, list[dict]]:
    """Return whether a part of this code succeeds, and its lines without their seconds."""
    lines: list[dict] = []
    good = gpu_day.run_part("toy", [sys.executable, "-S", "-c", code], limit, lines.append)
    assert {line.pop("part") for line in lines} == {"toy"}
    lines[-1].pop("seconds")
    return good, lines


def test_a_part_passes_on_its_results_and_leaves_out_chatter():
    assert outcome_of("print('chatter'); print('{\"a\": 1}')") == (True, [{"a": 1}, {"done": True}])


def test_a_part_that_fails_keeps_its_results_and_says_why():
    code = "print('{\"a\": 1}', flush=True); raise RuntimeError('the card is on fire')"
    assert outcome_of(code) == (False, [{"a": 1}, {"failed": "RuntimeError: the card is on fire"}])


def test_a_part_that_hangs_is_ended_with_what_it_has_started():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])"
    assert outcome_of(code, 1) == (False, [{"failed": "it took more than 1 seconds"}])


def test_one_part_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def run_part(name, command, limit, write):
        write({"part": name, "command": command[2], "limit": round(limit)})
        return name != "engines"

    monkeypatch.setattr(gpu_day, "run_part", run_part)
    results = tmp_path / "results.jsonl"
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", f"results={results}", "seconds=40"])
    with pytest.raises(SystemExit) as end:
        gpu_day.main()
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [line["part"] for line in lines] == [*gpu_day.PARTS, "end"]
    assert [line["limit"] for line in lines[:-1]] == [40] * len(gpu_day.PARTS), "the limit of all together"
    assert (lines[-1]["failed"], end.value.code) == (["engines"], 1)
    assert capsys.readouterr().out.splitlines() == results.read_text(encoding="utf-8").splitlines()


def test_the_parts_fit_into_ten_minutes_and_their_settings_agree():
    assert gpu_day.DEFAULTS["seconds"] < 600
    assert gpu_day.SIZES["full"].keys() == gpu_day.SIZES["tiny"].keys()


def test_outcomes_of_pytest_are_counted():
    text = "PASSED a.py::one\nPASSED a.py::two\nSKIPPED [3] a.py:7: needs a GPU\nFAILED a.py::three - Error\n1 failed\n"
    assert gpu_day.count_outcomes(text) == {"passed": 2, "skipped": 3, "failed": 1}


def test_bounds_for_machines_without_annotated_types_are_those_of_the_package():
    code = runpy.run_path(str(HERE / "stand_ins/annotated_types.py"))
    assert repr([code[name](3) for name in ("Ge", "Gt", "Le", "Lt")]) == "[Ge(ge=3), Gt(gt=3), Le(le=3), Lt(lt=3)]"
    for bounds in ({"ge": 0, "lt": 1}, {"gt": 0, "le": 1}, {"ge": 0}):
        assert repr(list(code["Interval"](**bounds))) == repr(list(annotated_types.Interval(**bounds)))


@pytest.mark.slow
def test_a_rehearsal_runs_every_part(tmp_path):
    """Without the packages that such a machine lacks."""
    absent = ["wandb", "tensorboard", "pandas", "torch_fidelity", "optuna", "submitit"]
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n")
    command = [sys.executable, HERE / "gpu_day.py", "size=tiny", f"results={tmp_path}/results.jsonl", "seconds=550"]
    paths = os.pathsep.join([str(tmp_path), str(HERE / "stand_ins")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["part"] for line in lines if "done" in line] == list(gpu_day.PARTS)
    assert not any("failed" in line for line in lines if line["part"] != "end" and "tests" not in line)
