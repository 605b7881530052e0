# Targets are explained by `make help`. The work is done by scripts/, so that each of them can be
# run, read and tested by itself.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := build

PREFIX  ?= /usr/local
DESTDIR ?=

# What `forgectl version` says. A tree without git, or one that belongs to somebody else, builds as
# well: the first gives empty strings, the second is why git is told that the directory is meant.
git     := git -c safe.directory='$(CURDIR)'
VERSION ?= $(patsubst v%,%,$(shell $(git) describe --tags --always --dirty --match 'v[0-9]*' 2>/dev/null))
COMMIT  ?= $(shell $(git) rev-parse --verify --quiet HEAD 2>/dev/null)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

bindir  = $(DESTDIR)$(PREFIX)/bin
mandir  = $(DESTDIR)$(PREFIX)/share/man/man1
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.PHONY: help setup servers build demo bench test test-long check generate install uninstall clean

help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables: PREFIX=%s DESTDIR= (install), NO_INSTALL=1 (never install packages),\n           TEST=./pkg/seal/... RUN=TestName TEST_TIMEOUT=20m (test)\n' '$(PREFIX)'

setup: ## Install the Debian packages that demo and tests use, where missing
	@scripts/setup

servers: setup ## Fetch PostgreSQL servers of other majors for the tests, where missing
	@scripts/servers/install

build: ## Build bin/forgectl, one static binary
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/forgectl ./cmd/forgectl

demo: setup build bin/demoapp ## A night and a disaster with the real binary, on a throwaway PostgreSQL
	@scripts/demo

.PHONY: bin/demoapp
bin/demoapp:
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/demoapp ./scripts/demoapp

bench: setup build ## Measure against what forgectl replaces: medians and ratios (GROUP=database RUNS=5)
	@go run -buildvcs=false ./scripts/bench --runs $${RUNS:-5} $${GROUP:-}

test: servers ## All tests, with real servers and the race detector
	@scripts/test

test-long: servers ## The tests and those that are too long for every day (build tag long)
	@TEST_TAGS=long TEST_TIMEOUT=$${TEST_TIMEOUT:-3h} PACKAGE_TIMEOUT=2h scripts/test

check: ## Format, vet, linters, vulnerabilities, generated files, go.mod
	@scripts/check

generate: ## Write completions/, docs/man/ and docs/reference.md from the commands
	go run -buildvcs=false ./cmd/forgectl generate all .

# `make && sudo make install`: root often has no Go, so what is built is taken as it is.
install: $(if $(wildcard bin/forgectl),,build) ## Put binary, man pages and completions below PREFIX
	install -d -m 0755 $(bindir) $(mandir) $(bashdir) $(zshdir) $(fishdir)
	install -m 0755 bin/forgectl $(bindir)/forgectl
	install -m 0644 docs/man/forgectl*.1 $(mandir)/
	install -m 0644 completions/forgectl.bash $(bashdir)/forgectl
	install -m 0644 completions/_forgectl $(zshdir)/_forgectl
	install -m 0644 completions/forgectl.fish $(fishdir)/forgectl.fish

uninstall: ## Remove what install put there
	rm -f $(bindir)/forgectl $(mandir)/forgectl.1 $(mandir)/forgectl-*.1
	rm -f $(bashdir)/forgectl $(zshdir)/_forgectl $(fishdir)/forgectl.fish

clean: ## Remove what was built; the tools of check stay in .tools/
	rm -rf bin
