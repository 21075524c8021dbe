"""State the claims of Kumar et al. (2018), DIP-VAE."""

from papers.claims import Claim, Quantity, ahead, average, difference, lead, ratio, score, wins
from papers.experiments import SIZES, BestRow, Experiment, Paper, sweep

BETAS = (2, 4, 8, 16, 25, 32, 60, 64, 100, 128, 200, 256)
LAMBDAS = (1, 2, 5, 10, 20, 50)
BEST_BETA, BEST_DIP = "best beta-VAE", "best DIP-VAE-I"

BETA_VAES = sweep("beta-VAE {}", {"model": "betavae"}, "model.beta", BETAS)
DIP_VAES = sweep("DIP-VAE-I {}", {"model": "dipvae", "model.kind": "i"}, "model.lambda_od", LAMBDAS)

TRADEOFF = Experiment(
    name="kumar_tradeoff",
    title="Figure 1 and Table 1, left: the Higgins metric against the error of reconstruction on 2D Shapes (dSprites)",
    settings={
        "VAE": {"model": "vae"},
        **BETA_VAES,
        **DIP_VAES,
        **sweep("DIP-VAE-II {}", {"model": "dipvae", "model.kind": "ii"}, "model.lambda_od", LAMBDAS),
    },
    best_rows=(
        BestRow(BEST_BETA, tuple(BETA_VAES), by="higgins_svm"),
        BestRow(BEST_DIP, tuple(DIP_VAES), by="higgins_svm"),
    ),
    numbers={
        "VAE": {"higgins_svm": 0.813, "recon_mse": 0.0017},
        "beta-VAE 4": {"higgins_svm": 0.807, "recon_mse": 0.0032},
        "beta-VAE 60": {"higgins_svm": 0.957, "recon_mse": 0.0113},
        BEST_DIP: {"higgins_svm": 0.987, "recon_mse": 0.0018},
    },
    claims=(
        Claim(
            "DIP-VAE has the best metric of the table.",
            lead("higgins_svm", BEST_DIP, "VAE", "beta-VAE 4", "beta-VAE 60"),
            low=0,
        ),
        Claim(
            "It is better than the best beta-VAE of the sweep, too.",
            lead("higgins_svm", BEST_DIP, BEST_BETA),
            low=0,
            theirs="figure",
        ),
        Claim(
            "The error of that DIP-VAE is about the VAE's: within a quarter.",
            ratio("recon_mse", BEST_DIP, "VAE"),
            low=0.8,
            high=1.25,
        ),
        Claim(
            "beta-VAE pays for its metric with reconstruction: at beta 60, within a factor of two of the paper's.",
            ratio("recon_mse", "beta-VAE 60", "VAE"),
            low=3.3,
            high=13.3,
        ),
        Claim(
            "Its error grows with beta.",
            difference("recon_mse", "beta-VAE 60", "beta-VAE 4"),
            low=0,
        ),
        Claim(
            "Only a large beta raises the metric: 60 does.",
            lead("higgins_svm", "beta-VAE 60", "VAE"),
            low=0,
        ),
        Claim(
            "A beta of 4 does not: it stays within 0.05.",
            difference("higgins_svm", "beta-VAE 4", "VAE"),
            low=-0.05,
            high=0.05,
        ),
        Claim(
            "The codes of DIP-VAE are less correlated than the VAE's (table 3).",
            lead("correlation", BEST_DIP, "VAE"),
            low=0,
            theirs="pictures",
        ),
        Claim(
            "Those of beta-VAE are more correlated (table 3).",
            difference("correlation", "beta-VAE 4", "VAE"),
            low=0,
            theirs="pictures",
        ),
    ),
    data=dict.fromkeys(SIZES, "nothing: dSprites is rendered"),
    notes=(
        "The numbers after the names are beta and lambda_od; lambda_d is ten times that for DIP-VAE-I, which is the"
        " DIP-VAE of the paper.",
        "The best of a sweep is the setting with the highest mean metric: chosen on the quantity that is compared, as"
        " in the paper. That flatters it, the more so the fewer seeds there are.",
        "Beta 60, the best of the paper's table, is not in the sweep of its figure.",
        "The paper does not say which error per pixel it means; a mean squared error fits the VAE's 0.0017. Compare"
        " ratios, not values.",
        "Left open by the paper and chosen here: optimiser, batch size, budget, and which images are held out.",
        "The covariance is that of the batch. The paper has a running estimate, past ones held constant, and does not"
        " say over how many batches: averaged over ten it lets no model train here (docs/lessons.md).",
        "small: 1,500 batches at ten times the learning rate, three betas and three lambda_od. The VAE of seed 2 never"
        " left the plateau of the first batches: no latent is active, all it draws is the mean image. Its differences"
        " to the others are why so much is undecided; it stays in, since nothing but its result speaks against it.",
        "small: of the three other seeds, beta 60 has 2.8 ± 0.4 times the VAE's error, codes of beta-VAE 4 are 0.04 ±"
        " 0.02 less correlated than the VAE's, and the metric still tells no two models apart (-0.02 ± 0.04).",
    ),
    tried={
        "small": (
            "the running covariance, `python -m vaezoo.train -m experiment=kumar_tradeoff/small sweep.grids=[]"
            " sweep.name=running model=dipvae model.cov=running model.lambda_od=2,10,50 seed=0,1,2,3`: all twelve runs"
            " end at the mean image (recon_mse 0.038) and score 0.25.",
        )
    },
)

