#!/usr/bin/env bash
# Makes the real servers of the tests and of `make demo-kubernetes` available:
# kube-apiserver, etcd and kubectl, Vault, PostgreSQL.
#
#   hack/tools/servers.sh [kube] [vault] [postgres] [browser] [prometheus]     (default: the three servers)
#
# What the machine has is used, and only what is missing is built, from the
# nested Go modules beside this script, into a cache outside the work tree:
#
#   kube      $KUBEBUILDER_ASSETS, setup-envtest's newest installed assets, or built (5 to 10 minutes on 2 cores)
#   vault     $ENTENTE_VAULT, a full `vault` of at least 1.15 on PATH, or built (about 5 minutes)
#   postgres  $ENTENTE_POSTGRES_BIN, the distribution's server, or installed with apt-get
#   browser   $ENTENTE_BROWSER, Chromium or Chrome on PATH, or installed with apt-get; for tests of pages
#   prometheus  $ENTENTE_PROMETHEUS, `prometheus` on PATH, or Debian's package, unpacked into the cache; for tests of alerts and dashboards
#
# Standard output is a list of `export NAME='value'` lines, which are also kept
# in servers.env in the cache; progress goes to standard error. Safe to run
# several times at once. Cache: $ENTENTE_TOOLS_CACHE, else
# ${XDG_CACHE_HOME:-~/.cache}/entente/tools. Deleting it is always safe.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ENTENTE_TOOLS_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME, XDG_CACHE_HOME or ENTENTE_TOOLS_CACHE}/.cache}/entente/tools}

kube_version=v1.37.2         # as in kube/go.mod; a test of hack/testenv compares them
kube_minor_min=33            # the oldest API server that the tests are meant for
vault_minor_min=15
postgres_major_min=14

say() { printf 'servers: %s\n' "$*" >&2; }
die() { printf 'servers: error: %s\n' "$*" >&2; exit 1; }

build_pid='' build_log='' build_result=''
cleanup() {
  if [[ -n $build_pid ]]; then
    # An interrupted `go build` lets its compilers end and removes its temporary files.
    kill -INT "$build_pid" 2>/dev/null && wait "$build_pid" || true
  fi
  [[ -z $build_log ]] || rm -f "$build_log"
  [[ -z $build_result ]] || rm -f "$build_result"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# module_dir MODULE: the cache folder of one nested module, named after all that
# decides what its binaries are.
module_dir() {
  local dir=$here/$1 goversion
  command -v go >/dev/null || die "Go is needed to build $1: install it from https://go.dev/dl and put it on PATH"
  goversion=$(cd "$dir" && GOWORK=off GOFLAGS= go env GOVERSION GOOS GOARCH) || die "go does not work in $dir"
  local hash
  hash=$( { cat "$dir/go.mod" "$dir/go.sum"; echo "$goversion"; } | sha256)
  echo "$cache/$1-${hash:0:16}/bin"
}

sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# locked FILE COMMAND...: run COMMAND while no other run of this script does so.
# Without flock(1) two runs may build the same thing twice; each result is moved
# into place whole, so that is only slow.
locked() {
  local file=$1; shift
  mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] || die "cannot write to the cache $cache: set ENTENTE_TOOLS_CACHE to a folder of yours"
  if command -v flock >/dev/null; then
    exec 9>"$file"
    flock -n 9 || { say "waiting for another run to finish (lock $file)"; flock 9; }
    "$@"
    exec 9>&-
  else
    "$@"
  fi
}

