"""The papers beside our runs: what each claims, as data, and what became of it.

claims        a quantity, a region, and what runs say to it
experiments   what an experiment of a paper is: settings, its numbers, its claims
chivukula, schik, yebors, kumar, pastrana   the papers, all of them in `library`
records       run folders -> one table a study, kept in docs/results
page          those tables -> docs/results.md
"""
