"""State the claims of Ye & Bors (2021): InfoVAEGAN and the supervised mutual-information VAE."""

from papers.claims import FAILED, HELD, UNDECIDED, Claim, Observation, Picture, ahead, lead, minus, score
from papers.experiments import SIZES, Experiment, Keys, Paper

OURS: Keys = {"model": "infovaegan", "model.mutual_information": True}
ABLATION: Keys = {"model": "infovaegan", "model.mutual_information": False}
WITHOUT = "InfoVAEGAN without MI"
# Clusters are matched with classes one-to-one where there are as many of them, otherwise by majority.
ONE_TO_ONE, MAJORITY = "cluster_acc_hungarian", "cluster_acc_majority"
OF_CNN = minus(score("cluster_cnn_acc", "InfoVAEGAN"), score(ONE_TO_ONE, "InfoVAEGAN"), "accuracy: CNN − its teacher")

CLUSTERS = Experiment(
    name="yebors_clusters",
    title="Table 1, MNIST: unsupervised accuracy",
    settings={
        "InfoVAEGAN": OURS,
        "InfoGAN": {"model": "infogan"},
        "GMVAE 30": {"model": "gmvae", "model.clusters": 30},
        "GMVAE 16": {"model": "gmvae", "model.clusters": 16},
        "AAE 16": {"model": "aaecluster", "latent.categories": [16]},
        "CatGAN 30": {"model": "catgan", "latent.categories": [30]},
        "CatGAN 20": {"model": "catgan", "latent.categories": [20]},
        "DEC 10": {"model": "dec"},
        "PixelGAN 30": {"model": "pixelgan"},
    },
    numbers={
        "InfoVAEGAN": {ONE_TO_ONE: 0.9565, "cluster_cnn_acc": 0.9645},
        "InfoGAN": {ONE_TO_ONE: 0.9335},
        "GMVAE 30": {MAJORITY: 0.8927},
        "GMVAE 16": {MAJORITY: 0.8782},
        "AAE 16": {MAJORITY: 0.9045},
        "CatGAN 30": {MAJORITY: 0.9573},
        "DEC 10": {ONE_TO_ONE: 0.8430},
        "PixelGAN 30": {MAJORITY: 0.9473},
    },
    claims=(
        Claim(
            "The CNN that learns from InfoVAEGAN is the best of the table.",
            ahead(
                score("cluster_cnn_acc", "InfoVAEGAN"),
                *(score(ONE_TO_ONE, row) for row in ("InfoVAEGAN", "InfoGAN", "DEC 10")),
                *(score(MAJORITY, row) for row in ("GMVAE 30", "GMVAE 16", "AAE 16", "CatGAN 30", "PixelGAN 30")),
            ),
            low=0,
        ),
        Claim("It is a little better than its teacher: by less than 3 points.", OF_CNN, low=0, high=0.03),
        Claim("InfoVAEGAN is better than InfoGAN.", lead(ONE_TO_ONE, "InfoVAEGAN", "InfoGAN"), low=0),
        Claim(
            "And better than GMVAE, AAE, PixelGAN and DEC.",
            ahead(
                score(ONE_TO_ONE, "InfoVAEGAN"),
                score(ONE_TO_ONE, "DEC 10"),
                *(score(MAJORITY, row) for row in ("GMVAE 30", "GMVAE 16", "AAE 16", "PixelGAN 30")),
            ),
            low=0,
        ),
        Claim(
            "It is right for 96 of 100 digits, give or take three.",
            score(ONE_TO_ONE, "InfoVAEGAN"),
            low=0.93,
            high=0.99,
            only="paper",
        ),
    ),
    further_scores=("cluster_acc_exemplar",),
    data={"small": "nothing but scikit-learn's digits", "paper": "MNIST"},
    substitute="scikit-learn's digits for MNIST",
    notes=(
        "The number after a name is that of clusters. Ten clusters are named one-to-one by the classes, more of them by"
        " majority, which more clusters make easier; the paper does not say how it did. Authors of some rows name a"
        " cluster by its surest image (cluster_acc_exemplar).",
        "The paper's K = 1 for its own rows means one model, which has ten categories. The other rows are quoted there"
        " from other papers, some of which report averages and some single runs.",
        "Networks of CatGAN and PixelGAN are ours; the paper's InfoVAEGAN on MNIST has no published settings:"
        " networks of InfoGAN, 50 epochs.",
        "small: digits of 8x8 pixels in place of MNIST, 2,000 batches, settings of docs/adversarial.md, some of which"
        " were chosen by looking at these accuracies.",
    ),
    tried={
        "small": (
            "6,000 batches for InfoVAEGAN (`python -m vaezoo.train -m experiment=yebors_clusters/small sweep.grids=[]"
            " sweep.name=tried model=infovaegan network=mlpgan max_batches=6000 seed=0,1,2`): 0.70, 0.72 and 0.61 in"
            " place of 0.63, 0.66 and 0.61, still below InfoGAN's mean and DEC's.",
            "with InfoVAEGAN2, whose clusters are learned in the same way (`... experiment=yebors_reconstructions/small"
            " sweep.grids=[] sweep.name=tried model=infovaegan2 network=mlpgan 'metric=[score/reconstruction,"
            "score/clustering]' seed=0,1,2`): at the rates that Fashion-MNIST has, `model.optimizers.critic.lr=1e-3"
            " model.optimizers.generator.lr=5e-4`, 0.68, 0.63 and 0.58; at a tenth of the rate of the information step,"
            " `model.optimizers.information.lr=1e-4`, 0.72, 0.66 and 0.73, about InfoGAN's, still below DEC's.",
        )
    },
)

