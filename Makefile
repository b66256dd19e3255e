PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install run test test-slow test-oracle test-ray test-bench test-dashboards test-stack test-deploy coverage coverage-critical docs lint clean

## The two commands: `make run` shows the whole loop, `make test` checks it.
run: $(STAMP)
	$(BIN)/swt demo $(if $(DATA),--data $(DATA))

test: $(STAMP) lint docs
	$(BIN)/pytest -n 2 --dist loadfile

install: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,docs]'
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test-slow: $(STAMP)
	$(BIN)/pytest -m slow

test-oracle: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,oracle]'
	$(BIN)/pytest -m oracle

test-ray: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,ray]'
	$(BIN)/pytest -m ray

## The peers of `swt bench learning` (stable-baselines3): each is trained for some seconds.
test-bench: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev,bench]'
	$(BIN)/pytest -m "slow or not slow" tests/unit/benchmarks/test_benchmarks_peers.py

## The container stack for real, on the Docker engine of DOCKER_HOST: about ten minutes, its own project and volumes.
test-stack: $(STAMP)
	$(BIN)/python tests/stack/stack_check.py

## Deployment and rollback on a real engine: some minutes more.
test-deploy: $(STAMP)
	$(BIN)/python tests/stack/deploy_check.py

## Each dashboard's queries against a real Prometheus (`prometheus` on the PATH, or beside SWT_PROMTOOL) that
## scrapes trainer, validator and live trader; some minutes.
test-dashboards: $(STAMP)
	$(BIN)/python tests/stack/dashboards_check.py

## Coverage of the fast suite, branches included; fails under 90 % (kernels under numba count in their own jit-off pass).
coverage: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-report=html --cov-fail-under=90

## Every branch, with numba's compilation off, of what money hangs on: position accounting, checkpoints,
## order rules, journal, reconciler. Files and tests: tests/critical_coverage.ini. Fails below 100 %.
coverage-critical: $(STAMP)
	NUMBA_DISABLE_JIT=1 COVERAGE_FILE=.coverage.critical $(BIN)/pytest -q \
	  $$(sed -n 's/^# run //p' tests/critical_coverage.ini) \
	  --cov --cov-config=tests/critical_coverage.ini --cov-report=term-missing:skip-covered --cov-fail-under=100

## The documentation as a site, with a reference of the code: build/docs/index.html. A broken link fails.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # with --quiet it would count no warnings

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
