# One command each for a fresh machine: `make demo` and `make test` set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed
.PHONY: setup demo test test-slow test-compat test-consumers test-cpp test-cpp-all test-web bench-peers lint wheel clean

setup: $(SETUP)
$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,export,parquet,demo]' --group dev
	touch $@

demo: $(SETUP)
	$(BIN)/mirrorkit demo --out mirrorkit-demo --overwrite

test: $(SETUP)
	$(BIN)/python -m pytest -m 'not slow and not gpu and not cpp'

test-slow: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'slow and not gpu and not cpp and not web'

test-cpp: $(SETUP)
	bash tests/cpp/run

test-cpp-all: $(SETUP)
	bash tests/cpp/run --all

test-web: $(SETUP)
	bash tests/web/run

test-compat: ; PYTHON=$(PYTHON) bash tests/compat/run

test-consumers: $(SETUP)
	PYTHON=$(PYTHON) bash tests/consumers/run

bench-peers: $(SETUP)
	PYTHON=$(PYTHON) bash benchmarks/peers/setup && $(BIN)/python -m benchmarks.peers

lint: $(SETUP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

wheel: $(SETUP)
	PYTHON=$(PYTHON) bash tests/packaging/run

clean: ; rm -rf .venv* build dist *.egg-info export/*/node_modules
