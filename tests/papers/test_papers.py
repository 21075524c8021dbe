"""The papers beside our runs: verdicts by hand, tables that survive the round trip, a page that says what held."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from papers import records
from papers.__main__ import main as papers_main
from papers.claims import (
    FAILED,
    HELD,
    NOT_RUN,
    UNDECIDED,
    Claim,
    Observation,
    Picture,
    ahead,
    average,
    compare_with_region,
    difference,
    find_best,
    is_in_region,
    judge,
    lead,
    minus,
    over,
    ratio,
    score,
    wins,
)
from papers.experiments import SIZES, BestRow, Experiment, Paper, sweep
from papers.library import EXPERIMENTS, PAPERS
from papers.page import find_verdict, format_mean, format_page, name_kind
from tests.support.papers import CONF, chosen, grids
from tests.support.paths import ROOT
from tests.support.reports import write_run
from vaezoo.config.overrides import parse_overrides
from vaezoo.metrics.directions import direction
from vaezoo.reporting.reading import read_runs
from vaezoo.reporting.summary import Mean
from vaezoo.studies import study


def table(**settings: list[float | None]) -> dict:
    """Of one score, `mig_hist`, by setting a value for each seed."""
    seeds = range(max(map(len, settings.values())))
    return {
        seed: {
            name: {"mig_hist": values[seed]}
            for name, values in settings.items()
            if seed < len(values) and values[seed] is not None
        }
        for seed in seeds
    }


def results(*line: str) -> int:
    """The command line; its exit status."""
    before = sys.argv
    sys.argv = ["papers", *line]
    try:
        papers_main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


# ---- claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "low", "high", "said"),
    [
        (Mean(1.0, 0.5, 3), 0.0, math.inf, HELD),
        (Mean(1.0, 1.0, 3), 0.0, math.inf, UNDECIDED),  # the interval ends on the edge
        (Mean(-0.5, 0.6, 3), 0.0, math.inf, UNDECIDED),
        (Mean(-1.0, 0.5, 3), 0.0, math.inf, FAILED),
        (Mean(-1.0, 0.5, 3), -math.inf, 0.0, HELD),
        (Mean(1.0, 0.1, 3), 0.8, 1.25, HELD),
        (Mean(1.2, 0.1, 3), 0.8, 1.25, UNDECIDED),
        (Mean(1.4, 0.1, 3), 0.8, 1.25, FAILED),
        (Mean(1.0, 9.0, 3), 0.8, 1.25, UNDECIDED),  # it covers the region
        (Mean(5.0, math.nan, 1), 0.0, math.inf, UNDECIDED),  # one seed has no interval
        (Mean(0.0, 0.0, 3), 0.0, math.inf, UNDECIDED),  # equal in every seed
        (Mean(0.1, 0.0, 3), 0.0, math.inf, HELD),
    ],
)
def test_a_verdict_is_where_the_interval_lies(found, low, high, said):
    assert compare_with_region(found, low, high) == said


def test_a_difference_is_taken_seed_by_seed():
    """1, 2, 3: t = 4.303 for two degrees of freedom, s = 1, so the interval is 2 ± 2.484 and reaches below 0."""
    claim = Claim("a is better", difference("mig_hist", "a", "b"), low=0)
    one = judge(claim, table(a=[11.0, 22.0, 33.0], b=[10.0, 20.0, 30.0]))
    assert (one.mean.value, one.mean.half, one.mean.n) == (2.0, pytest.approx(2.4841, abs=1e-4), 3)
    assert one.verdict == UNDECIDED
    assert is_in_region(one.mean, claim)
    assert judge(claim, table(a=[11.0, 22.0, 31.9], b=[10.0, 20.0, 30.0])).verdict == HELD, "1, 2, 1.9: 1.633 ± 1.369"


def test_a_ratio_and_two_scores_of_one_setting():
    half = Claim("b has half", ratio("mig_hist", "b", "a"), low=0.4, high=0.6)
    assert judge(half, table(a=[1.0, 2.0, 4.0], b=[0.5, 1.0, 2.0])).verdict == HELD
    assert judge(half, table(a=[0.0, 0.0], b=[1.0, 1.0])).verdict == NOT_RUN, "over nothing there is no ratio"
    gain = minus(score("cluster_cnn_acc", "a"), score("cluster_acc_hungarian", "a"))
    assert gain.in_seed({"a": {"cluster_cnn_acc": 0.75, "cluster_acc_hungarian": 0.5}}) == 0.25
    assert gain.text == "cluster_cnn_acc of a − cluster_acc_hungarian of a"


def test_a_lead_is_over_the_best_of_the_others_whichever_way_is_better():
    assert (
        lead("mig_hist", "a", "b", "c").in_seed({k: {"mig_hist": v} for k, v in zip("abc", (5, 3, 4), strict=True)})
        == 1
    )
    errors = {k: {"recon_mse": v} for k, v in zip("abc", (5, 3, 4), strict=True)}
    assert lead("recon_mse", "a", "b", "c").in_seed(errors) == -2
    assert lead("recon_mse", "b", "a", "c").text == "recon_mse: best of a, c − b"
    assert lead("recon_mse", ("b", "c"), "a").in_seed(errors) == 1, "the worse of the two"
    assert lead("recon_mse", ("b", "c"), "a").text == "recon_mse: a − worst of b, c"
    with pytest.raises(ValueError, match="kl has no direction"):
        lead("kl", "a", "b")


def test_quantities_of_several_scores():
    scores = {"a": {"accuracy": 0.9, "other": 0.5}, "b": {"accuracy": 0.7, "other": 0.8}}
    both = [difference("accuracy", "a", "b"), difference("other", "a", "b")]
    assert average("mean gain", both).in_seed(scores) == pytest.approx(-0.05)
    assert wins("gains", both).in_seed(scores) == 1
    first = ahead(score("accuracy", "a"), score("accuracy", "b"), score("other", "b"))
    assert first.in_seed(scores) == pytest.approx(0.1)
    assert first.text == "accuracy of a − best of accuracy of b, other of b"
    shares = minus(over(score("accuracy", "a"), score("other", "a")), over(score("accuracy", "b"), score("other", "b")))
    assert shares.in_seed(scores) == pytest.approx(1.8 - 0.875)
    assert math.isnan(average("", both).in_seed({"a": scores["a"]}))


def test_a_seed_without_a_score_is_left_out():
    claim = Claim("", difference("mig_hist", "a", "b"), low=0)
    found = judge(claim, table(a=[3.0, 4.0, 5.0, 9.0], b=[1.0, 2.0, 3.0, None]))
    assert (found.verdict, found.mean) == (HELD, Mean(2.0, 0.0, 3))
    assert judge(claim, table(a=[3.0, math.nan], b=[1.0, 2.0])).verdict == UNDECIDED, "one seed is left"


def test_what_no_seed_has_is_named():
    claim = Claim("", difference("mig_hist", "a", "b"), low=0)
    assert judge(claim, table(a=[1.0, 2.0])).lacking == (("b", "mig_hist"),)
    assert judge(claim, table(a=[1.0, None], b=[None, 1.0])).lacking == (), "each is there, but never both"
    assert judge(claim, {}).verdict == NOT_RUN


def test_the_best_of_a_sweep_is_that_of_the_best_mean():
    found = table(a=[0.1, 0.9], b=[0.6, 0.6], c=[None, None])
    assert find_best(("a", "b", "c"), "mig_hist", found) == "b"
    assert find_best(("c",), "mig_hist", found) is None
    errors = {0: {"a": {"recon_mse": 0.1}, "b": {"recon_mse": 0.2}}}
    assert find_best(("a", "b"), "recon_mse", errors) == "a"


# ---- the papers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda experiment: experiment.name)
def test_rows_that_are_named_exist(experiment):
    """In numbers, claims and choices; and what is chosen by a score knows which way it is better."""
    rows = set(experiment.rows)
    assert set(experiment.numbers) <= rows
    for claim in experiment.claims:
        if isinstance(claim, Claim):
            assert {setting for setting, _ in claim.quantity.needs} <= rows
            assert claim.low < claim.high
    for choice in experiment.best_rows:
        assert set(choice.among) <= set(experiment.settings)
        assert direction(choice.by)
    assert set(experiment.data) | set(experiment.tried) <= set(SIZES)


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda experiment: experiment.name)
def test_a_claim_that_numbers_of_the_paper_bear_out_is_one(experiment):
    """A slip in a row or in a region would make the paper contradict itself."""
    for claim in experiment.claims:
        if isinstance(claim, Claim) and math.isfinite(theirs := experiment.theirs(claim)):
            assert claim.low < theirs < claim.high, claim.text


def test_every_experiment_has_a_folder_and_every_folder_an_experiment():
    assert set(EXPERIMENTS) == {path.parent.name for path in (CONF / "experiment").glob("*/paper.yaml")}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_job_belongs_to_one_setting_and_every_setting_has_jobs(name):
    experiment = EXPERIMENTS[name]
    found = Counter(experiment.find_setting(config) for size in SIZES for config in jobs(name, size))
    assert set(found) == set(experiment.settings), "None is a job that is no setting's, or several settings'"
    for size in SIZES:
        counts = Counter(experiment.find_setting(config) for config in jobs(name, size))
        assert set(counts.values()) == {1}


def jobs(name: str, size: str) -> list[dict]:
    """What the jobs of one seed set, over what the model's own file says."""
    found = []
    for grid in grids(name, size):
        for job in study.list_combinations([f"{key}={value}" for key, value in grid.items() if key != "seed"]):
            config = {override.key_or_group: override.value() for override in parse_overrides(job)}
            model = yaml.safe_load((CONF / "model" / f"{config['model']}.yaml").read_text())
            found.append(
                {"dataset": chosen(name, size, "dataset"), **{f"model.{k}": v for k, v in model.items()}, **config}
            )
    return found


