package main

import (
	"fmt"
	"maps"
	"slices"
)

// spread is a median and the extremes over the rounds.
type spread struct{ Median, Least, Most float64 }

// runFile is what hack/bench/hop, query and log say of their run.
type runFile struct {
	Date, Go, System, Command string
	CPUs                      int
}

func (f runFile) head() string {
	return head(f.Command, f.Date, f.Go, fmt.Sprintf("%s, %d CPUs", f.System, f.CPUs))
}

func atLeast(promised float64) string {
	if promised == 0 {
		return ""
	}
	return fmt.Sprintf("≥ %.2f", promised)
}

func ratioCell(s spread) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Least, s.Most) }

// queryFile is what hack/bench/query writes.
type queryFile struct {
	runFile
	Targets []struct {
		Target                                                                   string
		Callers                                                                  int
		QueriesPerSecond, P50Micros, ServersMicros, LuraMicros, PostgreSQLMicros spread
	}
	Ratios []struct {
		Of, To          string
		Callers         int
		Throughput, CPU spread
		Promised        float64
	}
	Bulk *struct {
		Rows    int
		Targets []struct {
			Target                               string
			Seconds, ProcessMillis, ServerMillis spread
		}
		Ratios []struct {
			Name       string
			Ratio, CPU spread
			Promised   float64
		}
	}
}

// querySection compares look-ups and three-way queries with what does the same without Entente.
func querySection(path string) (section, error) {
	var f queryFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	var rows, speeds [][]string
	var bars []bar
	for _, r := range f.Ratios {
		name := r.Of + " / " + r.To
		rows = append(rows, []string{name, fmt.Sprint(r.Callers), ratioCell(r.Throughput), atLeast(r.Promised), ratioCell(r.CPU)})
		if r.Callers == 64 {
			bars = append(bars, bar{name, r.Throughput.Median, r.Promised, fmt.Sprintf("%.2f", r.Throughput.Median)})
		}
	}
	for _, t := range f.Targets {
		speeds = append(speeds, []string{
			t.Target, fmt.Sprint(t.Callers), fmt.Sprintf("%.0f", t.QueriesPerSecond.Median), fmt.Sprintf("%.1f", t.P50Micros.Median/1000),
			fmt.Sprintf("%.0f", t.ServersMicros.Median+t.LuraMicros.Median), fmt.Sprintf("%.0f", t.PostgreSQLMicros.Median),
		})
	}
	text := f.head() + table([]string{"", "callers", "a second, in the same round: median (least to most)", "promised", "CPU time of all servers"}, rows) + "\n" +
		table([]string{"", "callers", "a second", "p50, ms", "µs of CPU a request, servers", "PostgreSQL"}, speeds)
	return section{
		text: text, svg: barChart("Requests a second with 64 callers, as a ratio in the same round", "the line is what is promised at least", bars),
		alt: "requests a second with 64 callers, as ratios",
	}, nil
}

// bulkSection is that of many rows.
func bulkSection(path string) (section, error) {
	var f queryFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	if f.Bulk == nil {
		return section{}, fmt.Errorf("%s: no bulk results", path)
	}
	var rows, times [][]string
	for _, r := range f.Bulk.Ratios {
		rows = append(rows, []string{r.Name, ratioCell(r.Ratio), atLeast(r.Promised), ratioCell(r.CPU)})
	}
	for _, t := range f.Bulk.Targets {
		times = append(times, []string{t.Target, fmt.Sprintf("%.2f", t.Seconds.Median), fmt.Sprintf("%.0f", t.ProcessMillis.Median), fmt.Sprintf("%.0f", t.ServerMillis.Median)})
	}
	return section{text: f.head() + fmt.Sprintf("%d rows.\n\n", f.Bulk.Rows) +
		table([]string{"", "rows a second, in the same round: median (least to most)", "promised", "CPU time"}, rows) + "\n" +
		table([]string{"", "s", "ms of CPU: gateways and caller", "PostgreSQL"}, times)}, nil
}

// hopFile is what hack/bench/hop writes.
type hopFile struct {
	runFile
	Shares []struct {
		Target               string
		Callers              int
		Micros, SystemMicros map[string]float64
	}
	Verdicts []string
}

// hopSection says where the CPU time of a look-up goes.
func hopSection(path string) (section, error) {
	var f hopFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	heads, parts := []string{"µs of CPU a request, 64 callers"}, map[string]bool{}
	for _, s := range f.Shares {
		if s.Callers == 64 {
			heads = append(heads, s.Target)
			for part := range s.Micros {
				parts[part] = true
			}
		}
	}
	var rows [][]string
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		row := []string{part}
		for _, s := range f.Shares {
			if s.Callers != 64 {
				continue
			}
			cell := ""
			if v := s.Micros[part]; v >= 0.5 {
				if cell = fmt.Sprintf("%.0f", v); s.SystemMicros[part] >= 0.5 {
					cell += fmt.Sprintf(" (%.0f)", s.SystemMicros[part])
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	text := f.head() + table(heads, rows) + "\nDoes a request spend less time in Entente's own code than in TLS and PostgreSQL?\n\n"
	for _, v := range f.Verdicts {
		text += "- " + v + "\n"
	}
	return section{text: text}, nil
}

// logFile is what hack/bench/log writes.
type logFile struct {
	runFile
	RecordBytes int
	Results     []struct {
		Target                                     string
		Writers                                    int
		PerSecond, P50Micros, P99Micros, CPUMicros spread
		RatioToRaw                                 spread
	}
}

// logPromise is of records of 64 writers (design, §11).
const logPromise = 0.5

// logSection compares the log with a raw file.
func logSection(path string) (section, error) {
	var f logFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	var rows [][]string
	var bars []bar
	for _, r := range f.Results {
		ratio, promised := "", 0.0
		if r.Target == "records" && r.Writers == 64 {
			promised = logPromise
		}
		if r.RatioToRaw.Median > 0 && r.Target != "raw" {
			ratio = ratioCell(r.RatioToRaw)
			bars = append(bars, bar{fmt.Sprintf("%s, %d writers", r.Target, r.Writers), r.RatioToRaw.Median, promised, fmt.Sprintf("%.2f", r.RatioToRaw.Median)})
		}
		rows = append(rows, []string{
			r.Target, fmt.Sprint(r.Writers), fmt.Sprintf("%.0f", r.PerSecond.Median), fmt.Sprintf("%.2f", r.P50Micros.Median/1000), fmt.Sprintf("%.1f", r.P99Micros.Median/1000),
			fmt.Sprintf("%.1f", r.CPUMicros.Median), ratio, atLeast(promised),
		})
	}
	return section{
		text: f.head() + table([]string{"", "writers", "a second", "p50, ms", "p99, ms", "CPU µs", "of the raw file, in the same round (least to most)", "promised"}, rows),
		svg:  barChart("Durable records a second, of those of a raw file that syncs once for all", "the line is what is promised at least", bars),
		alt:  "durable records a second, of those of a raw file",
	}, nil
}