FASHION = Experiment(
    name="yebors_fashion",
    title="Table 1, Fashion-MNIST: unsupervised accuracy",
    settings={"InfoVAEGAN": OURS, WITHOUT: ABLATION, "InfoGAN": {"model": "infogan"}},
    numbers={
        "InfoVAEGAN": {ONE_TO_ONE: 0.5124, "cluster_cnn_acc": 0.5146},
        "InfoGAN": {ONE_TO_ONE: 0.3980},
    },
    claims=(
        Claim("InfoVAEGAN is better than InfoGAN.", lead(ONE_TO_ONE, "InfoVAEGAN", "InfoGAN"), low=0),
        Claim("The CNN that learns from it is a little better: by less than 3 points.", OF_CNN, low=0, high=0.03),
        Claim(
            "Without the mutual information its categories say nothing of what was generated.",
            score("train/mi_s", WITHOUT),
            high=0,
            is_ours=True,
        ),
        Claim(
            "With it they say nearly all: 2 of ln 10 = 2.3 nats.",
            score("train/mi_s", "InfoVAEGAN"),
            low=2,
            is_ours=True,
        ),
        Claim(
            "And images are sorted better with it than without.",
            lead(ONE_TO_ONE, "InfoVAEGAN", WITHOUT),
            low=0,
            is_ours=True,
        ),
    ),
    further_scores=("recon_mse",),
    data={"small": "Fashion-MNIST", "paper": "Fashion-MNIST"},
    notes=(
        "train/mi_s is the bound on the information between a category and the image made from it, at the end of"
        " training; that it falls below 0 without its term is what the method leads one to expect, and measured by us.",
        "small: fully connected networks, 1,000 batches; rates chosen by looking at samples and at these accuracies"
        " (docs/adversarial.md).",
    ),
)

FACTOR, CODES = "factor_vae", "factor_vae_continuous"