def test_every_score_is_one_that_some_metric_has():
    """Or a term that some model logs. What runs really have: tests/papers/test_papers_smoke.py."""
    metrics = {path.stem for path in (CONF / "metric" / "score").glob("*.yaml")}
    written = {place: read_all(ROOT / "vaezoo" / place) for place in ("metrics", "losses")}
    beginnings = tuple(re.findall(r'f"([a-z]\w{2,}_)\{', written["metrics"]))
    for experiment in EXPERIMENTS.values():
        for name in experiment.scores:
            head = name.partition("/")[0].removesuffix("_continuous")
            if name.endswith("*"):
                assert direction(name), name
            elif head == "train":
                assert f'"{name.removeprefix("train/")}"' in written["losses"], name
            else:
                known = head in metrics or f'"{head}"' in written["metrics"] or head.startswith(beginnings)
                assert known, name


def read_all(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("*.py"))


def test_pictures_that_are_to_be_seen_are_ones_that_are_drawn():
    drawn = {path.stem for path in (CONF / "figure").glob("*.yaml")}
    for experiment in EXPERIMENTS.values():
        for claim in experiment.claims:
            if isinstance(claim, Picture):
                assert set(re.findall(r"figures/(\w+)\.png", claim.figure)) & drawn, claim.figure
                assert {seen.verdict for seen in claim.observations.values()} <= {HELD, UNDECIDED, FAILED}


