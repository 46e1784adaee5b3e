package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
)

// sourceProcess is a source agency whose gateway, exchange and records are a process of their own.
type sourceProcess struct {
	Peer   route.Peer
	LogDir string
	cmd    *exec.Cmd
}

// unhurried is a source that takes its time after some records.
type unhurried struct {
	source.Source
	after int
	pause time.Duration
}

func (u *unhurried) Records(ctx context.Context, q source.Query, yield func(*gatewayv1.Record) error) (bool, error) {
	n := 0
	return u.Source.Records(ctx, q, func(r *gatewayv1.Record) error {
		if n++; n > u.after && n%50 == 0 {
			time.Sleep(u.pause)
		}
		return yield(r)
	})
}

// TestSourceProcess is what the process of startSource runs; by itself it is no test.
func TestSourceProcess(t *testing.T) {
	name := os.Getenv("ENTENTE_TEST_SOURCE")
	if name == "" {
		t.Skip("run by other tests")
	}
	src := startAgency(t, name, options{people: 40_000})
	if os.Getenv("ENTENTE_TEST_UNHURRIED") != "" {
		src.sources.Source = &unhurried{src.sources.Source, 600, 50 * time.Millisecond}
	}
	c := clause("persons", src, &agency{party: route.Party{Agency: "state-police", TrustDomain: "state-police.example"}})
	src.apply("agr-"+name, nil, c)
	must(t, json.NewEncoder(os.Stdout).Encode(sourceProcess{Peer: src.peer(), LogDir: src.logDir}))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the other end goes
}

// startSource starts a source and agrees with it.
func startSource(t *testing.T, name string, rec *agency, env ...string) *sourceProcess {
	t.Helper()
	p := &sourceProcess{cmd: exec.Command(os.Args[0], "-test.run=^TestSourceProcess$")}
	p.cmd.Env = append(append(os.Environ(), "ENTENTE_TEST_SOURCE="+name, "TMPDIR="+t.TempDir()), env...)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() { in.Close(); _ = p.cmd.Wait() })
	must(t, json.NewDecoder(out).Decode(p))
	go func() { _, _ = io.Copy(io.Discard, out) }()
	stub := &agency{party: p.Peer.Party, ca: rec.ca}
	c := clause("persons", stub, rec)
	c.Source = p.Peer
	rec.apply("agr-"+name, nil, c)
	return p
}

// TestOneOfThreeIsKilled kills the process of one of three sources (kill -9) while it streams: the others are complete, it is marked.
func TestOneOfThreeIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for name, extra := range map[string]string{"as they come": `"limit":4000`, "in an order": `"order":[{"field":"birth_date"}]`} {
		t.Run(name, func(t *testing.T) {
			rec := startAgency(t, "state-police", options{people: 1, timeout: time.Minute})
			startSource(t, "a-whole", rec)
			startSource(t, "b-whole", rec)
			third := startSource(t, "c-killed", rec, "ENTENTE_TEST_UNHURRIED=1")

			req, err := http.NewRequest("POST", "https://"+rec.addrs.REST+"/v1/query", strings.NewReader(q(`family_name == "f3"`, extra)))
			must(t, err)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/x-ndjson")
			resp, err := rec.client("alice").Do(req)
			must(t, err)
			defer resp.Body.Close()
			records := map[string]int64{}
			statuses := map[string]string{}
			counted := map[string]int64{}
			complete, summary := true, false
			last := ""
			lines := bufio.NewScanner(resp.Body)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				var line struct {
					Source *struct{ Agency, DisclosureID string }
					Record map[string]any
					Status *struct {
						Agency, Outcome, Reason string
						Records                 int64
					}
					Summary *struct{ Complete bool }
				}
				must(t, json.Unmarshal(lines.Bytes(), &line))
				switch {
				case line.Source != nil:
					if records[line.Source.Agency]++; line.Source.Agency == "c-killed" && records["c-killed"] == 1 {
						must(t, third.cmd.Process.Kill())
					}
					if born := fmt.Sprint(line.Record["birth_date"]); name == "in an order" {
						if born < last {
							t.Fatalf("%s after %s", born, last)
						}
						last = born
					}
				case line.Status != nil:
					statuses[line.Status.Agency] = line.Status.Outcome + " " + line.Status.Reason
					counted[line.Status.Agency] = line.Status.Records
				case line.Summary != nil:
					summary, complete = true, line.Summary.Complete
				}
			}
			must(t, lines.Err())
			for _, whole := range []string{"a-whole", "b-whole"} {
				if records[whole] != 4000 || statuses[whole] != "OK " || counted[whole] != 4000 {
					t.Errorf("%s: %d records, %s", whole, records[whole], statuses[whole])
				}
			}
			if n := records["c-killed"]; n == 0 || n >= 4000 || statuses["c-killed"] != "PARTIAL Unreachable" || counted["c-killed"] != n || !summary || complete {
				t.Errorf("c-killed: %d records, %d by its status %q, summary %v, complete %v", n, counted["c-killed"], statuses["c-killed"], summary, complete)
			}
			// What the third disclosed is in its log, which it had no time to close.
			released := int64(0)
			_ = third.cmd.Wait()
			must(t, audit.Read(third.LogDir, func(e audit.Entry) error {
				if e.Record.Kind == audit.Release {
					released += e.Record.Records
				}
				return nil
			}))
			if released < records["c-killed"] {
				t.Errorf("the log of the killed source has %d records as disclosed, %d were received", released, records["c-killed"])
			}
			ours := rec.records()
			for _, r := range ours {
				if r.Kind == audit.Outcome && r.Source == "c-killed" && (r.Outcome != "PARTIAL" || r.ResponseDigest != "") {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}