# build MODULE NAME PACKAGE ESTIMATE FLAGS...: one binary into $out, atomically.
build() {
  local module=$1 name=$2 package=$3 estimate=$4; shift 4
  [[ -x $out/$name ]] && return 0 # another run built it while we waited
  mkdir -p "$out"
  build_log=$(mktemp "${TMPDIR:-/tmp}/entente-build.XXXXXX") build_result=$out/.$name.$$
  say "building $name ($estimate on 2 cores the first time; kept in $out)"
  local started=$SECONDS next=20
  (cd "$here/$module" && exec env CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false \
    go build -v -o "$build_result" "$@" "$package") >"$build_log" 2>&1 9>&- &
  build_pid=$!
  while kill -0 "$build_pid" 2>/dev/null; do
    sleep 0.2
    if (( SECONDS - started >= next )); then
      # `go build -v` names each package that it has to compile.
      say "  still building $name: $((SECONDS - started)) s, $(grep -cvE '^go: |^#' "$build_log" || true) packages compiled, the others were cached"
      next=$((next + 20))
    fi
  done
  local rc=0
  wait "$build_pid" || rc=$?
  build_pid=''
  if (( rc != 0 )); then
    # Package names are progress, not the error.
    grep -vE '^[A-Za-z0-9._/~-]+$|^go: downloading' "$build_log" | tail -n 30 >&2 || true
    die "go build $package failed with status $rc (in $here/$module); is the Go module proxy reachable and is there disk space in $(go env GOCACHE) and $cache?"
  fi
  rm -f "$build_log"; build_log=''
  mv "$build_result" "$out/$name"; build_result=''
  say "  built $name in $((SECONDS - started)) s"
}

## kube-apiserver, etcd, kubectl

# usable_assets DIR: does DIR hold an API server that is new enough, and etcd?
usable_assets() {
  [[ -x $1/kube-apiserver && -x $1/etcd ]] || return 1
  local version
  version=$("$1/kube-apiserver" --version 2>/dev/null) || return 1
  [[ $version =~ v1\.([0-9]+)\. ]] && (( BASH_REMATCH[1] >= kube_minor_min ))
}

