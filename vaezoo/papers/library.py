"""All papers, in the order of the page."""

from vaezoo.papers.chivukula import CHIVUKULA
from vaezoo.papers.kumar import KUMAR
from vaezoo.papers.pastrana import PASTRANA
from vaezoo.papers.schik import SCHIK
from vaezoo.papers.yebors import YEBORS

PAPERS = (KUMAR, YEBORS, CHIVUKULA, SCHIK, PASTRANA)
EXPERIMENTS = {experiment.name: experiment for paper in PAPERS for experiment in paper.experiments}
