// Package report is what hack/bench/scale measures: its rows, what is promised of them, and the file of results.
package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// Report is what is committed as hack/bench/results/scale.json.
type Report struct {
	Date    string   `json:"date"`
	Command string   `json:"command"`
	Go      string   `json:"go"`
	Machine string   `json:"machine"`
	Results []Result `json:"results"`
}

// Result is what was measured with one number of agreements. Durations are in seconds, sizes in bytes.
type Result struct {
	Agreements int `json:"agreements"`
	Peers      int `json:"peers"`

	// FillSeconds is from the first agreement applied until all are served, FillPerSecond how many a second.
	FillSeconds   float64 `json:"fillSeconds"`
	FillPerSecond float64 `json:"fillPerSecond"`
	// Requests and bytes that the API server answered for each agreement that was brought into force, those of the people who did so
	// apart: two. Requests of Vault likewise.
	APIRequestsPerChange   float64 `json:"apiRequestsPerChange"`
	APIBytesPerChange      float64 `json:"apiBytesPerChange"`
	VaultRequestsPerChange float64 `json:"vaultRequestsPerChange"`
	// VaultRequestsPerDay for each agreement while nothing changes: by what was counted in half a minute, and what reading all roles once
	// an hour comes to.
	VaultRequestsPerDay float64 `json:"vaultRequestsPerDay"`

	// ColdStartSeconds is from the start of the operator until it has looked at every agreement and has nothing left to do, with all
	// routes there; its CPU time until then, and the most that its queues held.
	ColdStartSeconds    float64 `json:"coldStartSeconds"`
	ColdStartCPUSeconds float64 `json:"coldStartCPUSeconds"`
	ColdStartQueue      float64 `json:"coldStartQueue"`
	// ColdStartWrites are the API server's writes meanwhile: of what nobody changed, none.
	ColdStartWrites float64 `json:"coldStartWrites"`
	// ColdStartReadSeconds is until the roles of all agreements were read in Vault, which is done in turn, and ColdStartVaultRequests what
	// Vault was asked for until then.
	ColdStartReadSeconds   float64 `json:"coldStartReadSeconds"`
	ColdStartVaultRequests float64 `json:"coldStartVaultRequests"`
	// GatewayStartSeconds is from the start of the gateway until it is ready with all routes.
	GatewayStartSeconds float64 `json:"gatewayStartSeconds"`

	// Resident memory of the processes after that, and what it is for an agreement, over what an empty one takes.
	OperatorBytes     int64 `json:"operatorBytes"`
	GatewayBytes      int64 `json:"gatewayBytes"`
	OperatorIdleBytes int64 `json:"operatorIdleBytes"`
	GatewayIdleBytes  int64 `json:"gatewayIdleBytes"`
	// What of that is the processes' own, without the pages of the binary.
	OperatorAnonBytes         int64   `json:"operatorAnonBytes"`
	GatewayAnonBytes          int64   `json:"gatewayAnonBytes"`
	OperatorIdleAnonBytes     int64   `json:"operatorIdleAnonBytes"`
	GatewayIdleAnonBytes      int64   `json:"gatewayIdleAnonBytes"`
	OperatorBytesPerAgreement float64 `json:"operatorBytesPerAgreement"`
	GatewayBytesPerAgreement  float64 `json:"gatewayBytesPerAgreement"`
	// CPU of the operator in a second in which nothing changes, in parts of one core.
	OperatorIdleCPU float64 `json:"operatorIdleCPU"`

	EnforcedP50 float64 `json:"enforcedP50"`
	EnforcedP99 float64 `json:"enforcedP99"`
	DeniedP50   float64 `json:"deniedP50"`
	DeniedP99   float64 `json:"deniedP99"`
	QuestionP50 float64 `json:"questionP50"`
	Rounds      int     `json:"rounds"`

	CompileNanos  float64 `json:"compileNanosPerAgreement,omitempty"`
	CompileAllocs float64 `json:"compileAllocsPerAgreement,omitempty"`
}

// Row is one line of the table: what, in what unit, and how it is written.
type Row struct {
	Name  string
	Value func(Result) float64
	Show  string
}

