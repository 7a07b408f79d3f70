# One command each for a fresh machine: `make demo` and `make test` set up .venv themselves. Any make will do, also BSD's.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed
EXTRAS := '.[train,export,parquet,demo,docs]' --group dev
SIZE := some 700 MB to download
# uv takes a part of the time; where it is missing, or cannot reach what pip can, pip does it.
UV := command -v uv >/dev/null && uv venv -q --allow-existing --seed -p $(PYTHON) .venv \
	&& uv pip install -q -p .venv -c constraints.txt -e $(EXTRAS)
PIP := $(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q --upgrade pip -c constraints.txt \
	&& $(BIN)/python -m pip install -q -c constraints.txt -e $(EXTRAS)
.PHONY: setup demo test test-slow test-compat test-consumers test-serve test-cpp test-cpp-all test-web sweeps bench-peers lint docs wheel clean

setup: $(SETUP)
$(SETUP): pyproject.toml constraints.txt
	@echo "setting up .venv, $(SIZE); once"
	($(UV)) || ($(PIP))
	touch $@

demo: $(SETUP)
	$(BIN)/mirrorkit demo --out mirrorkit-demo --overwrite

test: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not gpu and not cpp'

# What takes longest comes first, so that no worker sits idle behind it at the end.
LONGEST := tests/test_readme.py tests/docs/test_pages.py tests/docs/test_examples.py tests/formats/test_layouts.py
test-slow: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'slow and not gpu and not cpp and not web' $(LONGEST) $$(grep -rl --include='test_*.py' slow tests)

test-cpp: $(SETUP)
	bash tests/cpp/run

test-cpp-all: $(SETUP)
	bash tests/cpp/run --all

test-web: $(SETUP)
	bash tests/web/run

test-compat: ; PYTHON=$(PYTHON) bash tests/compat/run && PYTHON=$(PYTHON) bash tests/compat/lowest

sweeps: $(SETUP)
	$(BIN)/python -m tests.faults.sweep && $(BIN)/python -m tests.faults.sweep --two-steps && $(BIN)/python -m tests.faults.kills && $(BIN)/python -m tests.hostile.sweep && $(BIN)/python -m tests.architectures.sweep

test-serve: ; PYTHON=$(PYTHON) bash tests/serving/run

test-consumers: $(SETUP)
	PYTHON=$(PYTHON) bash tests/consumers/run

bench-peers: $(SETUP)
	PYTHON=$(PYTHON) bash benchmarks/peers/setup && $(BIN)/python -m benchmarks.peers

lint: $(SETUP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: $(SETUP)
	$(BIN)/python docs/generate.py --check && NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

wheel: $(SETUP)
	PYTHON=$(PYTHON) bash tests/packaging/run

clean: ; rm -rf .venv* build dist *.egg-info export/*/node_modules
