# Everything runs in .venv, which `make setup` makes and keeps up to date; see scripts/environment.
PYTHON ?= python3
TORCH ?=
CLOUD ?=
BIN_COLUMNS ?=
PYTEST ?=
MINUTES ?=
CASES ?=
GUIDED ?=

# A domain of its own for each run of the tests keeps them apart from a robot and from each other.
TEST_DOMAIN := $(shell echo $$(( $$$$ % 100 + 1 )))
# Threads that spin while they wait make the many small tensors of the tests five times slower on a busy machine.
TEST_ENVIRONMENT = ROS_DOMAIN_ID=$(TEST_DOMAIN) ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST OMP_WAIT_POLICY=PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-rgbd test fuzz load soak soak-accumulator lint coverage clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo "  Options:      CLOUD=file      a cloud of your own for the demo (kinds: docs/bringup.md)"
	@echo "                MAPS=hz         maps per second of demo-rgbd (default: 1)"
	@echo "                BIN_COLUMNS=n   values a point of a .bin (default: 6, x y z r g b)"
	@echo "                UP=y  UNIT=mm   axis that points up and unit (m cm mm ft) of that cloud (default: z, m)"
	@echo "                TORCH='torch==2.x'  another torch;  PYTHON=python3.12  another Python"
	@echo "                MINUTES=n       how long load and soak run;  CASES=n  how many cases fuzz tries"
	@echo "                GUIDED=seconds  fuzz each reader for so long along its branches, with atheris"
	@echo "                PYTEST='-k name'    arguments for pytest"

setup: ## make or update .venv: torch, ROS 2, the messages, this package
	@$(PYTHON) scripts/environment --torch '$(TORCH)'

demo: setup ## detect objects in the demo cloud, or in CLOUD=file; results in build/demo
	@scripts/run python -m dspdet3d_ros.ros.tools.demo --out build/demo $(if $(CLOUD),'$(CLOUD)') $(if $(BIN_COLUMNS),--columns $(BIN_COLUMNS)) $(if $(UP),--up='$(UP)') $(if $(UNIT),--unit '$(UNIT)')

demo-rgbd: setup ## play the demo room as a depth camera to accumulator and detector; pictures in build/demo_rgbd; CLOUD=scene.npz
	@scripts/run python -m dspdet3d_ros.ros.tools.demo_rgbd --out build/demo_rgbd $(if $(CLOUD),--cloud '$(CLOUD)') $(if $(MAPS),--maps $(MAPS))

test: setup ## run all tests
	@$(TEST_ENVIRONMENT) scripts/run python -m pytest $(PYTEST)

fuzz: setup ## throw broken messages, files and parameters at every reader; CASES=20000; report in build/fuzz
	@$(TEST_ENVIRONMENT) scripts/run python test/fuzz --out build/fuzz $(if $(CASES),--cases $(CASES)) $(if $(GUIDED),--guided $(GUIDED))

load: setup ## the real node with clouds at 50 Hz, MINUTES=10; report and plot in build/load
	@OMP_WAIT_POLICY=PASSIVE scripts/run python -m dspdet3d_ros.ros.tools.endurance.load $(if $(MINUTES),--minutes $(MINUTES))

soak: setup ## the real node through clouds and lifecycle cycles, MINUTES=60; report and plot in build/soak
	@OMP_WAIT_POLICY=PASSIVE scripts/run python -m dspdet3d_ros.ros.tools.endurance.soak $(if $(MINUTES),--minutes $(MINUTES))

soak-accumulator: setup ## the accumulator with a camera that is too fast, MINUTES=60; report and plot in build/accumulator_soak
	@OMP_WAIT_POLICY=PASSIVE scripts/run python -m dspdet3d_ros.ros.tools.endurance.accumulator_soak $(if $(MINUTES),--minutes $(MINUTES))

lint: setup ## check style, formatting, types, and that Python 3.10 suffices
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/vermin --quiet --no-tips --violations --eval-annotations --target=3.10- dspdet3d_ros launch scripts test setup.py

coverage: setup ## run all tests and say which lines of the package they run; at least 90 %
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(TEST_ENVIRONMENT) scripts/run python -m coverage run -m pytest $(PYTEST)
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage html --quiet --directory build/coverage/html --skip-covered
	@.venv/bin/coverage report

clean: ## remove everything that was made here, .venv included
	rm -rf .venv build install log .pytest_cache .ruff_cache .mypy_cache *.egg-info