def test_claims_of_ours_are_judged_and_not_counted():
    """What the paper of InfoVAEGAN says about Fashion-MNIST is table 1; its only ablation is figure 20."""
    fashion = EXPERIMENTS["yebors_fashion"]
    ours = [claim for claim in fashion.claims if claim.is_ours]
    assert len(ours) == 3
    assert not set(ours) & set(fashion.select_claims("small"))
    page = format_page([Paper("Nobody", "", (fashion,))], {})
    assert page.count("a claim of ours") == 3
    assert "| Nobody |  |  |  |  |  | 2 | 0 of 1 |" in page


@pytest.mark.parametrize(
    ("name", "text", "theirs"),
    [
        ("pastrana_betas", "In the conditional model it grows from beta 1 to 5 (figure 6b).", "0.15 to just over 0.20"),
        ("pastrana_betas", "There it is lowest at beta 10, even below that at beta 1 (figure 6b).", "0.10 − 0.15"),
        ("kumar_tradeoff", "The codes of DIP-VAE are less correlated than the VAE's (table 3).", "pictures"),
    ],
)
def test_what_a_paper_says_of_what(name, text, theirs):
    assert [claim.theirs for claim in EXPERIMENTS[name].claims if claim.text == text] == [theirs]


def test_claims_of_a_table_have_all_of_its_rows():
    """Table 1 of InfoVAEGAN has PixelGAN, which it surpasses, and table 2 of DIP-VAE beta 2."""
    rows = {setting for claim in EXPERIMENTS["yebors_clusters"].claims[3:4] for setting, _ in claim.quantity.needs}
    assert rows == {"InfoVAEGAN", "DEC 10", "GMVAE 30", "GMVAE 16", "AAE 16", "PixelGAN 30"}
    attributes = next(c for c in EXPERIMENTS["kumar_faces"].claims if "more than half" in c.text)
    assert {"beta-VAE 2", "beta-VAE 4", "beta-VAE 8"} <= {setting for setting, _ in attributes.quantity.needs}


