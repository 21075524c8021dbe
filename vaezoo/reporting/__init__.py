"""A report: run folders in, one HTML page and two tables out.

reading     run folders -> `Run`: configuration, scores, state, what made it
settings    which keys differ, which runs differ in their seed alone
summary     intervals over seeds, ranks, fronts, rank correlations
charts      curves as data, for a browser and for paper
traversals  rows of several models matched by what their latents say
page        all of it as one file
"""
