package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// section is what stands in the page, and the chart below it.
type section struct{ text, svg, alt string }

var sections = map[string]func(path string) (section, error){
	"scale":      scaleSection,
	"width":      widthSection,
	"revoke":     revokeSection,
	"query":      querySection,
	"query-bulk": bulkSection,
	"hop":        hopSection,
	"log":        logSection,
}

// head says where figures come from.
func head(command, date, version, machine string) string {
	return fmt.Sprintf("`%s`, %s, %s, %s:\n\n", command, date, version, machine)
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// table writes a table whose first column is of words and whose others are of numbers.
func table(heads []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|---|%s\n", strings.Join(heads, " | "), strings.Repeat("---:|", len(heads)-1))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return b.String()
}

// scaleFile is what hack/bench/scale writes: numbers by their names in its JSON.
type scaleFile struct {
	Date, Command, Go, Machine string
	Results                    []map[string]float64
}

// scaleRow is a line of the table; promised and grows are words from the design, §11.
var scaleRows = []struct {
	name, key, show string
	by              float64
	promised, grows string
}{
	{"brought into force, a second", "fillPerSecond", "%.0f", 1, "", ""},
	{"API server: requests a change", "apiRequestsPerChange", "%.1f", 1, "", ""},
	{"API server: KiB a change", "apiBytesPerChange", "%.0f", 1024, "", ""},
	{"Vault: requests a change", "vaultRequestsPerChange", "%.1f", 1, "", ""},
	{"Vault: requests an agreement and day, idle", "vaultRequestsPerDay", "%.1f", 1, "", ""},
	{"operator: cold start, s", "coldStartSeconds", "%.1f", 1, "≤ 30", "≤ 11"},
	{"operator: CPU of that, s", "coldStartCPUSeconds", "%.1f", 1, "", ""},
	{"operator: its queues at most", "coldStartQueue", "%.0f", 1, "", ""},
	{"gateway: start with all routes, s", "gatewayStartSeconds", "%.2f", 1, "", ""},
	{"operator: MB, empty", "operatorIdleBytes", "%.0f", 1e6, "≤ 80", ""},
	{"gateway: MB, empty", "gatewayIdleBytes", "%.0f", 1e6, "≤ 60", ""},
	{"operator: of that its own MB, empty", "operatorIdleAnonBytes", "%.0f", 1e6, "", ""},
	{"gateway: of that its own MB, empty", "gatewayIdleAnonBytes", "%.0f", 1e6, "", ""},
	{"operator: MB", "operatorBytes", "%.0f", 1e6, "", "≤ 11"},
	{"gateway: MB", "gatewayBytes", "%.0f", 1e6, "", "≤ 11"},
	{"operator: KB an agreement", "operatorBytesPerAgreement", "%.1f", 1e3, "", ""},
	{"gateway: KB an agreement", "gatewayBytesPerAgreement", "%.1f", 1e3, "≤ 8", ""},
	{"operator: % of a core, idle", "operatorIdleCPU", "%.1f", 0.01, "", ""},
	{"apply → enforced, p50, ms", "enforcedP50", "%.0f", 1e-3, "", "≤ 1.5"},
	{"apply → enforced, p99, ms", "enforcedP99", "%.0f", 1e-3, "≤ 1000", ""},
	{"suspend → denied, p50, ms", "deniedP50", "%.0f", 1e-3, "", "≤ 1.5"},
	{"suspend → denied, p99, ms", "deniedP99", "%.0f", 1e-3, "≤ 250", ""},
	{"one question meanwhile, p50, ms", "questionP50", "%.1f", 1e-3, "", ""},
	{"compile, µs an agreement", "compileNanosPerAgreement", "%.0f", 1e3, "", "≤ 1.1"},
	{"compile, allocations an agreement", "compileAllocsPerAgreement", "%.0f", 1, "", ""},
}

func scaleSection(path string) (section, error) {
	var f scaleFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	n := len(f.Results)
	if n == 0 {
		return section{}, fmt.Errorf("%s: no results", path)
	}
	heads := []string{"agreements"}
	for _, r := range f.Results {
		heads = append(heads, fmt.Sprintf("%.0f", r["agreements"]))
	}
	heads = append(heads, "promised", "the last to the one before", "promised")
	var rows [][]string
	for _, row := range scaleRows {
		line := []string{row.name}
		for _, r := range f.Results {
			line = append(line, fmt.Sprintf(row.show, r[row.key]/row.by))
		}
		grown := ""
		if n > 1 && f.Results[n-2][row.key] > 0 {
			grown = fmt.Sprintf("%.2f ×", f.Results[n-1][row.key]/f.Results[n-2][row.key])
		}
		rows = append(rows, append(line, row.promised, grown, row.grows))
	}
	var bars []bar
	for _, r := range f.Results {
		for _, b := range []struct {
			what, key string
			mark      float64
		}{{"apply → enforced, p50", "enforcedP50", 0}, {"… p99", "enforcedP99", 1000}, {"suspend → denied, p50", "deniedP50", 0}, {"… p99", "deniedP99", 250}} {
			v := r[b.key] * 1000
			bars = append(bars, bar{fmt.Sprintf("%.0f: %s", r["agreements"], b.what), v, b.mark, fmt.Sprintf("%.0f ms", v)})
		}
	}
	return section{
		text: head(f.Command, f.Date, f.Go, f.Machine) + table(heads, rows),
		svg:  barChart("How soon a change is felt, by the number of agreements", "ms; the line is what is promised", bars),
		alt:  "how soon a change is felt, by the number of agreements",
	}, nil
}

// widthFile is what hack/bench/width writes.
type widthFile struct {
	Date, Command, Go, Machine string
	TimeoutMillis              float64
	Results                    []struct {
		Agencies, Width, Goroutines, Connections       int
		FirstP50, FirstP99, AllP50, AllP99, FloorP50   float64
		Answered, CPUPerSourceMicros, HeapPerSourceKiB float64
	}
}

func widthSection(path string) (section, error) {
	var f widthFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	heads := []string{"agencies", "asked at a time", "first record, p50 (p99), ms", "all, p50 (p99), ms", "of the slowest source", "answered", "CPU µs a source", "KiB an agency", "goroutines", "connections"}
	var rows [][]string
	var bars []bar
	for _, r := range f.Results {
		rows = append(rows, []string{
			fmt.Sprint(r.Agencies), fmt.Sprint(r.Width), fmt.Sprintf("%.0f (%.0f)", r.FirstP50, r.FirstP99), fmt.Sprintf("%.0f (%.0f)", r.AllP50, r.AllP99),
			fmt.Sprintf("%.2f ×", r.AllP50/r.FloorP50), fmt.Sprintf("%.1f %%", 100*r.Answered), fmt.Sprintf("%.0f", r.CPUPerSourceMicros),
			fmt.Sprintf("%.0f", r.HeapPerSourceKiB), fmt.Sprint(r.Goroutines), fmt.Sprint(r.Connections),
		})
		bars = append(bars, bar{fmt.Sprintf("%d agencies, %d at a time", r.Agencies, r.Width), r.AllP50, 0, fmt.Sprintf("%.0f ms", r.AllP50)})
	}
	return section{
		text: head(f.Command, f.Date, f.Go, f.Machine) + table(heads, rows),
		svg:  barChart("One query to many agencies, until the last has ended", fmt.Sprintf("ms at p50; a source is waited for %.0f ms at most", f.TimeoutMillis), bars),
		alt:  "how long a query to many agencies takes",
	}, nil
}

// revokeFile is what hack/bench/revoke writes. Times are in milliseconds.
type revokeFile struct {
	Date, Command, Go, Machine string
	Suspensions, Agreements    int
	Own, Peer, Question        struct{ P50, P99, Longest float64 }
}

func revokeSection(path string) (section, error) {
	var f revokeFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	var rows [][]string
	for _, r := range []struct {
		name  string
		times struct{ P50, P99, Longest float64 }
	}{
		{"a client is refused at the agency that suspends", f.Own}, {"at the other", f.Peer}, {"(one question of a client meanwhile)", f.Question},
	} {
		rows = append(rows, []string{r.name, fmt.Sprintf("%.0f ms", r.times.P50), fmt.Sprintf("%.0f ms", r.times.P99), fmt.Sprintf("%.0f ms", r.times.Longest)})
	}
	text := head(f.Command, f.Date, f.Go, f.Machine) + fmt.Sprintf("%d suspensions of %d agreements.\n\n", f.Suspensions, f.Agreements) + table([]string{"", "p50", "p99", "longest"}, rows)
	return section{text: text}, nil
}
