//go:build unix && !linux

package testenv

import (
	"os"
	"syscall"
)

// withDeathSignal cannot tell the child of this process's death here: Stop must be called.
func withDeathSignal(_ os.Signal, user *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: user}
}

func claimPort(int) (close func() error, err error) { return func() error { return nil }, nil }
