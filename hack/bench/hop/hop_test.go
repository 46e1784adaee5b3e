package main

import (
	"os"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/entente-dev/entente/hack/bench/rig"
)

// TestMain is also the child that makes the load.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == rig.ChildArgument {
		exit(rig.Load(asker))
		return
	}
	os.Exit(m.Run())
}

// TestSmoke sees that everything runs and every target answers; it says nothing of times.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real server: run without -short")
	}
	err := run(t.Context(), options{rounds: 1, time: 50 * time.Millisecond, callers: []int{2}, dir: t.TempDir(), out: t.TempDir() + "/hop.json"})
	if err != nil {
		t.Fatal(err)
	}
}

// TestShare: a sample is of the innermost part that it is in, whatever it calls.
func TestShare(t *testing.T) {
	for want, stack := range map[string][]string{
		"TLS":                  {"internal/runtime/syscall/linux.Syscall6", "syscall.Write", "net.(*conn).Write", "crypto/tls.(*Conn).Write", "google.golang.org/grpc/internal/transport.(*bufWriter).Flush"},
		"own: audit":           {"crypto/internal/fips140/sha256.blockSHANI", "crypto/sha256.Sum256", module + "gateway/audit.(*Log).append", module + "gateway/disclosure.(*Core).Retrieve", "google.golang.org/grpc.(*Server).processStreamingRPC"},
		"own: disclosure":      {"runtime.mallocgc", "github.com/google/uuid.Parse", module + "gateway/disclosure.(*disclosure).decide"},
		"own: enforce, filter": {"runtime.mapassign", "cel.dev/cel-go/parser.(*Parser).Parse", module + "gateway/filter.parse"},
		"PostgreSQL client":    {"time.Now", "github.com/jackc/pgx/v5.(*Conn).Query", module + "gateway/source/postgres.(*Source).Records"},
		"own: source":          {"strconv.Itoa", module + "gateway/source/postgres.(*decoder).record"},
		partRuntime:            {"runtime.gcDrain", "runtime.gcBgMarkWorker", "runtime.goexit"},
	} {
		sample := &profile.Sample{Value: []int64{1}}
		for _, name := range stack {
			sample.Location = append(sample.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
		}
		s := newShare()
		s.add(&profile.Profile{Sample: []*profile.Sample{sample}})
		if s.samples[want] != 1 {
			t.Errorf("%s: %v", want, s.samples)
		}
		if (s.system[want] == 1) != (want == "TLS") {
			t.Errorf("%s: in system calls %v", want, s.system)
		}
	}
}