def test_a_classifier_beside_a_model_is_compared_by_the_same_probe():
    for claim in EXPERIMENTS["chivukula_digits"].claims:
        if "trained with a classifier" in claim.text:
            assert {name for _, name in claim.quantity.needs} == {"probe_linear"}


def test_one_seed_decides_no_picture(tmp_path):
    pictures = Experiment(
        name="seen",
        title="Pictures",
        settings={"VAE": {"model": "vae"}},
        claims=(Picture("Faces smile.", "figures/samples.png", {"small": Observation(HELD, "they do")}),),
        further_scores=("mig_hist",),
        substitute="cats for faces",
    )
    for seeds, verdict, kind in [(1, UNDECIDED, "undecided: one seed"), (2, HELD, "held on other data")]:
        of_seeds = {seed: {"VAE": {"mig_hist": 0.5}} for seed in range(seeds)}
        assert find_verdict(pictures.claims[0], "small", of_seeds) == verdict
        assert name_kind(pictures.claims[0], pictures, of_seeds) == kind


def test_papers_and_experiments_are_called_once():
    assert len(EXPERIMENTS) == sum(len(paper.experiments) for paper in PAPERS)


def test_numbers_have_the_digits_that_their_intervals_leave():
    assert format_mean(Mean(0.81234, 0.0123, 3)) == "0.812 ± 0.012"
    assert format_mean(Mean(123.4, 45.6, 3)) == "123 ± 46"
    assert format_mean(Mean(0.81234, math.nan, 1)) == "0.812"
    assert format_mean(Mean(1.0, 0.0, 3)) == "1"
    assert format_mean(Mean(0.1, 4e-17, 3)) == "0.1"
    assert format_mean(Mean(math.nan, math.nan, 0)) == ""


# ---- from runs to the page ---------------------------------------------------------------------------------------

DEMO = Experiment(
    name="demo",
    title="Table 9: MIG of two models",
    settings={"VAE": {"model": "vae"}, **sweep("beta-VAE {}", {"model": "betavae"}, "model.beta", (4, 16))},
    claims=(
        Claim("beta-VAE is better.", lead("mig_hist", "best beta-VAE", "VAE"), low=0),
        Claim(
            "It loses no sharpness.", difference("laplacian_var_samples", "beta-VAE 4", "VAE"), low=0, theirs="figure"
        ),
        Picture("Faces smile.", "figures/samples.png", {"small": Observation(FAILED, "they do not")}),
    ),
    numbers={"VAE": {"mig_hist": 0.1}, "best beta-VAE": {"mig_hist": 0.3}},
    best_rows=(BestRow("best beta-VAE", ("beta-VAE 4", "beta-VAE 16"), by="mig_hist"),),
    data={"paper": "faces"},
    notes=("The budget is open.",),
    tried={"small": ("Longer training.",)},
)


