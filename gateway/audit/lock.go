//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked is the error of Open when another process, or this one, has the log open.
var ErrLocked = errors.New("audit: the log is open elsewhere")

// lockDir takes the exclusive lock of the log, which ends with the process however it ends. The lock is on the directory
// itself: nobody can remove it from under its holder, and it can be taken on a volume that went read-only.
func lockDir(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, fmt.Errorf("audit: lock %s: %w", dir, err)
	}
	return d, nil
}

// unlockDir ends the lock before the file is closed: a child process that was being started meanwhile has the same file open,
// and with it the lock, until it runs its program.
func unlockDir(d *os.File) error {
	return errors.Join(unix.Flock(int(d.Fd()), unix.LOCK_UN), d.Close())
}
