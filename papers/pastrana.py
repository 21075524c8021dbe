"""State the claims of Pastrana: VAEs on MNIST over numbers of latents and betas, with and without the class."""

from itertools import pairwise

from papers.claims import (
    HELD,
    UNDECIDED,
    Claim,
    Observation,
    Picture,
    average,
    combine,
    difference,
    minus,
    over,
    ratio,
    score,
)
from papers.experiments import Experiment, Paper, sweep

FROM_3, FROM_10 = difference("elbo", "10 latents", "3 latents"), difference("elbo", "200 latents", "10 latents")
ENOUGH = score("elbo", "200 latents")

LATENTS = Experiment(
    name="pastrana_latents",
    title="Figures of the VAE: the bound and the share of the KL over the number of latents",
    settings=sweep("{} latents", {"model": "vae"}, "latent.dim", (3, 5, 10, 20, 200)),
    numbers={"3 latents": {"kl_ratio": 0.06}, "200 latents": {"kl_ratio": 0.25}},
    claims=(
        Claim("Ten latents reach a higher bound than three.", FROM_3, low=0, theirs="figure"),
        Claim(
            "More than ten change little: 200 gain or lose less than a quarter of what the step from 3 to 10 gained.",
            over(FROM_10, FROM_3, "elbo: (200 − 10 latents) / (10 − 3 latents)"),
            low=-0.25,
            high=0.25,
            theirs="figure",
        ),
        Claim(
            "Nor do they overfit: with 200, training images are at most a twentieth better off than held-out ones.",
            over(minus(ENOUGH, score("train/elbo", "200 latents")), ENOUGH, "200 latents: (elbo − train/elbo) / elbo"),
            high=0.05,
            theirs="figure",
            only="paper",
        ),
        Claim(
            "The share of the KL in the objective grows from 3 to 200 latents.",
            difference("kl_ratio", "200 latents", "3 latents"),
            low=0,
        ),
        Claim("It is about 6 % with 3.", score("kl_ratio", "3 latents"), low=0.04, high=0.09, only="paper"),
        Claim("And about 25 % with 200.", score("kl_ratio", "200 latents"), low=0.18, high=0.33, only="paper"),
    ),
    further_scores=("rec", "kl", "active_units"),
    data={"small": "Fashion-MNIST", "paper": "MNIST"},
    substitute="Fashion-MNIST for MNIST",
    notes=(
        "The paper's numbers are read from its text. Nats of grey images under a Bernoulli likelihood are a"
        " cross-entropy: they compare among runs on one data set, and the shares of two data sets do not compare.",
        "small: Fashion-MNIST in place of MNIST, five epochs of the 200. Few epochs cannot overfit, so that the claim"
        " about it is judged in the paper's size alone.",
    ),
)

BETAS = (1, 3, 5, 10, 20)
SHARE = "kl_ratio_weighted"


def claim_lower_with_class(beta: int) -> Claim:
    """Return the claim that the class lowers the objective at a beta."""
    return Claim(
        f"At beta {beta} the objective of the conditional model is lower.",
        difference("neg_elbo_beta", f"conditional {beta}", f"beta-VAE {beta}"),
        high=0,
        theirs="-20" if beta == 5 else "figure",
    )