def write_demo(root: Path, where: str = "cpu, 1 threads") -> Path:
    """Three seeds of a VAE and of one beta; a run of another model, and one that was stopped."""
    study = root / "demo-small"
    gains = {("vae", None): 0.1, ("betavae", 4.0): 0.3}
    for (model, beta), gain in gains.items():
        for seed in range(3):
            folder = study / f"{model}-{seed}"
            write_run(
                folder,
                {"mig_hist": gain + 0.01 * seed * bool(beta), "elbo": -100.0},
                model=model,
                seed=seed,
                dataset__batch_size=64,
                about={"dataset": "dsprites", "data": {"origin": "rendered"}, "batches": 200},
                environment={"device": where, "started": "2026-11-22T05:00:00", "git": {"commit": 40 * "a"}},
                **({"model__beta": beta} if beta else {}),
            )
            (folder / "metrics.csv").write_text("batches,perf/images_per_second\n100,64\n150,\n200,128\n")
            (folder / "done.json").write_text(json.dumps({"job": f"{model}{seed}"}))
    write_run(study / "dipvae", {"mig_hist": 0.5}, model="dipvae")
    write_run(study / "stopped", None, model="vae", seed=3)
    return study


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.library.PAPERS", (Paper("Nobody (1999)", "Faces.", (DEMO,)),))
    monkeypatch.setattr("papers.library.EXPERIMENTS", {"demo": DEMO})
    write_demo(tmp_path / "multirun")
    return tmp_path


def test_records_survive_the_round_trip(tmp_path):
    found, left_out = records.collect_records(DEMO, read_runs([write_demo(tmp_path)]))
    assert [(one.setting, one.seed) for one in found] == [(n, s) for n in ("VAE", "beta-VAE 4") for s in range(3)]
    assert left_out == {"of no setting of the experiment": 1, "not finished": 1}
    assert found[-1].scores == {"mig_hist": 0.32}, "the experiment looks at no elbo"
    assert found[-1].about == {
        "batches": "200",
        "seconds": "150",  # 6,400 images at 64 a second, and as many at 128
        "device": "cpu, 1 threads",
        "data": "dsprites, rendered",
        "commit": "aaaaaaaaaaaa",
        "started": "2026-11-22T05:00:00",
        "job": "betavae2",
    }
    path = tmp_path / "demo-small.csv"
    path.write_text(records.format_csv(DEMO, found))
    assert records.read_records(DEMO, path) == found


def test_of_two_runs_of_one_setting_and_seed_the_newer_counts(tmp_path):
    for day, gain in ((1, 0.1), (3, 0.3), (2, 0.2)):
        started = {"started": f"2026-11-0{day}"}
        write_run(tmp_path / f"{day}", {"mig_hist": gain}, model="vae", environment=started)
    found, left_out = records.collect_records(DEMO, read_runs([tmp_path]))
    assert [one.scores for one in found] == [{"mig_hist": 0.3}]
    assert left_out == {"made again since": 2}


def test_what_else_than_scores_is_kept(tmp_path):
    """Entries of tables, terms of the training, and of two networks' features those that most runs have."""
    names = ("attribute_vectors/Bangs/accuracy", "train/elbo", "ffd64_*")
    demo = Experiment("demo", "Table 9", {"VAE": {"model": "vae"}}, (), further_scores=names)
    for seed, network in enumerate("bab"):
        features = {f"ffd64_{network}": seed, f"ffd64_{network}_floor": 9.0, f"kfd64_{network}": 9.0}
        folder = write_run(tmp_path / f"{seed}", features, model="vae", seed=seed)
        told = json.loads((folder / "metrics.json").read_text())
        told["tables"] = {"attribute_vectors": {"Bangs": {"accuracy": 0.5}}}
        (folder / "metrics.json").write_text(json.dumps(told))
        (folder / "metrics.csv").write_text("batches,train/elbo\n1,-5\n2,-4\n")
    found, _ = records.collect_records(demo, read_runs([tmp_path]))
    assert [one.scores for one in found] == [
        {"attribute_vectors/Bangs/accuracy": 0.5, "train/elbo": -4.0, "ffd64_*": 0.0},
        {"attribute_vectors/Bangs/accuracy": 0.5, "train/elbo": -4.0},
        {"attribute_vectors/Bangs/accuracy": 0.5, "train/elbo": -4.0, "ffd64_*": 2.0},
    ]


