# make train    set up, then train a first model, score it and draw it (about five minutes on two cores)
# make test     set up, then run the tests
# make docs     set up, then make the site of the documentation, build/site/index.html
# make help     list all targets

PYTHON ?= python3
PYTHON312 ?= 3.12
VENV   := .venv
BIN    := $(VENV)/bin
# uv does not read pip's setting for local wheels, so it gets the same value.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Without byte code, Python would compile every library again at each start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train results notebooks gallery docs test test-all matrix check format clean
.PHONY: bench bench-environments bench-steps bench-overhead bench-precision bench-floors bench-data bench-evaluation \
        bench-startup bench-rendering

help:            ## print this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

setup: $(VENV)/ready  ## make .venv with the versions of constraints.txt

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vaezoo needs Python 3.11 or newer; choose one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt
	touch $@

train: setup     ## train a DIP-VAE on dSprites, score it and draw it; options: make train ARGS="model.lambda_od=50 seed=1"
	$(BIN)/python -m vaezoo.train model=dipvae dataset=dsprites experiment=quickstart $(ARGS)

SIZE ?= small

reproduce-%: setup  ## reproduce a table or figure of a paper; % is a folder of conf/experiment; SIZE=small (default), smoke or paper; options: ARGS=launcher=joblib
	$(BIN)/python -m vaezoo.train -m experiment=$*/$(SIZE) $(ARGS)

results: setup   ## write docs/results.md: the claims of the papers beside our runs in multirun
	$(BIN)/python -m papers $(ARGS)

test: setup      ## run the tests, without a network; a part of them: make test ARGS="-k dipvae"
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal --durations=10 $(ARGS)

test-all: setup  ## run the slow tests, too: trainings of minutes
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

notebooks: setup ## run the notebooks of docs/notebooks again, with their pictures (about five minutes)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[notebooks]' -c constraints.txt
	cd docs/notebooks && ../../$(BIN)/jupyter-execute --inplace *.ipynb $(ARGS)

gallery: setup   ## train the models of docs/gallery and pack them (about ten minutes)
	$(BIN)/python docs/make_gallery.py $(ARGS)

docs: setup      ## make the site of docs/, build/site/index.html, whose links and search need no network (half a minute)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[docs]' -c constraints.txt
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -c docs -d build/doctrees . build/site $(ARGS)

matrix: setup    ## build the wheel and use it in new environments; options: make matrix ARGS="python=3.12 versions=lowest torch=2.13.0"
	$(BIN)/python tests/matrix.py $(ARGS)

check: setup     ## check style and types, change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup    ## let ruff repair style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each result is a line of docs/benchmarks.jsonl; the newest one of each device counts.
BENCH := $(BIN)/python benchmarks
KEPT  := results=docs/benchmarks.jsonl

bench: bench-steps bench-overhead bench-floors bench-data bench-evaluation bench-startup bench-rendering  ## measure speed and write docs/benchmarks.md; a shorter run: make bench ARGS=rounds=2
	$(BENCH)/write.py

bench-environments: setup ## install the packages that bench-steps compares with; if needed: PYTHON312=/path/to/python3.12
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .bench/pythae
	$(BIN)/uv pip install --quiet --python .bench/pythae/bin/python pythae -c constraints.txt
	$(BIN)/uv venv --quiet --clear --python $(PYTHON312) .bench/disent
	$(BIN)/uv pip install --quiet --python .bench/disent/bin/python disent -c constraints.txt

bench-steps: setup ## measure training steps a second: engines, a loop by hand, public packages
	$(BENCH)/steps.py $(KEPT) rounds=4 $(ARGS)
	$(BENCH)/steps.py $(KEPT) rounds=3 models=dipvae,betatcvae,factorvae,vaegan batch_sizes=64 engines=eager,graphed compile=0 $(ARGS)

bench-overhead: setup ## measure what a training step costs besides the work of the model
	$(BENCH)/step_overhead.py $(KEPT) rounds=6 $(ARGS)

bench-precision: setup ## measure steps in bfloat16 against float32, for processors that compute it
	$(BENCH)/precision.py $(ARGS)

bench-floors: setup ## count arithmetic and bytes of a step, and the time that they need here
	$(BENCH)/floors.py $(KEPT) $(ARGS)

bench-data: setup ## measure images a second, against a torch DataLoader with workers
	$(BENCH)/data_delivery.py $(KEPT) rounds=3 seconds=2 $(ARGS)

bench-evaluation: setup ## measure scores from stored codes, against loops that encode what they draw
	$(BENCH)/evaluation.py $(KEPT) rounds=2 $(ARGS)

bench-startup: setup ## measure seconds to the first batch, to --help, and to the answer to a typo
	$(BENCH)/startup.py $(KEPT) rounds=3 $(ARGS)

bench-rendering: setup ## measure rendering of dSprites and figures, against plain loops
	$(BENCH)/rendering.py $(KEPT) $(ARGS)

clean:           ## remove .venv, the site and caches; runs stay
	rm -rf $(VENV) .bench build/site build/doctrees .mypy_cache .ruff_cache .pytest_cache
