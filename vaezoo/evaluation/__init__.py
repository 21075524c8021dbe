"""From a trained model to scores and pictures.

evaluate_model   the whole of it
table            each image encoded once; everything else indexes the table
outputs          model and table: decoded images, traversals, samples
inputs           functions are handed what their parameters name
metric_inputs    what metrics may ask for; `features` of images are for scores that look at images
scores           the metrics computed; `records` keeps them in the run folder
floors           what codes without information get in each score
figure_inputs    what figures may ask for; `embedding` lays codes out in the plane
drawing          the figures drawn
foresight        which metrics and figures cannot be made, before a training begins
closing_table    the scores printed at the end of a run, with the `verdict`, which says in words what they mean
codes_file       arrays from anywhere in place of a model
udr              the agreement of the codes of many runs, for reports
calibration      batch normalisation re-estimated on real images, before an encoder is scored
"""
