package main

import (
	"strings"

	"github.com/google/pprof/profile"
)

const module = "github.com/entente-dev/entente/"

// The parts of a request. A sample of the profile is of the innermost part that it is in. Everything that is no part of its own
// counts for whoever called it: the standard library, system calls, allocation, hashing and randomness, small dependencies.
// So the hashes and the syncs of the log are the log's, not cryptography's.
var parts = []struct{ prefix, part string }{
	{"crypto/tls.", "TLS"},
	{"crypto/x509.", "TLS"},
	{"github.com/spiffe/go-spiffe/", "TLS"},
	{"github.com/jackc/", "PostgreSQL client"},
	{"google.golang.org/grpc", "gRPC"},
	{"google.golang.org/protobuf/", "gRPC"},
	{"golang.org/x/net/", "gRPC"},
	{module + "api/", "gRPC"},
	{"net/http.", "gRPC"},
	{module + "gateway/filter.", "own: enforce, filter"},
	{module + "gateway/enforce.", "own: enforce, filter"},
	{module + "gateway/route.", "own: enforce, filter"},
	{"cel.dev/", "own: enforce, filter"},
	{module + "gateway/audit.", "own: audit"},
	{module + "gateway/disclosure.", "own: disclosure"},
	{module + "gateway/digest.", "own: disclosure"},
	{module + "gateway/federation.", "own: federation"},
	{module + "gateway/peer.", "own: federation"},
	{module + "gateway/source", "own: source"},
	{module + "gateway", "own: other"},
	{"main.", "bench"},
	{module + "hack/bench/", "bench"},
}

const (
	partRuntime = "runtime"
	partServer  = "PostgreSQL server"
	ownPrefix   = "own: "
)

// share of a request by part, in samples.
type share struct {
	samples map[string]int64
	// system is the samples among them that are in a system call.
	system map[string]int64
}

func newShare() *share { return &share{map[string]int64{}, map[string]int64{}} }

func (s *share) add(p *profile.Profile) {
	for _, sample := range p.Sample {
		part := partRuntime
		system := false
	stack:
		for i, l := range sample.Location {
			for _, line := range l.Line {
				name := line.Function.Name
				if i == 0 && (strings.Contains(name, "runtime/syscall") || strings.HasPrefix(name, "syscall.")) {
					system = true
				}
				if found := partOf(name); found != "" {
					part = found
					break stack
				}
			}
		}
		s.samples[part] += sample.Value[0]
		if system {
			s.system[part] += sample.Value[0]
		}
	}
}

func partOf(function string) string {
	for _, p := range parts {
		if strings.HasPrefix(function, p.prefix) {
			return p.part
		}
	}
	return ""
}

func (s *share) total() (n int64) {
	for _, v := range s.samples {
		n += v
	}
	return n
}
