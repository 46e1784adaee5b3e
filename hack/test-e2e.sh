#!/usr/bin/env bash
# Runs the packages whose tests need real servers or take long: those that skip something under -short.
set -euo pipefail
cd "$(dirname "$0")/.."

# The servers are built before, so that no test's time-out has to allow for it.
hack/tools/servers.sh
hack/tools/servers.sh browser

# Of the packages of this module: the nested ones under hack/ have tests of their own.
files='{{range .TestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}'
mapfile -t packages < <(go list -f "$files" ./... | grep . | xargs grep -lE 'testing\.Short\(\)|(testenv|vaulttest)\.' | xargs -n1 dirname | sort -u)
# One package at a time: each brings up servers of its own, and the machine may be small.
go test -p 1 -count=1 -timeout 45m "$@" "${packages[@]}"
