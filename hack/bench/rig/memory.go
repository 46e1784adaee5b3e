package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory of a process, in bytes.
type Memory struct {
	// Resident is all that is mapped and there; Own what of it is the process's own: the rest are pages of the binary, which all processes of
	// the machine share, and which the kernel takes back when it needs them.
	Resident, Own int64
}

// ProcessMemory reads it.
func ProcessMemory(pid int) (m Memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*int64{"VmRSS:": &m.Resident, "RssAnon:": &m.Own} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return m, fmt.Errorf("status of %d: %w", pid, err)
				}
				*to = kib << 10
			}
		}
	}
	return m, nil
}