SCORES = Experiment(
    name="yebors_scores",
    title="Table 2: the FactorVAE metric on dSprites, ten latents",
    settings={
        "InfoVAEGAN": OURS,
        "beta-VAE": {"model": "betavae", "model.beta": 4},
        "FactorVAE": {"model": "factorvae"},
        "JointVAE": {"model": "jointvae"},
        "InfoVAE": {"model": "infovae"},
        "Guided-VAE": {"model": "guidedvae"},
        "Guided-TCVAE": {"model": "guidedtcvae"},
    },
    numbers={
        "InfoVAEGAN": {CODES: 0.81},
        "beta-VAE": {FACTOR: 0.73},
        "FactorVAE": {FACTOR: 0.82},
        "JointVAE": {FACTOR: 0.69},
        "InfoVAE": {FACTOR: 0.72},
        "Guided-VAE": {FACTOR: 0.66},
        "Guided-TCVAE": {FACTOR: 0.72},
    },
    claims=(
        Claim(
            "FactorVAE is the best of the VAEs.",
            lead(FACTOR, "FactorVAE", "beta-VAE", "JointVAE", "InfoVAE", "Guided-VAE", "Guided-TCVAE"),
            low=0,
        ),
        Claim(
            "InfoVAEGAN is better than all of them but FactorVAE.",
            ahead(
                score(CODES, "InfoVAEGAN"),
                *(score(FACTOR, row) for row in ("beta-VAE", "JointVAE", "InfoVAE", "Guided-VAE", "Guided-TCVAE")),
            ),
            low=0,
        ),
        Claim(
            "It is as good as FactorVAE: within 0.05.",
            minus(score(CODES, "InfoVAEGAN"), score(FACTOR, "FactorVAE")),
            low=-0.05,
            high=0.05,
        ),
        Claim(
            "JointVAE and Guided-VAE are the last: beta-VAE is better than both.",
            lead(FACTOR, "beta-VAE", "JointVAE", "Guided-VAE"),
            low=0,
        ),
        Claim("Guided-TCVAE is better than Guided-VAE.", lead(FACTOR, "Guided-TCVAE", "Guided-VAE"), low=0),
    ),
    further_scores=("mig_hist", "recon_mse"),
    data=dict.fromkeys(SIZES, "nothing: dSprites is rendered"),
    notes=(
        "The paper quotes single numbers from other papers, which differ in protocol; here all have one, that of"
        " docs/metrics.md. Differences of a few hundredths are within what seeds differ by.",
        "InfoVAEGAN is scored by its ten continuous codes (factor_vae_continuous), JointVAE by six and a category of"
        " three.",
        "The paper gives no settings for these rows: those of the models' own papers where they are known. Guided-VAE"
        " has none for dSprites.",
        "small: 1,500 batches at ten times the learning rate, capacities of JointVAE that grow in that time; for"
        " InfoVAEGAN 3,000 batches and two fully connected layers of 256 units with batch normalisation. That is too"
        " early to tell the VAEs apart: seeds of one model differ by up to 0.22. Two of three JointVAEs never began to"
        " learn; they stay in.",
        "small: the rate of InfoVAEGAN's critic, 1e-3, was chosen by looking at samples, not at scores. With it seed 0"
        " draws blobs in the sizes and places of sprites, seeds 1 and 2 noise.",
    ),
    tried={
        "small": (
            "InfoVAEGAN with the authors' rate of the critic (`python -m vaezoo.train -m experiment=yebors_scores/small"
            " sweep.grids=[] sweep.name=tried model=infovaegan network=mlpgan latent.dim=10 latent.noise=62"
            " max_batches=1000 seed=0,1,2`): it draws no sprites, recon_mse 0.33, the score 0.39.",
            "the same with `max_batches=3000 model.optimizers.critic.lr=1e-3 model.optimizers.information.lr=1e-4"
            " seed=1,2`, a tenth of the rate of its information step: seed 1 draws blobs, seed 2 noise, and the score"
            " is 0.51 and 0.46.",
            "the VAEs with one fully connected layer of 500 units (`python -m vaezoo.train -m"
            " experiment=yebors_scores/small network=mlpk max_batches=1000 sweep.name=tried`): 0.32 to"
            " 0.46, InfoVAE last, nothing told apart; after 3,000 batches (seed 0) beta-VAE 0.42, FactorVAE 0.46.",
        )
    },
)

FACES, CHAIRS, CLOTHES = "CelebA", "3D Chairs", "Fashion-MNIST"
BY_DATA: dict[str, Keys] = {
    "beta-VAE": {"model": "betavae"},
    "JointVAE": {"model": "jointvae"},
    "InfoVAE": {"model": "infovae"},
    "InfoVAEGAN": OURS,
    WITHOUT: ABLATION,
    "InfoGAN": {"model": "infogan"},
    "ALI": {"model": "ali"},
}


def name_settings(data: str, *models: str) -> tuple[str, ...]:
    """Return the names of the settings of models on a data set."""
    return tuple(f"{data}: {model}" for model in models)


def claim_orders(data: str, name: str, size: str) -> tuple[Claim, ...]:
    """Return claims about the order of models by a score, which the bars of the figure show."""
    gans = name_settings(data, "InfoVAEGAN", WITHOUT, "InfoGAN", "ALI")
    vaes = name_settings(data, "beta-VAE", "JointVAE")
    ours, without, infovae = name_settings(data, "InfoVAEGAN", WITHOUT, "InfoVAE")
    quantities = {
        "every GAN is better than beta-VAE and JointVAE": lead(name, gans, *vaes),
        "InfoVAEGAN is better than InfoVAE": lead(name, ours, infovae),
        "mutual information costs quality, it is better without": lead(name, without, ours),
    }
    return tuple(
        Claim(f"{data}: {text}.", quantity, low=0, theirs="figure", only=size) for text, quantity in quantities.items()
    )