kube_flags() {
  local package=k8s.io/component-base/version minor=${kube_version#v1.}
  echo "-s -w -X $package.gitVersion=$kube_version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
}

build_kube() {
  build kube etcd go.etcd.io/etcd/server/v3 'about 1 minute' -ldflags '-s -w'
  build kube kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver '5 to 10 minutes' -ldflags "$(kube_flags)"
}

build_kubectl() { build kube kubectl k8s.io/kubernetes/cmd/kubectl 'about 1 minute' -ldflags "$(kube_flags)"; }

kube() {
  local assets='' kubectl='' out
  if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
    usable_assets "$KUBEBUILDER_ASSETS" ||
      die "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS does not hold kube-apiserver (1.$kube_minor_min or newer) and etcd: mend it, or unset it to have them built"
    assets=$KUBEBUILDER_ASSETS
  elif command -v setup-envtest >/dev/null; then
    assets=$(setup-envtest use -i -p path 2>/dev/null) && usable_assets "$assets" || assets=''
  fi
  if [[ -z $assets ]]; then
    out=$(module_dir kube)
    [[ -x $out/kube-apiserver && -x $out/etcd ]] || locked "$cache/kube.lock" build_kube
    assets=$out
  fi
  if [[ -x $assets/kubectl ]]; then
    kubectl=$assets/kubectl
  elif [[ -z ${out:-} ]] && kubectl=$(command -v kubectl); then
    :
  else
    out=$(module_dir kube)
    [[ -x $out/kubectl ]] || locked "$cache/kube.lock" build_kubectl
    kubectl=$out/kubectl
  fi
  export_line KUBEBUILDER_ASSETS "$assets"
  export_line ENTENTE_KUBECTL "$kubectl"
}

## Vault

# full_vault FILE: is FILE a Vault that is new enough and has the PostgreSQL
# plugin built in? (The names of its functions are in every Go binary.)
full_vault() {
  local version
  version=$("$1" version 2>/dev/null) || return 1
  [[ $version =~ ^Vault\ v([0-9]+)\.([0-9]+) ]] || return 1
  (( BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= vault_minor_min )) || return 1
  grep -aq 'hashicorp/vault/plugins/database/postgresql\.New' "$1"
}

build_vault() {
  build vault vault github.com/hashicorp/vault 'about 5 minutes' -tags minimal -ldflags '-s -w'
  # Vault lists the folder of plugins and takes each file there for one.
  local out=${out%/bin}/plugins
  build vault postgresql-database-plugin \
    github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin 'a few seconds more' -tags minimal -ldflags '-s -w'
}

vault() {
  local binary='' plugins='' out
  if [[ -n ${ENTENTE_VAULT:-} ]]; then
    [[ -x $ENTENTE_VAULT ]] || die "ENTENTE_VAULT=$ENTENTE_VAULT is not a program"
    binary=$ENTENTE_VAULT plugins=${ENTENTE_VAULT_PLUGIN_DIR:-}
    [[ -n $plugins ]] || full_vault "$binary" ||
      die "ENTENTE_VAULT=$ENTENTE_VAULT is not a full Vault of at least 1.$vault_minor_min: unset it to have one built"
  elif binary=$(type -P vault) && full_vault "$binary"; then
    :
  else
    out=$(module_dir vault)
    binary=$out/vault plugins=${out%/bin}/plugins
    [[ -x $binary && -x $plugins/postgresql-database-plugin ]] || locked "$cache/vault.lock" build_vault
  fi
  export_line ENTENTE_VAULT "$binary"
  export_line ENTENTE_VAULT_PLUGIN_DIR "$plugins"
}

## PostgreSQL

# find_postgres: print the folder of the newest server that is new enough.
find_postgres() {
  local dir version
  while read -r dir; do
    [[ -n $dir && -x $dir/postgres && -x $dir/initdb ]] || continue
    version=$("$dir/postgres" --version 2>/dev/null) || continue
    [[ $version =~ \ ([0-9]+) ]] && (( BASH_REMATCH[1] >= postgres_major_min )) || continue
    echo "$dir"
    return 0
  done < <(
    [[ -z ${ENTENTE_POSTGRES_BIN:-} ]] || echo "$ENTENTE_POSTGRES_BIN"
    ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV || true
    ls -d /usr/pgsql-*/bin 2>/dev/null | sort -rV || true
    local found
    if found=$(type -P postgres); then dirname "$(readlink -f "$found" 2>/dev/null || echo "$found")"; fi
  )
  return 1
}

# need_apt PROBLEM PACKAGES INSTEAD: say how to go on where this script cannot install; else $sudo is what gives it the right to.
need_apt() {
  command -v apt-get >/dev/null || die "$1: install it with your package manager, or $3"
  if (( $(id -u) != 0 )); then
    sudo -n true 2>/dev/null || die "$1, and installing it needs root: run 'sudo apt-get install --no-install-recommends $2', or $3"
    sudo=(sudo -n)
  fi
}

install_postgres() {
  find_postgres >/dev/null && return 0
  say "installing PostgreSQL with apt-get (about 1 minute)"
  # Debian would make and start a server of its own; the tests start theirs.
  local conf=/etc/postgresql-common/createcluster.d/entente.conf had=yes rc=0
  [[ -d ${conf%/*} ]] || had=no
  "${sudo[@]}" mkdir -p "${conf%/*}"
  echo 'create_main_cluster = false' | "${sudo[@]}" tee "$conf" >/dev/null
  build_log=$(mktemp "${TMPDIR:-/tmp}/entente-apt.XXXXXX")
  { "${sudo[@]}" apt-get update -q &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql; } >"$build_log" 2>&1 9>&- || rc=$?
  "${sudo[@]}" rm -f "$conf"
  [[ $had = yes ]] || "${sudo[@]}" rmdir "${conf%/*}" 2>/dev/null || true
  (( rc == 0 )) || { tail -n 30 "$build_log" >&2; die "apt-get could not install postgresql (status $rc): install it by hand, or set ENTENTE_POSTGRES_BIN"; }
  rm -f "$build_log"; build_log=''
}

postgres() {
  local dir
  if [[ -n ${ENTENTE_POSTGRES_BIN:-} && ! ( -x $ENTENTE_POSTGRES_BIN/postgres && -x $ENTENTE_POSTGRES_BIN/initdb ) ]]; then
    die "ENTENTE_POSTGRES_BIN=$ENTENTE_POSTGRES_BIN does not hold postgres and initdb"
  fi
  if ! dir=$(find_postgres); then
    local sudo=()
    need_apt "no PostgreSQL server ($postgres_major_min or newer) found" postgresql "set ENTENTE_POSTGRES_BIN to the folder of postgres and initdb"
    locked "$cache/postgres.lock" install_postgres
    dir=$(find_postgres) || die "PostgreSQL was installed, but no server of version $postgres_major_min or newer is in /usr/lib/postgresql"
  fi
  export_line ENTENTE_POSTGRES_BIN "$dir"
}

## a browser

find_browser() {
  local name
  for name in chromium chromium-browser google-chrome-stable google-chrome; do
    type -P "$name" && return 0
  done
  return 1
}

install_browser() {
  find_browser >/dev/null && return 0
  say "installing Chromium with apt-get (about 1 minute)"
  local rc=0
  build_log=$(mktemp "${TMPDIR:-/tmp}/entente-apt.XXXXXX")
  { "${sudo[@]}" apt-get update -q &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-liberation; } >"$build_log" 2>&1 9>&- || rc=$?
  (( rc == 0 )) || { tail -n 30 "$build_log" >&2; die "apt-get could not install chromium (status $rc): install it by hand, or set ENTENTE_BROWSER"; }
  rm -f "$build_log"; build_log=''
}

browser() {
  local program=''
  if [[ -n ${ENTENTE_BROWSER:-} ]]; then
    [[ -x $ENTENTE_BROWSER ]] || die "ENTENTE_BROWSER=$ENTENTE_BROWSER is not a program"
    program=$ENTENTE_BROWSER
  elif ! program=$(find_browser); then
    local sudo=()
    need_apt "no browser found" "chromium fonts-liberation" "set ENTENTE_BROWSER to a Chromium or Chrome"
    locked "$cache/browser.lock" install_browser
    program=$(find_browser) || die "Chromium was installed, but is not on PATH"
  fi
  export_line ENTENTE_BROWSER "$program"
}

## Prometheus

find_prometheus() {
  type -P prometheus && return 0
  [[ -x $cache/prometheus/usr/bin/prometheus ]] && echo "$cache/prometheus/usr/bin/prometheus"
}

# unpack_prometheus: Debian's package would start a server of its own when it is installed. Unpacking it needs no root.
unpack_prometheus() {
  find_prometheus >/dev/null && return 0
  say "unpacking Prometheus from Debian's package (about 1 minute)"
  local dir rc=0
  dir=$(mktemp -d "$cache/prometheus.XXXXXX")
  build_log=$(mktemp "${TMPDIR:-/tmp}/entente-apt.XXXXXX")
  (cd "$dir" && { apt-get download -q prometheus || { "${sudo[@]}" apt-get update -q && apt-get download -q prometheus; }; } &&
    dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) >"$build_log" 2>&1 9>&- || rc=$?
  (( rc == 0 )) || { tail -n 30 "$build_log" >&2; rm -rf "$dir"; die "Debian's package prometheus could not be unpacked (status $rc): install Prometheus by hand, or set ENTENTE_PROMETHEUS"; }
  rm -f "$build_log"; build_log=''
  rm -rf "$cache/prometheus"
  mv "$dir" "$cache/prometheus"
}

prometheus() {
  local program=''
  if [[ -n ${ENTENTE_PROMETHEUS:-} ]]; then
    [[ -x $ENTENTE_PROMETHEUS ]] || die "ENTENTE_PROMETHEUS=$ENTENTE_PROMETHEUS is not a program"
    program=$ENTENTE_PROMETHEUS
  elif ! program=$(find_prometheus); then
    local sudo=()
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "no Prometheus found: install it with your package manager, or set ENTENTE_PROMETHEUS to it"
    (( $(id -u) == 0 )) || sudo=(sudo -n)
    locked "$cache/prometheus.lock" unpack_prometheus
    program=$(find_prometheus) || die "Prometheus was unpacked, but is not in $cache/prometheus"
  fi
  export_line ENTENTE_PROMETHEUS "$program"
}

## the list

exports=''
export_line() { exports+="export $1='${2//\'/\'\\\'\'}'"$'\n'; }

wanted=("$@")
(( $# > 0 )) || wanted=(kube vault postgres)
for name in "${wanted[@]}"; do
  case $name in
    kube | vault | postgres | browser | prometheus) ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown server '$name': choose of kube, vault, postgres, browser, prometheus" ;;
  esac
done
for name in "${wanted[@]}"; do "$name"; done

if (( $# == 0 )) && mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]]; then
  printf '%s' "$exports" >"$cache/.servers.env.$$"
  mv "$cache/.servers.env.$$" "$cache/servers.env"
fi
printf '%s' "$exports"
