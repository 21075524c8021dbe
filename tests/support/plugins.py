"""The plug-in of tests/support/plugin, and small ones that tests write."""

from pathlib import Path

from tests.support.paths import ROOT

PROJECT = ROOT / "tests" / "support" / "plugin"
OWN = ("--config-dir", str(PROJECT / "my_zoo" / "conf"))

MODEL = """from vaezoo.models.betavae import BetaVAE
from vaezoo.ranges import Positive

class Theirs(BetaVAE):
    needs_labels = True

    def __init__(self, *, width: Positive = 1.0, **parts):
        raise AssertionError("nothing of a plug-in is run before a job begins")
"""


def write_package(root: Path, name: str, model: str, targets: str = "") -> Path:
    """Write a package with one model and its file, and return its configuration folder; its code cannot be imported."""
    conf = root / name / "conf"
    (conf / "model").mkdir(parents=True)
    (root / name / "__init__.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    (root / name / "models.py").write_text(MODEL, encoding="utf-8")
    text = f"defaults: [base/latent@_here_, _self_]\n_target_: {name}.models.Theirs\nbeta: 1.0\nwidth: 1.0\n{targets}"
    (conf / "model" / f"{model}.yaml").write_text(text, encoding="utf-8")
    return conf


def install_package(root: Path, name: str) -> None:
    """Write what pip writes beside a package that names itself as a plug-in."""
    info = root / f"{name}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[vaezoo.plugins]\n{name} = {name}\n", encoding="utf-8")
