"""A report: run folders in, one HTML page and two tables out.

reading             run folders -> `Run`: configuration, scores, state, environment
settings            which keys differ, which runs differ in their seed alone
score_selection     which scores are shown, which make a rank
summary             intervals over seeds, ranks, fronts, rank correlations
report_data         `Report`: everything that is shown
csv_tables          the two tables
charts              curves as data
chart_drawing       the same for a browser and for paper
matched_traversals  traversals of several models, matched by the correlation of their codes
html_tables         tables of the page as data
sections            sections of the page as data
html_page           all of it as one file, by the HTML in templates/
"""
