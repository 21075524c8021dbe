"""The claims of the papers as data, and the page that compares them with our runs.

claims        claims, each a quantity and a region, and their verdicts
experiments   the parts of an experiment of a paper: settings, numbers, claims
chivukula, schik, yebors, kumar, pastrana   the papers; `library` lists them
records       run folders -> a table for each study, in docs/results
page          those tables -> docs/results.md
"""
