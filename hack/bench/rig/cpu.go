package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Spread is a median and the extremes over the rounds.
type Spread struct{ Median, Least, Most float64 }

// SpreadOf values.
func SpreadOf(values []float64) Spread {
	v := slices.Clone(values)
	slices.Sort(v)
	return Spread{v[len(v)/2], v[0], v[len(v)-1]}
}

// ServerCPU is the CPU time that the postmaster and its living children have had.
type ServerCPU struct{ postmaster int }

// FindPostmaster reads the process id that PostgreSQL writes down.
func FindPostmaster(folder string) (ServerCPU, error) {
	b, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if err != nil {
		return ServerCPU{}, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	return ServerCPU{pid}, err
}

// Read gives it by process.
func (c ServerCPU) Read() (map[int]time.Duration, error) {
	out := map[int]time.Duration{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 || (pid != c.postmaster && fields[1] != strconv.Itoa(c.postmaster)) {
			continue
		}
		// Nanoseconds, unlike stat: on the CPU, waiting for it, slices.
		b, err = os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if err != nil {
			continue
		}
		on, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(on, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("schedstat of %d: %w", pid, err)
		}
		out[pid] = time.Duration(n)
	}
	return out, nil
}

// Since gives what they have had since before. What a child that has ended had since then is lost; sessions live on.
func (c ServerCPU) Since(before map[int]time.Duration) (time.Duration, error) {
	now, err := c.Read()
	var sum time.Duration
	for pid, d := range now {
		sum += d - before[pid]
	}
	return sum, err
}

// ProcessCPU is the CPU time that a process has had, in clock ticks of 10 ms.
func ProcessCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// pid (name) state ppid …; user and system time are the 14th and 15th field.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of %d cannot be read", pid)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stat of %d: %w", pid, err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