def test_the_command_writes_tables_and_page(demo, capsys, monkeypatch):
    monkeypatch.chdir(demo)
    assert results("runs=multirun") == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "results   docs/results/demo-small.csv: 6 runs; 1 of no setting of the experiment; 1 not finished",
        "page      docs/results.md",
    ]
    text = (demo / "docs" / "results.md").read_text()
    for fragment in (
        "| Nobody (1999) | [demo](#demo) | Table 9 | 1 held, 1 did not hold, 1 not run | not run |",
        "| small | `make reproduce-demo SIZE=small` | 6: 2 settings, 3 seeds | dsprites, rendered | 200 |"
        " cpu, 1 threads; 0.25 h of training | `aaaaaaaaaaaa` |",
        "| paper | `make reproduce-demo SIZE=paper` | not run | needs faces |",
        "| beta-VAE is better. | mig_hist: best beta-VAE − VAE, > 0 | 0.2 | **held**: 0.210 ± 0.025 |",
        "| figure | not run: no laplacian_var_samples of beta-VAE 4 and laplacian_var_samples of VAE |",
        "| Faces smile. | seen in figures/samples.png | pictures | **did not hold**: they do not |",
        "| VAE | 0.1 | 0.1 |",
        "| best beta-VAE | 0.3 | 0.310 ± 0.025 |",
        "- The budget is open.\n- small: best beta-VAE is beta-VAE 4.\n- small, tried: Longer training.\n",
    ):
        assert fragment in text
    assert "beta-VAE 16" not in text, "nobody has a number of it"

    table, before = demo / "docs" / "results" / "demo-small.csv", text
    first = table.read_bytes()
    assert results("runs=multirun/demo-small") == 0, "the study itself can be named"
    assert ((demo / "docs" / "results.md").read_text(), table.read_bytes()) == (before, first)


def test_tables_of_other_machines_stay(demo, monkeypatch):
    monkeypatch.chdir(demo)
    results("runs=multirun", "out=results")
    (demo / "results" / "demo-small.csv").rename(demo / "results" / "demo-paper.csv")
    write_demo(demo / "elsewhere", where="A big GPU")
    assert results("runs=[elsewhere]", "out=results") == 0
    text = (demo / "results.md").read_text()
    assert "| small | `make reproduce-demo SIZE=small` | 6" in text
    assert "| paper | `make reproduce-demo SIZE=paper` | 6" in text
    assert "A big GPU" in text
    assert results("collect=false", "runs=.", "out=results") == 0
    assert (demo / "results.md").read_text() == text


def test_what_a_user_can_get_wrong(demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)
    assert results("runs=nowhere") == 2
    assert "runs=nowhere: must be a file or folder that exists" in capsys.readouterr().err
    assert results("runs=multirun/demo-small/vae-0") == 2
    assert "none of the studies of a paper is there, such as demo-small." in capsys.readouterr().err
    path = demo / "docs" / "results" / "demo-paper.csv"
    path.parent.mkdir(parents=True)
    for content, said in (("nothing\n1\n", "not a table of results"), (older(), "has no setting 'AE'")):
        path.write_text(content)
        assert results("collect=false", "runs=.") == 2
        assert said in capsys.readouterr().err


def older() -> str:
    return records.format_csv(DEMO, [records.Record("AE", 0, {}, dict.fromkeys(records.ABOUT, ""))])


def test_the_command_needs_no_torch(tmp_path):
    script = (
        "import sys\nfrom papers.__main__ import main\n"
        f"sys.argv = ['papers.results', 'collect=false', 'out={tmp_path / 'results'}']\n"
        "main()\n"
        "assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "results.md").read_text() == format_page(PAPERS, {})


def test_the_page_is_that_of_the_tables():
    """Whoever changes a paper's file or a table writes the page anew: make results ARGS=collect=false."""
    tables = {
        (name, size): records.read_records(experiment, path)
        for name, experiment in EXPERIMENTS.items()
        for size in SIZES
        if (path := ROOT / "docs" / "results" / f"{name}-{size}.csv").is_file()
    }
    assert (ROOT / "docs" / "results.md").read_text() == format_page(PAPERS, tables)
