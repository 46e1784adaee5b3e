package transparency

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFiles makes durable whatever was written to the file system of a folder: for thousands of small files one pass over them, where a
// sync of each is a write of the file system's journal. An error that any write met since the folder was opened is told once.
func syncFiles(folder *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(folder.Fd())))
}
