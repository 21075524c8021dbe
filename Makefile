# make train    set up, then train, score and show a DIP-VAE on dSprites (about five minutes on two cores)
# make test     set up, then run all the tests
# make help     everything else

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# uv looks for local wheels where pip is told to.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Without byte code every start would compile all of its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all check format bench bench-train bench-data bench-evaluation clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

setup: $(VENV)/ready  ## make .venv from constraints.txt

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vaezoo needs Python 3.11 or newer; choose one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' -c constraints.txt
	touch $@

train: setup     ## train, score and show a DIP-VAE on dSprites; more: make train ARGS="model.lambda_od=50 seed=1"
	$(BIN)/python -m vaezoo.train model=dipvae dataset=dsprites experiment=quickstart $(ARGS)

test: setup      ## the tests, without network, fifteen minutes on two cores; more: make test ARGS="-k dipvae"
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

bench: bench-train bench-data bench-evaluation  ## all measurements of speed; fewer rounds: make bench ARGS=rounds=2

bench-train: setup ## what a training step costs beside the model's own work
	$(BIN)/python benchmarks/step_overhead.py $(ARGS)

bench-data: setup ## images a second from the store against a torch DataLoader with workers
	$(BIN)/python benchmarks/data_delivery.py $(ARGS)

bench-evaluation: setup ## scores from the latent table against loops that encode what they draw
	$(BIN)/python benchmarks/evaluation.py $(ARGS)

clean:           ## remove what setup made; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