ATTRIBUTES = (
    *("Arched_Eyebrows", "Attractive", "Bangs", "Black_Hair", "Blond_Hair", "Heavy_Makeup"),
    *("Male", "Mouth_Slightly_Open", "No_Beard", "Wavy_Hair", "Wearing_Hat", "Wearing_Lipstick"),
)
ACCURACIES = {name: f"attribute_vectors/{name}/accuracy" for name in ATTRIBUTES}
TABLE_2 = {  # accuracies in per cent, in the order of ATTRIBUTES
    "VAE": (71.8, 73.0, 89.8, 78.0, 88.9, 79.6, 83.9, 76.3, 87.3, 70.2, 95.8, 83.0),
    "beta-VAE 2": (71.6, 72.6, 90.6, 79.3, 89.1, 79.3, 83.5, 76.1, 86.9, 67.8, 95.9, 82.4),
    "beta-VAE 4": (71.6, 72.6, 90.0, 76.6, 88.9, 77.8, 82.3, 75.7, 85.3, 66.8, 95.8, 80.6),
    "beta-VAE 8": (71.6, 71.7, 90.0, 76.0, 87.2, 76.2, 80.5, 73.1, 85.3, 63.7, 95.8, 79.6),
    BEST_DIP: (73.7, 73.2, 90.9, 80.6, 91.9, 81.5, 85.9, 75.9, 85.3, 71.5, 96.2, 84.7),
}
TABLE_1 = {
    "VAE": {"higgins_svm": 0.075, "recon_mse": 0.0876},
    "beta-VAE 4": {"higgins_svm": 0.081, "recon_mse": 0.0937},
    "beta-VAE 8": {"higgins_svm": 0.071, "recon_mse": 0.1065},
    BEST_DIP: {"higgins_svm": 0.1131, "recon_mse": 0.0911},
}


def mean_over_attributes(a: str, b: str) -> Quantity:
    """Return the difference of accuracies between the settings a and b, averaged over the attributes."""
    gains = [difference(name, a, b) for name in ACCURACIES.values()]
    return average(f"accuracy, mean of 12 attributes: {a} − {b}", gains)


