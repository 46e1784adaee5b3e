package testenv

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// withDeathSignal makes a child that gets sig when this process dies.
func withDeathSignal(sig os.Signal, user *syscall.Credential) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Credential: user}
	if s, ok := sig.(syscall.Signal); ok {
		attr.Pdeathsig = s
	}
	return attr
}

// claimPort keeps other processes that use this package from taking the port until close, even while nobody listens on it.
// An abstract socket vanishes with the process.
func claimPort(port int) (close func() error, err error) {
	l, err := net.Listen("unix", fmt.Sprintf("@entente-testenv-port-%d", port))
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}
