//go:build !unix

package standalone

import "os"

// lock opens the file; this system's folders are for one process by agreement only.
func lock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