FID = Experiment(
    name="yebors_fid",
    title="Figure 20: FID of samples of GANs and VAEs on CelebA and 3D Chairs",
    settings={
        f"{data}: {model}": {"dataset": dataset, **keys}
        for data, dataset in ((FACES, "celeba"), (CHAIRS, "chairs3d"), (CLOTHES, "fashionmnist"))
        for model, keys in BY_DATA.items()
    },
    claims=(
        *claim_orders(FACES, "fid_10k", "paper"),
        *claim_orders(CHAIRS, "fid_10k", "paper"),
        *claim_orders(CLOTHES, "ffd64_*", "small"),
    ),
    further_scores=("laplacian_var_samples",),
    data={"small": CLOTHES, "paper": "CelebA, 3D Chairs and the weights of Inception"},
    substitute=f"{CLOTHES} for CelebA and 3D Chairs",
    notes=(
        "The figure has bars without numbers: orders alone can be compared.",
        "ffd64_* is a Frechet distance in the features of a small network that learned the classes of the data set."
        " It is no FID and compares with none.",
        "small: Fashion-MNIST in place of both, fully connected networks, 1,000 batches, rates chosen by looking at"
        " samples (docs/adversarial.md).",
    ),
    tried={
        "small": (
            "a tenth of the rate of InfoVAEGAN's information step, and 4,000 batches (`python -m vaezoo.train -m"
            " experiment=yebors_fid/small sweep.grids=[] sweep.name=tried model=infovaegan"
            " model.optimizers.critic.lr=1e-3 model.optimizers.generator.lr=5e-4"
            " model.optimizers.information.lr=1e-4,1e-3 max_batches=4000`, seed 0): a distance of 50, as the VAEs; with"
            " the default rate, 1e-3, 648: all samples are one pattern of pixels. By that rate InfoVAEGAN fails.",
        )
    },
)

VAE_ANGLE, OF_Z = "probe_logistic", "probe_logistic_continuous"
TURNED = {"rotatedmnist": "MNIST: ", "rotatedfashionmnist": "Fashion: ", "rotateddigits": ""}


def claim_transfer(prefix: str, size: str) -> tuple[Claim | Picture, ...]:
    """Return claims about the angle and the style of turned images of one data set."""
    claims: list[Claim] = []
    for encoders in ("single", "dual"):
        model = f"{prefix}MI-VAE, {encoders}"
        claims += [
            Claim(
                f"{prefix}s has learned the angle ({encoders} encoder): it is right for more than nine of ten images.",
                score(ONE_TO_ONE, model),
                low=0.9,
                theirs="pictures",
                only=size,
            ),
            Claim(
                f"{prefix}z knows less of it than the codes of a VAE do ({encoders} encoder).",
                minus(score(VAE_ANGLE, f"{prefix}VAE"), score(OF_Z, model), f"angle told from codes: VAE − {model}"),
                low=0,
                theirs="pictures",
                only=size,
            ),
        ]
    figure = f"figures/swap.png of {prefix}MI-VAE"
    text = "the angle is that of s in every image; the drawing is kept but blurred, some 2 beyond recognition"
    picture = Picture(
        "Swapped s turns a drawing and keeps its style.", figure, {"small": Observation(HELD, text)}, only=size
    )
    return (*claims, picture)


TRANSFER = Experiment(
    name="yebors_transfer",
    title="Section 3, figures 3 to 10: angle and style of turned images, kept apart with labels",
    settings={
        f"{prefix}{model}": {"dataset": dataset, **keys}
        for dataset, prefix in TURNED.items()
        for model, keys in {
            "MI-VAE, single": {"model": "mivae", "model.encoders": "single"},
            "MI-VAE, dual": {"model": "mivae", "model.encoders": "dual"},
            "VAE": {"model": "vae"},
        }.items()
    },
    claims=(
        *claim_transfer("", "small"),
        *claim_transfer("MNIST: ", "paper"),
        *claim_transfer("Fashion: ", "paper"),
    ),
    further_scores=("recon_mse",),
    data={"small": "nothing but scikit-learn's digits", "paper": "MNIST and Fashion-MNIST"},
    substitute="scikit-learn's digits for MNIST and Fashion-MNIST",
    notes=(
        "The paper has pictures alone; the scores are our reading of them. A linear classifier looks for the angle in"
        " z; the VAE shows what z knows when nobody keeps it out.",
        "Left open by the paper and chosen here: the weights of its two terms (1), its classifier, its temperature. As"
        " printed, equations 12 to 14 do not say what is meant (docs/lessons.md).",
        "small: turned digits of ten classes in place of one class, drawings that were not seen at any angle, weights"
        " of 10: those were chosen by looking at these scores.",
    ),
)

