package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/entente-dev/entente/hack/bench/scale/report"
)

// section is what stands in the page, and the chart below it.
type section struct{ text, svg, alt string }

var sections = map[string]func(path string) (section, error){
	"footprint":  footprintSection,
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

func scaleSection(path string) (section, error) {
	var f report.Report
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	n := len(f.Results)
	if n == 0 {
		return section{}, fmt.Errorf("%s: no results", path)
	}
	bounds, err := report.ReadPromises()
	if err != nil {
		return section{}, err
	}
	heads := []string{"agreements"}
	for _, r := range f.Results {
		heads = append(heads, fmt.Sprint(r.Agreements))
	}
	heads = append(heads, fmt.Sprintf("promised, with %d", bounds.Agreements), "the last to the one before", "promised, of ten times as many")
	var rows [][]string
	for _, row := range report.Rows {
		line := []string{row.Name}
		for _, r := range f.Results {
			line = append(line, fmt.Sprintf(row.Show, row.Value(r)))
		}
		promised, grown, grows := "", "", ""
		if most := bounds.Rows[row.Name].AtMost; most > 0 {
			promised = fmt.Sprintf("≤ %g", most)
		}
		if n > 1 && row.Value(f.Results[n-2]) > 0 {
			grown = fmt.Sprintf("%.2f ×", row.Value(f.Results[n-1])/row.Value(f.Results[n-2]))
		}
		if by := bounds.Rows[row.Name].GrowsBy; by > 0 {
			grows = fmt.Sprintf("≤ %g ×", by)
		}
		rows = append(rows, append(line, promised, grown, grows))
	}
	var bars []bar
	for _, r := range f.Results {
		for _, row := range report.Rows {
			if !strings.Contains(row.Name, "→") {
				continue
			}
			v := row.Value(r) * 1000
			bars = append(bars, bar{fmt.Sprintf("%d: %s", r.Agreements, strings.TrimSuffix(row.Name, ", s")), v, bounds.Rows[row.Name].AtMost * 1000, fmt.Sprintf("%.0f ms", v)})
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
