# Everything sets itself up: `make demo` on a fresh machine needs nothing but make and a Python.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
COLLECTION := .ansible/collections/ansible_collections/binary_cluster/networking
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Shown at the end of every run of the demo.
export BINARY_CLUSTER_RUN_REPORT := $(CURDIR)/report

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: lab-up ## bring up the lab, deploy the network, prove every pair of pods
	@ANSIBLE_CALLBACKS_ENABLED=binary_cluster.networking.run_report \
		ansible-playbook -i inventories/lab site.yml
	@cat report/connectivity.txt

.PHONY: lab-up
lab-up: setup ## bring up the lab alone (LAB_NODES=1..30, LAB_SUITE=bullseye|bookworm|trixie)
	@ansible-playbook -i inventories/lab playbooks/lab_up.yml

.PHONY: lab-down
lab-down: $(VENV)/.ready $(COLLECTION) ## remove the lab
	@ansible-playbook -i inventories/lab playbooks/lab_down.yml

.PHONY: test
test: setup ## run all gates, cheapest first; SCENARIO=name runs one molecule scenario, CHANGED=commit what changes reach
	@python tests/gates.py $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(CHANGED),--changed $(CHANGED))

.PHONY: test-fast
test-fast: $(VENV)/.ready $(COLLECTION) ## run the gates that need no container
	@python tests/gates.py --fast

.PHONY: test-kernel
test-kernel: $(VENV)/.ready $(COLLECTION) ## run what this kernel may lack, such as IPIP, on emulated machines
	@python tests/gates.py --scenario machines machines_flannel

.PHONY: bench
bench: setup ## measure what the README claims: tables here, JSON in report/bench
	@mkdir -p report/bench
	@for part in bench/*.py; do \
		name=$$(basename $$part .py); echo "== $$name" && \
		PYTHONPATH=.ansible/collections python $$part --json report/bench/$$name.json || exit 1; \
	done

.PHONY: docs
docs: $(VENV)/.ready $(COLLECTION) ## write what is made of declarations: READMEs and metadata of roles, variables, the picture
	@python docs/role_readmes.py
	@PYTHONPATH=.ansible/collections python docs/architecture_picture.py

.PHONY: clean
clean: lab-down ## remove what make made here: environment, caches, lab images
	@docker image ls --quiet binary-cluster-lab | xargs --no-run-if-empty docker image rm >/dev/null
	@rm -rf $(VENV) .ansible .cache .lab report "$${XDG_CACHE_HOME:-$$HOME/.cache}/binary_cluster/machines"

# --- set-up -----------------------------------------------------------------------------

# The rights are looked at first, before anything is made.
.PHONY: setup
setup: host $(VENV)/.ready $(COLLECTION)

.PHONY: host
host:
	@molecule/shared/prepare-host

$(VENV)/.ready: requirements-dev.txt | $(filter host,$(MAKECMDGOALS))
	@python=$$(molecule/shared/find-python) && \
		echo "making the virtual environment with $$($$python --version), about a minute" && \
		$$python -m venv $(VENV) && \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(COLLECTION):
	@mkdir -p $(@D) && ln -sfn ../../../.. $@