RECONSTRUCTIONS = Experiment(
    name="yebors_reconstructions",
    title="Reconstructions of MNIST: InfoVAEGAN2, InfoVAEGAN, ALI and InfoGAN",
    settings={
        "InfoVAEGAN2": {"model": "infovaegan2"},
        "InfoVAEGAN": OURS,
        "InfoGAN": {"model": "infogan"},
        "ALI": {"model": "ali"},
    },
    claims=(
        Claim(
            "InfoVAEGAN2 reconstructs better than InfoVAEGAN.",
            lead("recon_mse", "InfoVAEGAN2", "InfoVAEGAN"),
            low=0,
            theirs="pictures",
        ),
        Claim(
            "And better than ALI and InfoGAN.",
            lead("recon_mse", "InfoVAEGAN2", "ALI", "InfoGAN"),
            low=0,
            theirs="pictures",
        ),
        Claim(
            "InfoVAEGAN reconstructs better than ALI and InfoGAN, too.",
            lead("recon_mse", "InfoVAEGAN", "ALI", "InfoGAN"),
            low=0,
            theirs="pictures",
        ),
        Picture(
            "The same, by eye.",
            "figures/reconstructions.png of all",
            {
                "small": Observation(
                    FAILED,
                    "InfoVAEGAN2's are soft and nearest; InfoVAEGAN's fall into single pixels, most of all a 7;"
                    " InfoGAN's and ALI's are whole, some of them another digit",
                )
            },
        ),
    ),
    further_scores=("laplacian_var_reconstructions",),
    data={"small": "nothing but scikit-learn's digits", "paper": "MNIST"},
    substitute="scikit-learn's digits for MNIST",
    notes=(
        "The paper has pictures alone; the squared error is our reading of them. InfoVAEGAN and InfoGAN reconstruct"
        " with noise drawn anew, InfoVAEGAN2 without noise.",
        "small: digits of 8x8 pixels in place of MNIST, fully connected networks, 2,000 batches.",
    ),
    tried={
        "small": (
            "6,000 batches for InfoVAEGAN, as in yebors_clusters: recon_mse 0.086, 0.098 and 0.071, no nearer to ALI's"
            " and InfoGAN's 0.053. Its second generator has 0.034 to 0.039 with the rates of Fashion-MNIST, too.",
        )
    },
)

CODES_SEEN = Experiment(
    name="yebors_codes",
    title="Figures 12 to 19: what categories and continuous codes of InfoVAEGAN change",
    settings={
        "digits": {"dataset": "digits", **OURS},
        CLOTHES: {"dataset": "fashionmnist", **OURS},
        "MNIST": {"dataset": "mnist", **OURS},
        FACES: {"dataset": "celeba", **OURS},
        CHAIRS: {"dataset": "chairs3d", **OURS},
    },
    claims=(
        Picture(
            "The category is the digit.",
            "figures/category_traversals.png of digits, MNIST",
            {"small": Observation(UNDECIDED, "some categories keep a 0 or a 4, others change the digit along a code")},
        ),
        Picture(
            "Continuous codes are its rotation and stroke.",
            "figures/category_traversals.png of digits, MNIST",
            {
                "small": Observation(
                    UNDECIDED, "the second code slants strokes from right to left, digits change on the way"
                )
            },
        ),
        Picture(
            "The category is the kind of clothes.",
            "figures/category_traversals.png of Fashion-MNIST",
            {
                "small": Observation(
                    FAILED, "clothes in grain, and the codes change their kind as much as the category does"
                )
            },
            only="small",
        ),
        Picture(
            "On 3D Chairs five codes have a meaning, among them size and size of the legs.",
            "figures/traversals.png of 3D Chairs",
            only="paper",
        ),
        Picture(
            "On CelebA eight: gender, colour of the skin, azimuth, emotion, hair style, moustache, width, fringe.",
            "figures/traversals.png of CelebA",
            only="paper",
        ),
        Picture(
            "Faces are not reconstructed exactly, but keep their azimuth.",
            "figures/reconstructions.png of CelebA",
            only="paper",
        ),
    ),
    further_scores=(ONE_TO_ONE, "recon_mse"),
    data={"small": CLOTHES, "paper": "MNIST, CelebA and 3D Chairs"},
    substitute=f"{CLOTHES} for MNIST, CelebA and 3D Chairs",
    notes=("small: digits of 8x8 pixels and Fashion-MNIST, fully connected networks (docs/adversarial.md).",),
)

YEBORS = Paper(
    name="Ye & Bors (2021)",
    about="InfoVAEGAN: a GAN whose codes an encoder learns to read; and a VAE that keeps a label out of its codes.",
    experiments=(CLUSTERS, FASHION, SCORES, FID, TRANSFER, RECONSTRUCTIONS, CODES_SEEN),
)
