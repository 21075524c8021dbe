# make train    set up, then train, score and show a DIP-VAE on dSprites (about five minutes on two cores)
# make test     set up, then run all the tests
# make help     everything else

PYTHON ?= python3
PYTHON312 ?= 3.12
VENV   := .venv
BIN    := $(VENV)/bin
# uv looks for local wheels where pip is told to.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Without byte code every start would compile all of its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train results test test-all check format clean
.PHONY: bench bench-environments bench-steps bench-overhead bench-floors bench-data bench-evaluation \
        bench-startup bench-rendering

help:            ## this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

setup: $(VENV)/ready  ## make .venv from constraints.txt

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vaezoo needs Python 3.11 or newer; choose one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt
	touch $@

train: setup     ## train, score and show a DIP-VAE on dSprites; more: make train ARGS="model.lambda_od=50 seed=1"
	$(BIN)/python -m vaezoo.train model=dipvae dataset=dsprites experiment=quickstart $(ARGS)

SIZE ?= small

reproduce-%: setup  ## a table or figure of a paper; % is a folder of conf/experiment; SIZE=small (as it is), smoke or paper; more: ARGS=launcher=joblib
	$(BIN)/python -m vaezoo.train -m experiment=$*/$(SIZE) $(ARGS)

results: setup   ## docs/results.md: what the papers claim beside the runs that are in multirun
	$(BIN)/python -m papers $(ARGS)

test: setup      ## the tests, without network, fifteen to twenty minutes on two cores; more: make test ARGS="-k dipvae"
	$(BIN)/python -m pytest -m "not slow" -n auto $(ARGS)

test-all: setup  ## the slow tests too
	$(BIN)/python -m pytest -n auto $(ARGS)

check: setup     ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup    ## let ruff write
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Results are lines of docs/benchmarks.jsonl, of which the newest of each device counts.
BENCH := $(BIN)/python benchmarks
KEPT  := results=docs/benchmarks.jsonl

bench: bench-steps bench-overhead bench-floors bench-data bench-evaluation bench-startup bench-rendering  ## all measurements of speed, into docs/benchmarks.md; shorter: make bench ARGS=rounds=2
	$(BENCH)/write.py

bench-environments: setup ## the packages that bench-steps compares with; more: make bench-environments PYTHON312=/path/to/python3.12
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .bench/pythae
	$(BIN)/uv pip install --quiet --python .bench/pythae/bin/python pythae -c constraints.txt
	$(BIN)/uv venv --quiet --clear --python $(PYTHON312) .bench/disent
	$(BIN)/uv pip install --quiet --python .bench/disent/bin/python disent -c constraints.txt

bench-steps: setup ## training steps a second: engines, a loop by hand, public packages
	$(BENCH)/steps.py $(KEPT) rounds=4 $(ARGS)
	$(BENCH)/steps.py $(KEPT) rounds=3 models=dipvae,betatcvae,factorvae,vaegan batch_sizes=64 engines=eager,graphed compile=0 $(ARGS)

bench-overhead: setup ## what a training step costs beside the model's own work
	$(BENCH)/step_overhead.py $(KEPT) rounds=6 $(ARGS)

bench-floors: setup ## arithmetic and bytes of a step, and the time they need here
	$(BENCH)/floors.py $(KEPT) $(ARGS)

bench-data: setup ## images a second from the store against a torch DataLoader with workers
	$(BENCH)/data_delivery.py $(KEPT) rounds=3 seconds=2 $(ARGS)

bench-evaluation: setup ## scores from the latent table against loops that encode what they draw
	$(BENCH)/evaluation.py $(KEPT) rounds=2 $(ARGS)

bench-startup: setup ## seconds from the command to the first batch, --help, a typo
	$(BENCH)/startup.py $(KEPT) rounds=3 $(ARGS)

bench-rendering: setup ## dSprites and figures against plain loops
	$(BENCH)/rendering.py $(KEPT) $(ARGS)

clean:           ## remove what setup made; runs stay
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache
