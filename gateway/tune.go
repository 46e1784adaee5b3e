package gateway

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

const (
	// gcPercent: what is alive in a gateway is a few megabytes, so that the usual 100 collects dozens of times a second under load.
	gcPercent = 400
	// spare is how much garbage that is for, in bytes. With ten thousand agreements 40 MB are alive, and four times as much garbage
	// would take memory and save nothing: there is as much as is alive.
	spare = 32 << 20
	// limitFile is where a container's memory limit is (cgroup v2); "max" or nothing there: none.
	limitFile = "/sys/fs/cgroup/memory.max"
)

// syncers are the threads that are in a sync of the log: of its journal most of the time, of its segment now and then. Each keeps one of the runtime's processors, which
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
		set := gcPercent
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		afterEachCollection(func() {
			metrics.Read(live)
			if want := percentFor(live[0].Value.Uint64()); want != set { // to set it stops the world
				debug.SetGCPercent(want)
				set = want
			}
		})
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

// percentFor is how much garbage may gather in parts of a hundred of what is alive: spare, but at least as much, and gcPercent at most.
func percentFor(live uint64) int {
	return int(min(gcPercent, max(100, spare*100/max(1, live))))
}

// afterEachCollection calls fn once what is garbage was collected, again and again.
func afterEachCollection(fn func()) {
	type garbage struct{ _ *byte } // with a pointer: the runtime keeps small objects without one together, and such a block long
	runtime.SetFinalizer(new(garbage), func(*garbage) {
		fn()
		afterEachCollection(fn)
	})
}
