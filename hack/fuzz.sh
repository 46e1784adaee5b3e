#!/usr/bin/env bash
# Runs every fuzz target of the project for the time given, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}

git ls-files -co --exclude-standard '*_test.go' | xargs grep -Eo '^func Fuzz[A-Za-z0-9_]+' | while IFS=: read -r file match; do
  target=${match#func }
  printf '== %s %s\n' "$(dirname "$file")" "$target"
  go test "./$(dirname "$file")" -run '^$' -fuzz "^${target}\$" -fuzztime "$time" </dev/null
done
