package main

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

// report is what is committed as hack/bench/results/scale.json.
type report struct {
	Date    string   `json:"date"`
	Command string   `json:"command"`
	Go      string   `json:"go"`
	Machine string   `json:"machine"`
	Results []result `json:"results"`
}

// row is one line of the table: what, and in what unit.
type row struct {
	name  string
	value func(result) float64
	show  string
}

var rows = []row{
	{"brought into force, a second", func(r result) float64 { return r.FillPerSecond }, "%.0f"},
	{"API server requests a change", func(r result) float64 { return r.APIRequestsPerChange }, "%.1f"},
	{"API server KiB a change", func(r result) float64 { return r.APIBytesPerChange / 1024 }, "%.0f"},
	{"Vault requests a change", func(r result) float64 { return r.VaultRequestsPerChange }, "%.1f"},
	{"Vault requests an agreement and day, idle", func(r result) float64 { return r.VaultRequestsPerDay }, "%.1f"},
	{"operator cold start, s", func(r result) float64 { return r.ColdStartSeconds }, "%.1f"},
	{"… its CPU, s", func(r result) float64 { return r.ColdStartCPUSeconds }, "%.1f"},
	{"… its queues at most", func(r result) float64 { return r.ColdStartQueue }, "%.0f"},
	{"gateway start with all routes, s", func(r result) float64 { return r.GatewayStartSeconds }, "%.2f"},
	{"operator, empty, MB", func(r result) float64 { return float64(r.OperatorIdleBytes) / 1e6 }, "%.0f"},
	{"gateway, empty, MB", func(r result) float64 { return float64(r.GatewayIdleBytes) / 1e6 }, "%.0f"},
	{"operator, empty, of that its own MB", func(r result) float64 { return float64(r.OperatorIdleAnonBytes) / 1e6 }, "%.0f"},
	{"gateway, empty, of that its own MB", func(r result) float64 { return float64(r.GatewayIdleAnonBytes) / 1e6 }, "%.0f"},
	{"operator, MB", func(r result) float64 { return float64(r.OperatorBytes) / 1e6 }, "%.0f"},
	{"gateway, MB", func(r result) float64 { return float64(r.GatewayBytes) / 1e6 }, "%.0f"},
	{"operator, KB an agreement", func(r result) float64 { return r.OperatorBytesPerAgreement / 1e3 }, "%.1f"},
	{"gateway, KB an agreement", func(r result) float64 { return r.GatewayBytesPerAgreement / 1e3 }, "%.1f"},
	{"operator, idle, % of a core", func(r result) float64 { return 100 * r.OperatorIdleCPU }, "%.1f"},
	{"apply→enforced p50, s", func(r result) float64 { return r.EnforcedP50 }, "%.3f"},
	{"apply→enforced p99, s", func(r result) float64 { return r.EnforcedP99 }, "%.3f"},
	{"suspend→denied p50, s", func(r result) float64 { return r.DeniedP50 }, "%.3f"},
	{"suspend→denied p99, s", func(r result) float64 { return r.DeniedP99 }, "%.3f"},
	{"a question meanwhile p50, s", func(r result) float64 { return r.QuestionP50 }, "%.3f"},
	{"compile, µs an agreement", func(r result) float64 { return r.CompileNanos / 1e3 }, "%.0f"},
	{"compile, allocations an agreement", func(r result) float64 { return r.CompileAllocs }, "%.0f"},
}

// promises are the bounds of the rows, by their names, with a number of agreements on a class of machine.
type promises struct {
	Machine    string             `json:"machine"`
	Agreements int                `json:"agreements"`
	Rows       map[string]promise `json:"rows"`
}

// promise is what a row is at most, and by how much it grows at most with ten times the agreements; 0: nothing is promised.
type promise struct {
	AtMost  float64 `json:"atMost,omitempty"`
	GrowsBy float64 `json:"growsBy,omitempty"`
}

//go:embed promises.json
var promisesFile []byte

func readPromises() (p promises, err error) {
	d := json.NewDecoder(bytes.NewReader(promisesFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("promises.json: %w", err)
	}
	for name := range p.Rows {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return p, fmt.Errorf("promises.json: nothing measured is %q", name)
		}
	}
	return p, nil
}

// table prints a column for each number of agreements, what is promised, and how the last two columns compare.
func (r report) table(w io.Writer, p promises, before *report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "agreements\t")
	for _, c := range r.Results {
		fmt.Fprintf(t, "%d\t", c.Agreements)
	}
	fmt.Fprint(t, "promised\tgrows by\tpromised\tof the last run\t\n")
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t", row.name)
		for _, c := range r.Results {
			fmt.Fprintf(t, row.show+"\t", row.value(c))
		}
		promised, grown, mayGrow, was := "", "", "", ""
		if most := p.Rows[row.name].AtMost; most > 0 {
			promised = fmt.Sprintf("≤ %g", most)
		}
		if n := len(r.Results); n > 1 && row.value(r.Results[n-2]) > 0 {
			grown = fmt.Sprintf("%.2f ×", row.value(r.Results[n-1])/row.value(r.Results[n-2]))
		}
		if by := p.Rows[row.name].GrowsBy; by > 0 {
			mayGrow = fmt.Sprintf("≤ %g ×", by)
		}
		if last, ok := before.of(r.Results[len(r.Results)-1].Agreements); ok && row.value(last) > 0 {
			was = fmt.Sprintf("%.2f ×", row.value(r.Results[len(r.Results)-1])/row.value(last))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", promised, grown, mayGrow, was)
	}
	return t.Flush()
}

// of finds what was measured with so many agreements.
func (r *report) of(agreements int) (result, bool) {
	if r != nil {
		for _, c := range r.Results {
			if c.Agreements == agreements {
				return c, true
			}
		}
	}
	return result{}, false
}

// misses are the promises that the last result does not keep, where it has the number of agreements that they are about.
func (r report) misses(p promises) []string {
	var out []string
	last := r.Results[len(r.Results)-1]
	if last.Agreements != p.Agreements {
		return nil
	}
	for _, row := range rows {
		bound, v := p.Rows[row.name], row.value(last)
		if bound.AtMost > 0 && v > bound.AtMost {
			out = append(out, fmt.Sprintf("%s: "+row.show+", promised ≤ %g", row.name, v, bound.AtMost))
		}
		if n := len(r.Results); bound.GrowsBy > 0 && n > 1 && r.Results[n-2].Agreements*10 == last.Agreements {
			if less := row.value(r.Results[n-2]); less > 0 && v/less > bound.GrowsBy {
				out = append(out, fmt.Sprintf("%s: grows by %.2f ×, promised ≤ %g ×", row.name, v/less, bound.GrowsBy))
			}
		}
	}
	return out
}

func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &report{}
	return r, json.Unmarshal(text, r)
}

func (r report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
