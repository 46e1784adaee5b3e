package main

import "fmt"

// Most that is promised of an idle process (design, §11), in MB, and of a start, in seconds.
const (
	operatorIdle = 80
	gatewayIdle  = 60
	startSeconds = 1
)

// resident memory, and what of it is the process's own, in MB.
type resident struct{ Resident, Own float64 }

// idleProcess is one that does nothing.
type idleProcess struct {
	ReadySeconds spread
	Idle         resident
}

// footprintFile is what hack/bench/footprint writes.
type footprintFile struct {
	Date, Command, Go, Machine string
	Binary                     struct {
		Bytes, CodeBytes  int64
		Modules, Packages int
	}
	Operator, Gateway idleProcess
	Callers           int
	Settings          []struct {
		Name                                        string
		Throughput, CPU, Resident, Own, Collections spread
	}
	Loaded, Quiet resident
	QuietSeconds  float64
}

// footprintSection is what a process takes by itself, and what Go's settings for its memory do.
func footprintSection(path string) (section, error) {
	var f footprintFile
	if err := read(path, &f); err != nil {
		return section{}, err
	}
	var rows, settings [][]string
	for _, p := range []struct {
		name string
		idleProcess
		most float64
	}{{"operator", f.Operator, operatorIdle}, {"gateway", f.Gateway, gatewayIdle}} {
		rows = append(rows,
			[]string{p.name + ", from its start until it is ready, s", fmt.Sprintf("%.2f (%.2f to %.2f)", p.ReadySeconds.Median, p.ReadySeconds.Least, p.ReadySeconds.Most), fmt.Sprintf("≤ %d", startSeconds)},
			[]string{p.name + ", idle, resident MB", fmt.Sprintf("%.0f", p.Idle.Resident), fmt.Sprintf("≤ %g", p.most)},
			[]string{p.name + ", idle, of that its own MB", fmt.Sprintf("%.0f", p.Idle.Own), ""})
	}
	rows = append(rows,
		[]string{"binary, MB", fmt.Sprintf("%.1f", float64(f.Binary.Bytes)/1e6), ""},
		[]string{"… of that machine code", fmt.Sprintf("%.1f", float64(f.Binary.CodeBytes)/1e6), ""},
		[]string{"modules that it is linked from", fmt.Sprint(f.Binary.Modules), ""},
		[]string{"packages, without the standard library's", fmt.Sprint(f.Binary.Packages), ""},
		[]string{"a source's gateway at the end of a load, own MB", fmt.Sprintf("%.0f", f.Loaded.Own), ""},
		[]string{fmt.Sprintf("… %.0f s later", f.QuietSeconds), fmt.Sprintf("%.0f", f.Quiet.Own), ""},
	)
	for _, s := range f.Settings {
		settings = append(settings, []string{s.Name, ratioCell(s.Throughput), ratioCell(s.CPU), fmt.Sprintf("%.0f", s.Resident.Median), fmt.Sprintf("%.0f", s.Own.Median), fmt.Sprintf("%.1f", s.Collections.Median)})
	}
	return section{text: head(f.Command, f.Date, f.Go, f.Machine) + table([]string{"", "measured", "promised"}, rows) + "\n" +
		table([]string{fmt.Sprintf("%d callers, both gateways", f.Callers), "requests a second", "CPU time a request", "source's gateway, resident MB", "own MB", "its collections, of a thousand requests"}, settings)}, nil
}