// Rows of the table, in their order.
var Rows = []Row{
	{"brought into force, a second", func(r Result) float64 { return r.FillPerSecond }, "%.0f"},
	{"API server requests a change", func(r Result) float64 { return r.APIRequestsPerChange }, "%.1f"},
	{"API server KiB a change", func(r Result) float64 { return r.APIBytesPerChange / 1024 }, "%.0f"},
	{"Vault requests a change", func(r Result) float64 { return r.VaultRequestsPerChange }, "%.1f"},
	{"Vault requests an agreement and day, idle", func(r Result) float64 { return r.VaultRequestsPerDay }, "%.1f"},
	{"operator cold start, s", func(r Result) float64 { return r.ColdStartSeconds }, "%.1f"},
	{"… its CPU, s", func(r Result) float64 { return r.ColdStartCPUSeconds }, "%.1f"},
	{"… its queues at most", func(r Result) float64 { return r.ColdStartQueue }, "%.0f"},
	{"… writes, with nothing changed", func(r Result) float64 { return r.ColdStartWrites }, "%.0f"},
	{"… until all roles in Vault were read, s", func(r Result) float64 { return r.ColdStartReadSeconds }, "%.0f"},
	{"gateway start with all routes, s", func(r Result) float64 { return r.GatewayStartSeconds }, "%.2f"},
	{"operator, empty, MB", func(r Result) float64 { return float64(r.OperatorIdleBytes) / 1e6 }, "%.0f"},
	{"gateway, empty, MB", func(r Result) float64 { return float64(r.GatewayIdleBytes) / 1e6 }, "%.0f"},
	{"operator, empty, of that its own MB", func(r Result) float64 { return float64(r.OperatorIdleAnonBytes) / 1e6 }, "%.0f"},
	{"gateway, empty, of that its own MB", func(r Result) float64 { return float64(r.GatewayIdleAnonBytes) / 1e6 }, "%.0f"},
	{"operator, MB", func(r Result) float64 { return float64(r.OperatorBytes) / 1e6 }, "%.0f"},
	{"gateway, MB", func(r Result) float64 { return float64(r.GatewayBytes) / 1e6 }, "%.0f"},
	{"operator, KB an agreement", func(r Result) float64 { return r.OperatorBytesPerAgreement / 1e3 }, "%.1f"},
	{"gateway, KB an agreement", func(r Result) float64 { return r.GatewayBytesPerAgreement / 1e3 }, "%.1f"},
	{"operator, idle, % of a core", func(r Result) float64 { return 100 * r.OperatorIdleCPU }, "%.1f"},
	{"apply→enforced p50, s", func(r Result) float64 { return r.EnforcedP50 }, "%.3f"},
	{"apply→enforced p99, s", func(r Result) float64 { return r.EnforcedP99 }, "%.3f"},
	{"suspend→denied p50, s", func(r Result) float64 { return r.DeniedP50 }, "%.3f"},
	{"suspend→denied p99, s", func(r Result) float64 { return r.DeniedP99 }, "%.3f"},
	{"a question meanwhile p50, s", func(r Result) float64 { return r.QuestionP50 }, "%.3f"},
	{"compile, µs an agreement", func(r Result) float64 { return r.CompileNanos / 1e3 }, "%.0f"},
	{"compile, allocations an agreement", func(r Result) float64 { return r.CompileAllocs }, "%.0f"},
}

// Promises are the bounds of the rows, by their names, with a number of agreements on a class of machine.
type Promises struct {
	Machine    string             `json:"machine"`
	Agreements int                `json:"agreements"`
	Rows       map[string]Promise `json:"rows"`
}

// Promise is what a row is at most, and by how much it grows at most with ten times the agreements; 0: nothing is promised.
type Promise struct {
	AtMost  float64 `json:"atMost,omitempty"`
	GrowsBy float64 `json:"growsBy,omitempty"`
}

//go:embed promises.json
var promisesFile []byte

// ReadPromises reads promises.json.
func ReadPromises() (p Promises, err error) {
	d := json.NewDecoder(bytes.NewReader(promisesFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("promises.json: %w", err)
	}
	for name := range p.Rows {
		if !slices.ContainsFunc(Rows, func(r Row) bool { return r.Name == name }) {
			return p, fmt.Errorf("promises.json: nothing measured is %q", name)
		}
	}
	return p, nil
}

// Table prints a column for each number of agreements, what is promised, and how the last two columns compare.
func (r Report) Table(w io.Writer, p Promises, before *Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "agreements\t")
	for _, c := range r.Results {
		fmt.Fprintf(t, "%d\t", c.Agreements)
	}
	fmt.Fprint(t, "promised\tgrows by\tpromised\tof the last run\t\n")
	for _, row := range Rows {
		fmt.Fprintf(t, "%s\t", row.Name)
		for _, c := range r.Results {
			fmt.Fprintf(t, row.Show+"\t", row.Value(c))
		}
		promised, grown, mayGrow, was := "", "", "", ""
		if most := p.Rows[row.Name].AtMost; most > 0 {
			promised = fmt.Sprintf("≤ %g", most)
		}
		if n := len(r.Results); n > 1 && row.Value(r.Results[n-2]) > 0 {
			grown = fmt.Sprintf("%.2f ×", row.Value(r.Results[n-1])/row.Value(r.Results[n-2]))
		}
		if by := p.Rows[row.Name].GrowsBy; by > 0 {
			mayGrow = fmt.Sprintf("≤ %g ×", by)
		}
		if last, ok := before.of(r.Results[len(r.Results)-1].Agreements); ok && row.Value(last) > 0 {
			was = fmt.Sprintf("%.2f ×", row.Value(r.Results[len(r.Results)-1])/row.Value(last))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", promised, grown, mayGrow, was)
	}
	return t.Flush()
}

// of finds what was measured with so many agreements.
func (r *Report) of(agreements int) (Result, bool) {
	if r != nil {
		for _, c := range r.Results {
			if c.Agreements == agreements {
				return c, true
			}
		}
	}
	return Result{}, false
}

// Misses are the promises that the last result does not keep, where it has the number of agreements that they are about.
func (r Report) Misses(p Promises) []string {
	var out []string
	last := r.Results[len(r.Results)-1]
	if last.Agreements != p.Agreements {
		return nil
	}
	for _, row := range Rows {
		bound, v := p.Rows[row.Name], row.Value(last)
		if bound.AtMost > 0 && v > bound.AtMost {
			out = append(out, fmt.Sprintf("%s: "+row.Show+", promised ≤ %g", row.Name, v, bound.AtMost))
		}
		if n := len(r.Results); bound.GrowsBy > 0 && n > 1 && r.Results[n-2].Agreements*10 == last.Agreements {
			if less := row.Value(r.Results[n-2]); less > 0 && v/less > bound.GrowsBy {
				out = append(out, fmt.Sprintf("%s: grows by %.2f ×, promised ≤ %g ×", row.Name, v/less, bound.GrowsBy))
			}
		}
	}
	return out
}

// Read reads a file of results; nil: there is none.
func Read(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &Report{}
	return r, json.Unmarshal(text, r)
}

// Write writes the file of results.
func (r Report) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
