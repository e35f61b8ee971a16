# The front door. Everything is built by Meson in build/; `make` builds what is installed.
#   make  demo  check  bench  fuzz  lint  screenshots  install  clean  help
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
DEMO_SECONDS ?=
BUILD = build/release
export DEMO_SECONDS
unexport FUZZ_SECONDS

.PHONY: all demo check bench fuzz lint screenshots install clean help

all:
	@tools/build $(BUILD) --prefix=$(PREFIX) --sysconfdir=$(SYSCONFDIR)

demo:
	@tools/setup build lab
	@$(MAKE) --no-print-directory all
	@lab/demo

check:
	@tools/setup
	@tools/check

bench:
	@tools/setup build lab
	@$(MAKE) --no-print-directory all
	@bench/run

fuzz: export FUZZ_SECONDS := $(or $(FUZZ_SECONDS),60)
fuzz:
	@tools/setup
	@tools/check fuzz

lint:
	@tools/setup build lint
	@tools/lint

screenshots:
	@tools/setup build lab
	@$(MAKE) --no-print-directory all
	@lab/screenshots

# Installs what is built; builds only what is not. Needs no network and starts nothing.
install: all
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet
	@echo "installed under $(DESTDIR)$(PREFIX), configuration in $(DESTDIR)$(SYSCONFDIR)/aerostat"
	@test -n "$(DESTDIR)" || echo "next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload &&" \
		"systemctl enable --now aerostatd   (it starts in observe mode: it touches no server)"

clean:
	rm -rf build/release build/asan build/tsan build/clang build/lint.json

help:
	@echo "make            build the programs into $(BUILD)"
	@echo "make demo       install what is missing, build, start real guests, the daemon and show memory move"
	@echo "                DEMO_SECONDS=60: stop by itself"
	@echo "make check      install what is missing and run all tests and linters; the last line has the counts"
	@echo "make bench      measure, with real guests: about half an hour (BENCH_FULL=1: more of it; BENCH_MANAGER='command': another manager, too)"
	@echo "make fuzz       feed the parsers garbage for FUZZ_SECONDS=60 each"
	@echo "make lint       formatting, clang-tidy, cppcheck, shell, Python and manual pages"
	@echo "make screenshots   pictures of every page of the dashboard, on real guests, into docs/screenshots/"
	@echo "make install    PREFIX=/usr/local SYSCONFDIR=/etc DESTDIR="
	@echo "make clean      remove what was built; fetched guest kernels stay (rm -rf build removes all)"