FACES = Experiment(
    name="kumar_faces",
    title="Table 1, right, and Table 2: the Higgins metric, reconstruction, and attributes told from codes of CelebA",
    settings={
        "VAE": {"model": "vae"},
        **sweep("beta-VAE {}", {"model": "betavae"}, "model.beta", (2, 4, 8)),
        **DIP_VAES,
    },
    best_rows=(BestRow(BEST_DIP, tuple(DIP_VAES), by="higgins_svm"),),
    numbers={
        row: {**TABLE_1.get(row, {}), **dict(zip(ACCURACIES.values(), [value / 100 for value in values], strict=True))}
        for row, values in TABLE_2.items()
    },
    claims=(
        Claim(
            "DIP-VAE has the best metric of the table.",
            lead("higgins_svm", BEST_DIP, "VAE", "beta-VAE 4", "beta-VAE 8"),
            low=0,
        ),
        Claim(
            "A large beta does not raise the metric here: by less than a point.",
            difference("higgins_svm", "beta-VAE 8", "VAE"),
            high=0.01,
        ),
        Claim(
            "The error of that DIP-VAE is about the VAE's: within a quarter.",
            ratio("recon_mse", BEST_DIP, "VAE"),
            low=0.8,
            high=1.25,
        ),
        Claim(
            "beta-VAE pays with reconstruction: at beta 8, a tenth to a half more.",
            ratio("recon_mse", "beta-VAE 8", "VAE"),
            low=1.1,
            high=1.5,
        ),
        Claim(
            "Attributes are told best from codes of DIP-VAE: in more than half of the twelve.",
            wins(
                "attributes with the best accuracy, of 12",
                [
                    ahead(*(score(name, row) for row in (BEST_DIP, "VAE", "beta-VAE 2", "beta-VAE 4", "beta-VAE 8")))
                    for name in ACCURACIES.values()
                ],
            ),
            low=6.5,
        ),
        Claim("On average better than from the VAE's.", mean_over_attributes(BEST_DIP, "VAE"), low=0),
        Claim("From codes of a large beta worse.", mean_over_attributes("beta-VAE 8", "VAE"), high=0),
        Claim(
            "The codes of DIP-VAE are less correlated than the VAE's.",
            lead("correlation", BEST_DIP, "VAE"),
            low=0,
            theirs="pictures",
        ),
        Claim(
            "Those of beta-VAE are more correlated.",
            difference("correlation", "beta-VAE 8", "VAE"),
            low=0,
            theirs="pictures",
        ),
    ),
    data={"small": "CelebA", "paper": "CelebA"},
    notes=(
        "Left open by the paper and chosen here: which tenth of the images is held out (at random), the variance of the"
        " likelihood (1/2), optimiser, batch size and budget, and which DIP-VAE table 2 has: the one of table 1.",
        "Its errors are several times too large for a mean squared error in [0, 1]. Compare ratios, not values.",
        "Read the accuracies beside the rate of the more frequent answer (`majority` in metrics.json): some, such as"
        " that of Wearing_Hat, are hardly above it.",
        "Pictures: figures/top_attributes.png shows what figure 2 of the paper shows, figures/code_correlation.png what"
        " its tables of correlations show.",
        "small: 1,500 batches at ten times the learning rate.",
    ),
)

CHAIRS = Experiment(
    name="kumar_chairs",
    title="3D Chairs: the Higgins metric, which is 100 % for almost all models",
    settings={
        "VAE": {"model": "vae"},
        **sweep("beta-VAE {}", {"model": "betavae"}, "model.beta", (2, 4, 8, 16)),
        **DIP_VAES,
    },
    best_rows=(BestRow(BEST_DIP, tuple(DIP_VAES), by="higgins_svm"),),
    claims=tuple(
        Claim(f"{setting}: above 0.95.", score("higgins_svm", setting), low=0.95, theirs="almost 1")
        for setting in ("VAE", "beta-VAE 4", BEST_DIP)
    ),
    further_scores=("recon_mse",),
    data={"small": "3D Chairs", "paper": "3D Chairs"},
    notes=(
        "A metric that all models saturate does not tell them apart.",
        "small: 1,500 batches at ten times the learning rate, fewer weights.",
    ),
)

KUMAR = Paper(
    name="Kumar et al. (2018)",
    about="DIP-VAE: the aggregate posterior is drawn towards the prior by its covariance.",
    experiments=(TRADEOFF, FACES, CHAIRS),
)
