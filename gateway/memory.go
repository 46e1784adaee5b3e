package gateway

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// gcPercent: what is alive in a gateway is a few megabytes, so that the usual 100 collects dozens of times a second under load.
	gcPercent = 400
	// limitFile is where a container's memory limit is (cgroup v2); "max" or nothing there: none.
	limitFile = "/sys/fs/cgroup/memory.max"
)

// TuneMemory has the process of a gateway collect its garbage less often, and below nine tenths of the container's memory as often as
// it takes. GOGC and GOMEMLIMIT, where they are set, win. It is for the process that is a gateway, not for Run.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	b, err := os.ReadFile(limitFile)
	if err != nil {
		return
	}
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
