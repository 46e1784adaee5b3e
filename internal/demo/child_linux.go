package demo

import "syscall"

// childAttributes: a group of its own, so that Ctrl-C reaches this process and not the children, which it then stops in
// order; and an end with this process.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
