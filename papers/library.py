"""List all papers in the order of the page."""

from papers.chivukula import CHIVUKULA
from papers.kumar import KUMAR
from papers.pastrana import PASTRANA
from papers.schik import SCHIK
from papers.yebors import YEBORS

PAPERS = (KUMAR, YEBORS, CHIVUKULA, SCHIK, PASTRANA)
EXPERIMENTS = {experiment.name: experiment for paper in PAPERS for experiment in paper.experiments}