BETA = Experiment(
    name="pastrana_betas",
    title="Figures of the beta-VAE: objective, share of the KL and idle latents over beta, with and without the class",
    settings={
        **sweep("beta-VAE {}", {"model": "betavae"}, "model.beta", BETAS),
        **sweep("conditional {}", {"model": "cvae"}, "model.beta", BETAS),
    },
    claims=(
        Claim(
            "The objective at beta 10 is almost 70 % above that at beta 1.",
            ratio("neg_elbo_beta", "beta-VAE 10", "beta-VAE 1"),
            low=1.5,
            high=1.85,
            theirs="1.7",
            only="paper",
        ),
        *(claim_lower_with_class(beta) for beta in BETAS[:4]),
        Claim(
            "By about 15 %, between 10 and 20.",
            average(
                "neg_elbo_beta: conditional / beta-VAE, mean of beta 1, 3, 5 and 10",
                [ratio("neg_elbo_beta", f"conditional {beta}", f"beta-VAE {beta}") for beta in BETAS[:4]],
            ),
            low=0.8,
            high=0.9,
            theirs="0.85; 140/160 = 0.875 at beta 5",
            only="paper",
        ),
        Claim(
            "The objective grows from each beta to the next (figure 6a).",
            combine(
                "neg_elbo_beta: least step of beta 1, 3, 5, 10",
                [
                    difference("neg_elbo_beta", f"beta-VAE {larger}", f"beta-VAE {smaller}")
                    for smaller, larger in pairwise(BETAS[:4])
                ],
                min,
            ),
            low=0,
            theirs="figure",
        ),
        Claim(
            "The share of the weighted KL shrinks from beta 1 to 5.",
            difference(SHARE, "beta-VAE 5", "beta-VAE 1"),
            high=0,
            theirs="figure",
        ),
        Claim(
            "And falls at beta 10.",
            difference(SHARE, "beta-VAE 10", "beta-VAE 5"),
            high=0,
            theirs="a caption says so, the text does not",
        ),
        Claim(
            "In the conditional model it grows from beta 1 to 5 (figure 6b).",
            difference(SHARE, "conditional 5", "conditional 1"),
            low=0,
            theirs="0.15 to just over 0.20",
        ),
        Claim(
            "There it is lowest at beta 10, even below that at beta 1 (figure 6b).",
            difference(SHARE, "conditional 10", "conditional 1"),
            high=0,
            theirs="0.10 − 0.15",
        ),
        Claim(
            "And falls at beta 10, to almost half.",
            ratio(SHARE, "conditional 10", "conditional 5"),
            low=0.3,
            high=0.7,
            theirs="0.10 / 0.20",
        ),
        Claim(
            "Seven of the ten latents of the conditional model do nothing at beta 10.",
            score("neutral_latents", "conditional 10"),
            low=6,
            high=8,
            theirs="7",
        ),
        Picture(
            "The other three are weight, tilt and width.",
            "figures/class_traversals.png of conditional 10",
            {
                "small": Observation(
                    UNDECIDED, "clothes: one is brightness in all classes, one length, one hardly anything"
                )
            },
        ),
        Picture(
            "At beta 20 digits cannot be recognised.",
            "figures/reconstructions.png of beta-VAE 20",
            {"small": Observation(HELD, "clothes are blurs: a coat comes back as trousers, a bag as a shoe")},
        ),
    ),
    further_scores=("elbo", "active_units"),
    data={"small": "Fashion-MNIST", "paper": "MNIST"},
    substitute="Fashion-MNIST for MNIST",
    notes=(
        "The number after a name is beta. The objective is beta KL − rec, which the paper calls the negative ELBO; the"
        " share of the KL in it is beta KL divided by that, as its code logs it.",
        "The paper says that the conditional objective is 15 % lower throughout; its own example, 160 and 140, is"
        " 12.5 %.",
        "small: Fashion-MNIST in place of MNIST, clothes in place of digits, three epochs of the 200. The entropy of"
        " its grey pixels is part of the objective, so ratios of objectives are not compared there.",
    ),
    tried={
        "small": (
            "ten epochs (`python -m vaezoo.train -m experiment=pastrana_betas/small sweep.grids=[] sweep.name=tried"
            " model=betavae,cvae model.beta=5,10 max_epochs=10`, seed 0): the share still grows from beta 5 to 10,"
            " 0.106 to 0.119, and with the class it falls by less, 0.059 to 0.053.",
        )
    },
)

PASTRANA = Paper(
    name="Pastrana",
    about="How many latents a VAE uses on MNIST, and what beta and the class change.",
    experiments=(LATENTS, BETA),
)
