# Every target works on a fresh clone; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
# A host of an environment: staging or prod for `make secrets`, `make status`.
ENV ?= dev
STACK ?= broadcast
# Further options for ansible-playbook, for example ARGS="--check".
ARGS ?=
# What runs at once in `make test`. Scenarios wait a lot, so one more than there are processors keeps these busy.
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
# The Engine that the modules use as well: a context of the command line client is unknown to them.
export DOCKER_HOST ?= unix:///var/run/docker.sock
# Set on some build machines; it makes every module start compile its code anew.
unexport PYTHONDONTWRITEBYTECODE

PLAYBOOK = ansible-playbook -i 'inventories/$(1)'

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

# --- Controller ----------------------------------------------------------------------------------------------------------

$(VENV)/controller: requirements/controller.txt
	@scripts/venv $(VENV) requirements/controller.txt
	@touch $@

$(VENV)/dev: requirements/dev.txt
	@scripts/venv $(VENV) requirements/dev.txt
	@touch $(VENV)/controller $@

# --- Development -----------------------------------------------------------------------------------------------------------

.PHONY: dev-setup
dev-setup: $(VENV)/controller ## Install Ansible into .venv (the other targets do it by themselves)

.PHONY: dev-up
dev-up: dev-setup ## Start the whole stack on this machine, with hot reload
	@$(call PLAYBOOK,dev) site.yml $(ARGS)
	@$(call PLAYBOOK,dev) playbooks/dev_summary.yml $(ARGS)

.PHONY: dev-down
dev-down: dev-setup ## Stop the stack on this machine; data stays
	@$(call PLAYBOOK,dev) playbooks/down.yml $(ARGS)

.PHONY: dev-logs
dev-logs: ## Follow the logs of all containers
	@scripts/logs $(STACK)

.PHONY: dev-mail
dev-mail: ## Show the mails that the development stack has sent
	@docker logs $(STACK)-mail

.PHONY: manage
manage: ## Run a management command in development, for example ARGS="makemigrations"
# Root without capabilities could not read the secrets, which are the application's. Where no process gets all
# capabilities, as inside many containers, it is the application's user, who writes no file of root's.
	@as="-u $$(id -u):$$(id -g)"; \
	if [ "$$(id -u)" = 0 ]; then \
		docker exec --privileged $(STACK)-web true 2> /dev/null > /dev/null && as="$$as --privileged" || as=; \
	fi; \
	docker exec -it $$as $(STACK)-web python manage.py $(ARGS)

.PHONY: db-migrate
db-migrate: dev-setup ## Run the release commands (migrate) in development
	@$(call PLAYBOOK,dev) playbooks/release_commands.yml $(ARGS)

.PHONY: db-shell
db-shell: ## Open psql on the development database, as its owner
	@docker exec -it $(STACK)-postgres psql service=owner

.PHONY: shell
shell: ## Open a Django shell in the web container
	@docker exec -it $(STACK)-web python manage.py shell

# --- Deployment ------------------------------------------------------------------------------------------------------------

.PHONY: secrets
secrets: dev-setup ## Create strong secrets for an environment (ENV=staging|prod)
	@ansible-playbook playbooks/secrets.yml -i localhost, -e '{"secrets_environment": "$(ENV)"}' $(ARGS)

.PHONY: staging-deploy
staging-deploy: dev-setup ## Converge staging
	@$(call PLAYBOOK,staging) site.yml $(ARGS)

.PHONY: prod-deploy
prod-deploy: dev-setup ## Converge production
	@$(call PLAYBOOK,prod) site.yml $(ARGS)

# --- Operation -------------------------------------------------------------------------------------------------------------
# make ends with 2 whatever a command ended with; scripts/report passes the exit code on.

.PHONY: status
status: dev-setup ## Show what runs where, whether it is healthy and as specified (ENV=dev|staging|prod, FORMAT=json)
	@scripts/report -i 'inventories/$(ENV)' playbooks/status.yml $(if $(FORMAT),-e format=$(FORMAT)) $(ARGS)

.PHONY: plan
plan: dev-setup ## Show what a deployment would do, and change nothing
	@$(call PLAYBOOK,$(ENV)) playbooks/plan.yml $(ARGS)

.PHONY: rollback
rollback: dev-setup ## Go back to the release before, or to a kept one (RELEASE=41)
	@$(call PLAYBOOK,$(ENV)) playbooks/rollback.yml $(if $(RELEASE),-e release=$(RELEASE)) $(ARGS)

.PHONY: run
# In the environment, so that neither a shell nor YAML reads it again.
run: export RUN_COMMAND = $(value CMD)
run: dev-setup ## Run a command beside the live release, for example CMD="python manage.py check --deploy"
	@scripts/report -i 'inventories/$(ENV)' playbooks/run.yml $(ARGS)

.PHONY: logs
logs: dev-setup ## Show the last log lines of all hosts (SERVICE=web SINCE=10m LINES=100)
	@scripts/report -i 'inventories/$(ENV)' playbooks/logs.yml -e service=$(SERVICE) -e since=$(SINCE) -e lines=$(LINES) $(ARGS)

.PHONY: maintenance
maintenance: dev-setup ## Answer 503 with a page at every edge, or serve again (STATE=on|off)
	@$(call PLAYBOOK,$(ENV)) playbooks/maintenance.yml -e state=$(STATE) $(ARGS)

# --- Tests -----------------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: $(VENV)/dev ## ansible-lint (production), yamllint, ruff
	@ruff check . && ruff format --check .
	@yamllint --strict .
	@ansible-lint --offline --profile production

.PHONY: test-unit
test-unit: $(VENV)/dev ## Plugins, specifications against the policy, defaults against argument_specs
# By files: what a file's tests share is made once and not by each of the two processes.
	@pytest -n 2 --dist loadfile tests/unit

.PHONY: test-backend
test-backend: $(VENV)/dev ## The reference application on real PostgreSQL and Redis
	@scripts/backend

.PHONY: test-fast
test-fast: lint test-unit test-backend ## The layers that need no nested hosts

.PHONY: test-molecule
test-molecule: $(VENV)/dev ## Every Molecule scenario, JOBS at once
	@scripts/test $(JOBS) $$(scripts/test --list)

.PHONY: test-e2e
test-e2e: $(VENV)/dev ## The development stack in a real browser
	@scripts/e2e

.PHONY: test
test: $(VENV)/dev ## All layers, JOBS at once
	@scripts/test $(JOBS)

.PHONY: test-long
test-long: $(VENV)/dev ## The long forms of the tests that have one, as GitHub runs them at night
	@FLEET_FULL=1 scripts/test $(JOBS) fleet

.PHONY: docs
docs: $(VENV)/dev ## Generate the variables tables of the roles' READMEs
	@scripts/docs

.PHONY: bench
bench: $(VENV)/dev ## Measure and write bench/results.md
	@bench/run
