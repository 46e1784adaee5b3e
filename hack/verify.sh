#!/usr/bin/env bash
# Fails when the tree is not formatted, does not vet, or holds stale generated files.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*"; }

step gofmt
files=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$files" ]; then
  printf 'not formatted; run gofmt -w on:\n%s\n' "$files" >&2
  exit 1
fi

step 'go mod tidy'
go mod tidy -diff

step 'go vet'
go vet ./...

step staticcheck
go tool -modfile=hack/tools/dev/go.mod staticcheck ./...

step 'buf lint'
go tool -modfile=hack/tools/dev/go.mod buf lint

step 'OpenAPI lint'
# In Go, tests hold the document to the specification and the gateway to the document; this is about its style.
if command -v npx >/dev/null; then
  REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes @redocly/cli@2.77.0 lint --config hack/redocly.yaml gateway/server/openapi.yaml
else
  printf 'skipped: there is no npx here\n'
fi

step 'generated files'
# Compared with what they were before, not with HEAD, so that it works on a tree with changes in it.
generated=(api charts config/crd config/vault docs/reference)
digest() { find "${generated[@]}" -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum; }
before=$(digest)
make -s generate
after=$(digest)
if [ "$before" != "$after" ]; then
  printf 'generated files are stale; run make generate and commit:\n' >&2
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") | awk '/^[<>]/ { print "  " $3 }' | sort -u >&2
  exit 1
fi
printf 'verify: clean\n'
