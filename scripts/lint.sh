#!/usr/bin/env bash
# Run every check of style, types, imports, rules and documentation; all run, the status says whether all passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

failed=()
check() { # name, command
    local name=$1 log status=0
    shift
    log=$("$@" 2>&1) || status=$?
    if [ "$status" -eq 0 ]; then
        printf 'ok      %s\n' "$name"
    else
        printf 'FAILED  %s\n%s\n' "$name" "$log"
        failed+=("$name")
    fi
}

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy" mypy
check "import contracts" lint-imports
check "snakefmt" snakefmt --check workflow rules
check "snakemake --lint" snakemake --configfile config/demo.yaml config/demo_all.yaml --lint
check "shell syntax" bash -n scripts/*.sh .ci/run
check "mkdocs" env NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: ${#failed[@]} of these failed: ${failed[*]}" >&2
    exit 1
fi
