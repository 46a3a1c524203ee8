# The two commands of README.md, `make run` and `make test`, and what else there is to make. Each installs what is missing.

CARGO ?= cargo
ADDRESS ?= 127.0.0.1
PORT ?= 2525
CONFIG ?= config
# Started as root, the service must be told as whom to run. A fresh clone may lie where no other
# user can read it, so `make run` stays root there; a real service has a user of its own.
RUN_USER ?= $(shell [ "$$(id -u)" = 0 ] && echo "--user root")

PREFIX ?= /usr/local

# cargo's own setting counts here too.
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: run deb install uninstall test test-on record-100 soak valgrind lint bench deps test-deps build

run: deps build spool Maildir
	$(TARGET)/release/camelpost serve --config $(CONFIG) --listen-address $(ADDRESS) --port $(PORT) $(RUN_USER)

# A package for the Debian that this is (packaging/README.md); BINARY and VERSION are packaging/make-deb's.
deb:
	packaging/install-deps build package
	CARGO="$(CARGO)" packaging/make-deb

# For other systems, after `make build`: root need not have a toolchain. DESTDIR and PREFIX are packaging/install-files';
# BINARY is another program than the one that is built here.
BINARY ?= $(TARGET)/release/camelpost
INSTALL_FILES = BINARY=$(BINARY) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) packaging/install-files

install: $(BINARY)
	$(INSTALL_FILES) install

uninstall: $(BINARY)
	$(INSTALL_FILES) uninstall

$(TARGET)/release/camelpost:
	$(MAKE) build

# TESTFLAGS=--no-fail-fast goes on after a suite that failed. Tests wait for daemons more than they compute, so that
# twice as many run at a time as there are cores.
test: export RUST_TEST_THREADS ?= $(shell expr 2 \* $$(nproc))
test: test-deps
	$(CARGO) test --locked $(TESTFLAGS)
	prove -Iperl tests/perl

# Both commands on another release of Debian, in a root that debootstrap makes; TEST replaces `make test`.
test-on:
	packaging/test-on $(SUITE) $(if $(TEST),"$(TEST)")

# What upstream's 1.00 answers to the suite's dialogues and rows; QPSMTPD_100 is a checkout of its repository.
record-100: test-deps
	UPDATE_EXPECTED=1 QPSMTPD_100=$(QPSMTPD_100) $(CARGO) test --locked --test compare100
	UPDATE_EXPECTED=1 QPSMTPD_100=$(QPSMTPD_100) $(CARGO) test --locked --test compare every_verdict
	UPDATE_EXPECTED=1 QPSMTPD_100=$(QPSMTPD_100) $(CARGO) test --locked --test methods
	prove -I$(QPSMTPD_100)/lib tests/harness_100

# The fuzz targets with MUTATIONS of their corpora, then the suite's soak test for longer: SECONDS under load,
# twice; SEED repeats an earlier run's choices. Then every fault of the disk with every error.
SECONDS ?= 600
MUTATIONS ?= 1000000
soak: test-deps
	FUZZ_MUTATIONS=$(MUTATIONS) $(if $(SEED),FUZZ_SEED=$(SEED)) $(CARGO) test --locked --release --test fuzz
	SOAK_SECONDS=$(SECONDS) $(if $(SEED),SOAK_SEED=$(SEED)) $(CARGO) test --locked --release --test soak -- --nocapture
	FAULTS=all $(CARGO) test --locked --test durability

# The bridge's tests, the ones with odd arguments to every sub among them, under memcheck (Debian: valgrind);
# some ten minutes. Without those that count what is left behind after thousands of rounds.
valgrind: test-deps
	CAMELPOST_ABORT_ON_JUMP=1 \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9 --num-callers=20" \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9 --num-callers=20" \
	$(CARGO) test --locked --test perl_bridge -- --skip leave_nothing_behind

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: test-deps
	$(CARGO) bench --locked --bench chain
	$(CARGO) bench --locked --bench bench -- $(BENCH)

build: deps
	$(CARGO) build --locked --release

deps:
	packaging/install-deps build

test-deps:
	packaging/install-deps build test

spool Maildir:
	mkdir -p -m 0700 $@
