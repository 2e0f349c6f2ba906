#!/usr/bin/env bash
# Run the workflow on the built-in world and remember how long that took (for make check-demo).
#
#   scripts/demo.sh [--all-rooms] [TARGET...]     targets of Snakemake; without any, all results and the report
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

REPORT=results/demo/report.html
WORLD=results/demo/simulate/manifest.json
SECONDS_FILE=results/demo/logs/demo.seconds
CONFIGS=(config/demo.yaml)
if [ "${1:-}" = --all-rooms ]; then
    shift
    CONFIGS+=(config/demo_all.yaml)
    SECONDS_FILE= # only the spine is timed
fi
NEEDED_GB=2

free=$(($(df -Pk . | awk 'NR == 2 { print $4 }') / 1024 / 1024))
if [ "$free" -lt "$NEEDED_GB" ]; then
    echo "cisweave demo: about $NEEDED_GB GB of free disk space are needed here and there are $free GB" >&2
    exit 1
fi

# Bars where somebody looks on; Snakemake's own messages ("n of m steps") in a log.
if [ -t 2 ] && [ -z "${CI:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    display=(--logger rich)
else
    display=(--quiet reason host)
fi

before=$(stat -c %Y "$WORLD" 2>/dev/null || echo none)
started=$SECONDS
status=0
.venv/bin/snakemake "$@" --profile profiles/local --configfile "${CONFIGS[@]}" "${display[@]}" || status=$?
spent=$((SECONDS - started))

# A run that did not begin with the world found most of its work done; it tells nothing of how long all takes.
if [ -n "$SECONDS_FILE" ] &&
    { [ "$(stat -c %Y "$WORLD" 2>/dev/null || echo none)" != "$before" ] || [ -e "$SECONDS_FILE.unfinished" ]; }; then
    mkdir -p "$(dirname "$SECONDS_FILE")"
    # A run that was stopped and taken up again took as long as its parts.
    echo $((spent + $(cat "$SECONDS_FILE.unfinished" 2>/dev/null || echo 0))) >"$SECONDS_FILE.unfinished"
    [ "$status" -ne 0 ] || mv "$SECONDS_FILE.unfinished" "$SECONDS_FILE"
fi
if [ "$status" -eq 0 ]; then
    echo "cisweave demo: the report is $REPORT, the truth check results/demo/truth.json"
else
    echo "cisweave demo: stopped by the error above; 'make demo' goes on where it stopped" >&2
fi
exit "$status"
