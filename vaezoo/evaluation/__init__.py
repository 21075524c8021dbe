"""From a trained model to scores and pictures.

table        each image encoded once; everything else indexes it
outputs      what model and table say, as the named arrays that metrics and figures ask for
decoded      images, and their `features`, for the scores that look at images
scores       metrics called with what their parameters name (`fixtures`); `records` keeps them in the run folder
pictures     figures called likewise; `embedding` lays codes out in the plane
codes        arrays from anywhere in place of a model
agreement    of the codes of many runs, for reports
calibration  batch-norm statistics of real images, before an encoder is scored
"""
