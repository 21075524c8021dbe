"""Damaged run folders end with a message, and never with a traceback."""

from tests.support.fuzz import find_tracebacks, make_run


def test_no_damage_ends_with_a_traceback(tmp_path):
    """A part of `python -m tests.support.fuzz`, with damages that do not change."""
    root = tmp_path / "root"
    root.mkdir()
    lines, refused = find_tracebacks(make_run(tmp_path / "run"), root, count=36, seed=2)
    assert lines == []
    assert set(refused) >= {"read_like_train", "read_like_evaluate"}
