"""Directions of scores: every key that a run, a report or a table of results has, and what a run records."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from tests.support.reports import write_run
from vaezoo import metrics
from vaezoo.config.directory import DIRECTORY
from vaezoo.evaluation import records
from vaezoo.evaluation.inputs import Inputs, constants
from vaezoo.evaluation.scores import Scores, evaluate_metrics
from vaezoo.metrics.directions import EASY, Better, Direction, direction, find_direction, read_declarations
from vaezoo.reporting.reading import read_run, read_runs
from vaezoo.reporting.score_selection import collect_directions, select_headline, select_ranked

# The keys of metric=full on models of all kinds, of `udr=true` and of the tables in docs/results. A change of these
# lists changes what reports rank.
HIGHER = """
mig_hist mig_hist/no_shape mig_hist_continuous mig_hist_continuous/no_shape mig_exact mig_exact/no_shape mig_sampled
mig_sampled/no_shape sap_discrete sap_continuous sap_discrete_continuous sap_continuous_continuous
mcc_pearson mcc_spearman mcc_pearson_continuous linear_r2 linear_r2_continuous
higgins_svm higgins_logistic higgins_svm_continuous factor_vae factor_vae_paper factor_vae_continuous modularity
modularity_continuous irs irs_continuous explicitness explicitness_continuous
dci_lasso dci_lasso/disentanglement dci_lasso/completeness dci_lasso/completeness_unweighted
dci_hgb dci_hgb/disentanglement dci_hgb/completeness dci_hgb/completeness_unweighted dci_hgb/informativeness
dci_gbt dci_gbt/disentanglement dci_gbt/informativeness dci_gbt_2k dci_gbt_2k/informativeness
dci_hgb_continuous dci_hgb_continuous/informativeness
udr_lasso udr_spearman udr_lasso_a2a udr_spearman_a2a
elbo rec iwae_20 iwae_5000 kmeans_acc_hungarian kmeans_acc_majority kmeans_acc_exemplar kmeans_nmi kmeans_ari
kmeans_acc_hungarian_train_map kmeans_acc_majority_train_map kmeans_acc_hungarian_continuous kmeans_nmi_continuous
knn_purity knn_purity_continuous probe_linear probe_linear/test_acc probe_logistic probe_logistic/test_acc
probe_linear_continuous probe_linear_continuous/test_acc probe_logistic_continuous probe_logistic_continuous/test_acc
probe_attributes probe_attributes/test_acc cluster_acc_hungarian cluster_acc_majority cluster_acc_exemplar cluster_nmi
cluster_ari cluster_acc_hungarian_train_map cluster_acc_majority_train_map cluster_cnn_acc classifier_accuracy
attributes_accuracy attributes_balanced attributes_accuracy_continuous
"""
LOWER = """
kl_tc correlation gtc gwc mis correlation_continuous gtc_continuous gwc_continuous mis_continuous
recon_mse recon_mae recon_bce recon_sse fid_10k fid_small_n500 fid_inf kid ffd64_* ffd64_1a2b3c
ffd64_digitscnn_56c449 ffd64_digitscnn_56c449_inf kfd64_digitscnn_56c449 dci_lasso/informativeness
dci_lasso_continuous/informativeness
"""
EASY_SCORES = "kl_tc correlation gtc gwc mis correlation_continuous gtc_continuous gwc_continuous mis_continuous"
NEITHER = """
kl kl_ratio dims_kl_above_0.01 rec_floor neg_elbo_beta kl_ratio_weighted iwae_20_error iwae_5000_error iwae_images
kl_mi kl_dw kl_mi_error kl_components laplacian_var_images laplacian_var_reconstructions laplacian_var_samples
laplacian_var_mean_no1 neutral_latents active_units active_units/share correlation/constant_codes
correlation_continuous/constant_codes kmeans_count kmeans_used cluster_count cluster_used cluster_cnn_kept
knn_purity/chance knn_purity/used knn_purity_continuous/chance knn_purity_continuous/used
probe_linear/train_acc probe_linear/majority probe_logistic/train_acc probe_logistic/majority
probe_attributes/train_acc probe_attributes/majority probe_linear_continuous/train_acc probe_linear_continuous/majority
probe_logistic_continuous/train_acc probe_logistic_continuous/majority
gtc/active gtc/active_dims gtc_continuous/active gtc_continuous/active_dims gwc/normalised gwc_continuous/normalised
irs/largest irs/true_levels irs/kept_codes explicitness/train classifier_train_accuracy attributes_majority udr_kept
higgins_svm/train_accuracy higgins_svm/chance higgins_logistic/train_accuracy higgins_logistic/chance
factor_vae/train_accuracy factor_vae/active_dims factor_vae_paper/active_dims
dci_hgb/informativeness_train dci_gbt/informativeness_train ffd64_1a2b3c_accuracy ffd64_1a2b3c_floor
ffd64_1a2b3c_noise ffd_images train/elbo train/mi_s
mig_hist/sd recon_mse/sd correlation/sd kmeans_nmi/sd dci_lasso/informativeness/sd factor_vae_continuous/sd
"""
# The default columns of a report on a run that has all of these keys, in their order.
HEADLINE = """
mig_hist mig_exact mig_sampled sap_discrete sap_continuous mcc_pearson mcc_spearman
higgins_svm higgins_logistic factor_vae factor_vae_paper
modularity irs explicitness dci_lasso dci_hgb dci_gbt dci_gbt_2k udr_lasso udr_spearman
linear_r2 elbo iwae_20 iwae_5000 kmeans_acc_hungarian kmeans_nmi kmeans_ari knn_purity probe_linear probe_logistic
probe_attributes cluster_acc_hungarian cluster_nmi cluster_ari cluster_cnn_acc classifier_accuracy attributes_balanced
recon_mse fid_10k fid_small_n500 fid_inf kid ffd64_* ffd64_1a2b3c ffd64_digitscnn_56c449 ffd64_digitscnn_56c449_inf
kfd64_digitscnn_56c449
kl_tc correlation gtc gwc mis
"""
RESULTS = Path(DIRECTORY).parent / "docs" / "results"
ABOUT = "setting seed batches seconds device data commit started job"


def test_every_key_keeps_its_direction():
    for way, names in {1: HIGHER, -1: LOWER, 0: NEITHER}.items():
        assert [name for name in names.split() if direction(name) != way] == []
        assert [name for name in names.split() if direction(f"eval/{name}") != way] == []
    directed = [*HIGHER.split(), *LOWER.split()]
    assert [name for name in directed if find_direction(name).group == EASY] == EASY_SCORES.split()


def test_the_tables_of_results_have_no_other_keys():
    if not RESULTS.is_dir():
        pytest.skip("the package is installed without docs")
    heads = {name for path in RESULTS.glob("*.csv") for name in path.read_text().split("\n")[0].split(",")}
    assert heads - {*ABOUT.split()} <= {*HIGHER.split(), *LOWER.split(), *NEITHER.split()}


def test_the_columns_of_a_report_keep_their_order():
    names = [*HIGHER.split(), *LOWER.split(), *NEITHER.split()]
    assert select_headline(names, {}) == HEADLINE.split()


def test_declarations_are_read_without_the_metrics():
    script = "import sys; from vaezoo.metrics.directions import direction; assert direction('mig_hist') == 1"
    script += "; assert not {'numpy', 'sklearn', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_source_declares_what_the_functions_carry():
    for name, declared in read_declarations().items():
        assert getattr(metrics, name).better == declared


def test_every_metric_has_a_declaration():
    """The declaration also brings the check of the arrays."""
    functions = {
        OmegaConf.load(path)[path.stem]._target_.rpartition(".")[2]
        for path in (Path(DIRECTORY) / "metric" / "score").glob("*.yaml")
    }
    assert functions <= set(read_declarations())


@Better(higher=("score",), lower=("error",), group="disentanglement")
def mine(codes, *, power=2):
    return {"score": float(codes.mean() ** power), "error": 0.5, "count": 3}


def test_the_direction_of_a_users_own_metric_is_recorded(tmp_path):
    inputs = Inputs(codes=np.eye(7, 2))
    scores = evaluate_metrics({"renamed": partial(mine, power=3)}, inputs, seed=0, repeats=1)
    best, least = Direction("higher", "disentanglement"), Direction("lower", "disentanglement")
    assert scores.directions == {"eval/renamed": best, "eval/renamed/error": least}
    folder = write_run(tmp_path / "run", {})
    records.write(scores, {"checkpoint": "abc"}, folder)
    assert json.loads((folder / "metrics.json").read_text())["directions"]["eval/renamed"] == "higher disentanglement"
    assert records.read(folder, "abc").directions == scores.directions

    assert direction("renamed") == 0
    recorded = collect_directions(read_runs([tmp_path]))
    assert [direction(name, recorded) for name in ("renamed", "eval/renamed/error", "renamed/count")] == [1, -1, 0]
    assert select_headline(["gtc", "elbo", "renamed"], recorded) == ["renamed", "elbo", "gtc"]
    assert select_ranked(["gtc", "elbo", "renamed"], recorded, named_by_user=False) == ["elbo", "renamed"]
    assert constants(partial(mine, power=3), inputs) == {"power": 3}


def test_the_recorded_direction_comes_first():
    assert direction("mig_hist", {"mig_hist": Direction("lower")}) == -1
    old = Scores({"eval/a": 1.0, "eval/b": 2.0}, {"eval/a": "a", "eval/b": "b"}, {"a": {}, "b": {}})
    old.directions = {"eval/a": Direction("higher"), "eval/b": Direction("lower")}
    newer = Scores({"eval/a": 1.0}, {"eval/a": "a"}, {"a": {}})
    assert old.replaced_by(newer).directions == {"eval/b": Direction("lower")}


def test_a_direction_that_cannot_be_read_makes_a_failed_run(tmp_path):
    folder = write_run(tmp_path / "run", {"elbo": 1.0})
    content = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**content, "directions": {"eval/elbo": "up"}}))
    assert "'up' is no direction of a score" in read_run(folder).error
