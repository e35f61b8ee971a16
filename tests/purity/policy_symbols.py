#!/usr/bin/env python3
"""The policy library is pure: it calls memory, string and math functions and nothing else, and keeps no state.

  policy_symbols.py LIBRARY [NM]

Whatever is not on the list below fails, by name and with the object that needs it: I/O, clocks, randomness, the
environment, GLib, hypervisors, databases. A new line below needs a reason that holds for a replayed decision, too.
"""

import os
import re
import subprocess
import sys

MEMORY = {"malloc", "calloc", "realloc", "free", "reallocarray",
          "memcpy", "memmove", "memset", "memcmp", "qsort", "bsearch"}
# Text is compared and formatted into the caller's memory; numbers are formatted without the locale's separators.
TEXT = {"strlen", "strnlen", "strcmp", "strncmp", "snprintf", "vsnprintf"}
MATH = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "sqrt", "cbrt", "floor", "ceil", "round",
        "trunc", "fabs", "fmin", "fmax", "fmod", "ldexp", "frexp", "nearbyint", "rint", "lround", "llround",
        "lrint", "llrint", "isnan", "isinf"}
# A broken assumption ends the program: not a way to get facts.
ASSERTIONS = {"abort", "__assert_fail", "__stack_chk_fail"}
ALLOWED = MEMORY | TEXT | MATH | ASSERTIONS
# glibc's other names for the same: checked (_FORTIFY_SOURCE) and versioned variants, 128-bit division of libgcc.
VARIANTS = [re.compile(r"^__(\w+)_chk$"), re.compile(r"^__(\w+)_finite$"), re.compile(r"^__(isnan|isinf)[fl]?$")]
HELPERS = {"__udivti3", "__umodti3", "__divti3", "__modti3", "__muloti4", "_GLOBAL_OFFSET_TABLE_"}
INSTRUMENTS = ("__asan_", "__ubsan_", "__tsan_", "__msan_", "__sanitizer_", "__gcov_", "__llvm_", "__cyg_profile_")
CAPABILITIES = [
    (r"^(open|read|write|f?open(at)?|f?read|f?write|close|f?close|f?gets|f?puts|f?putc|printf|fprintf|vfprintf"
     r"|sscanf|perror|stderr|stdout|ioctl|socket)(64)?$", "input or output"),
    (r"time|clock|sleep", "a clock"),
    (r"rand", "randomness"),
    (r"env$|^environ", "the environment"),
    (r"^vir", "the hypervisor"),
    (r"^sqlite3_", "the store"),
    (r"^g_", "GLib"),
    (r"^(pthread|thrd|mtx)_", "threads"),
    (r"^(errno|__errno_location|setlocale)$", "hidden state"),
]


def is_allowed(name):
    if name in ALLOWED or name in HELPERS or name.startswith(INSTRUMENTS):
        return True
    # float and long double variants: expf, sqrtl
    if name[-1:] in "fl" and name[:-1] in MATH:
        return True
    for variant in VARIANTS:
        match = variant.match(name)
        if match and match.group(1) in ALLOWED:
            return True
    return False


def capability(name):
    for pattern, what in CAPABILITIES:
        if re.search(pattern, name):
            return what
    return "not known to be pure"


def symbols(nm, library):
    """(object, name, class, section) of every symbol; the sysv format is the one that tells sections."""
    text = subprocess.run([nm, "--format=sysv", library], capture_output=True, text=True, check=True).stdout
    rows = []
    member = os.path.basename(library)
    for line in text.splitlines():
        head = re.match(r"^(?:Symbols|Undefined symbols) from (.*):$", line)
        if head:
            member = re.sub(r".*\[(.*)\]$", r"\1", head.group(1))
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            rows.append((member, fields[0].split("@")[0], fields[2], fields[6]))
    return rows


def is_state(kind, name, section):
    """Writable data. What is only relocated at load time (.data.rel.ro) is constant."""
    if kind.upper() not in "BDCGS" or section.startswith(".data.rel.ro"):
        return False
    if name.startswith((".L", "__asan_", "__odr_asan", "__tsan_", "__gcov_")):
        return False
    return bool(re.match(r"^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)", section)) or kind.upper() == "C"


def main(arguments):
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    rows = symbols(arguments[1] if len(arguments) == 2 else "nm", arguments[0])
    defined = {name for _, name, kind, _ in rows if kind.isupper() and kind not in "Uw"}
    wanted = {(member, name) for member, name, kind, _ in rows if kind in "Uwv" and name not in defined}
    if not defined:
        print(f"{arguments[0]}: no symbols: not the policy library")
        return 1
    # Sanitizers put data of their own beside ours: the other builds check this.
    instrumented = any(name.startswith(INSTRUMENTS) for _, name in wanted)
    faults = [f"{member}: calls {name} ({capability(name)})" for member, name in sorted(wanted) if not is_allowed(name)]
    if not instrumented:
        faults += [f"{member}: keeps state in {name} ({section})"
                   for member, name, kind, section in rows if is_state(kind, name, section)]
    for fault in faults:
        print(fault)
    used = sorted({name for _, name in wanted if not name.startswith(INSTRUMENTS)})
    print(f"{os.path.basename(arguments[0])}: {len(defined)} functions and tables, calls {', '.join(used) or 'nothing'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
