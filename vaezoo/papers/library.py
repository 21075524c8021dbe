"""All papers, in the order of the page."""

from vaezoo.papers.kumar import KUMAR

PAPERS = (KUMAR,)
EXPERIMENTS = {experiment.name: experiment for paper in PAPERS for experiment in paper.experiments}
