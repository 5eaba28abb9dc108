# Prints the Makefile's groups (##@), targets (name: ... ## what it does) and options (option.NAME := --x # what).

BEGIN {
    print "Weft weaves a transformer into FPGA gateware, and checks every number.\n"
    print "Usage: make TARGET [OPTION=value ...]    e.g.  make sim NAMES=20 TEMPERATURE=0.5 SEED=42"
}

/^##@ / { print "\n" substr($0, 5) }

/^[a-z-]+:.*## / {
    target = substr($0, 1, index($0, ":") - 1)
    printf "  %-12s%s\n", target, substr($0, index($0, "## ") + 3)
    if (target in takes) printf "  %-12s  %s\n", "", takes[target]
}

/^option\.[A-Z_]+ *:=/ {
    name = substr($1, 8)
    meaning[++options] = sprintf("  %-12s%s", name, substr($0, index($0, "# ") + 2))
}

/^(machine|text) *:=/ { value = $0; sub(/^[^=]*= */, "", value); group[$1] = value }

/^options\.[a-z-]+ *:=/ {
    value = $0
    sub(/^[^=]*= */, "", value)
    for (name in group) gsub("\\$\\(" name "\\)", group[name], value)
    takes[substr($1, 9)] = value
}

END {
    print "\nOptions"
    for (i = 1; i <= options; i++) print meaning[i]
    print "  ARGS        words passed on as they are, e.g. ARGS=--help"
    print "  PYTHON, CXX, JOBS, WEFT_CACHE: the Python to start from, the C++ compiler, test processes, a tools folder to share"
    print "\nEvery command ends with status 0 if all is well. make itself answers 2 whatever failed; called directly,"
    print "`.venv/bin/python -m sim run` answers 1 for a mismatch with the integer model and 2 for an input it cannot use."
}
