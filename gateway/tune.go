package gateway

import (
	"os"
	"runtime"
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

// syncers are the threads that are in a sync of the log's two files most of the time. Each keeps one of the runtime's processors, which
// Go's monitor takes away only after a while: without spare ones a machine of two CPUs stands still meanwhile.
const syncers = 2

// TuneRuntime has the process of a gateway collect its garbage less often, and below nine tenths of the container's memory as often as
// it takes; and gives it processors for what waits for the disk. GOGC, GOMEMLIMIT and GOMAXPROCS, where they are set, win. It is for the
// process that is a gateway, not for Run.
func TuneRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + syncers)
	}
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
