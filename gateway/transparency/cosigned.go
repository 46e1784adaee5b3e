package transparency

import "path/filepath"

// cosignedFile has the latest checkpoint that a quorum of witnesses cosigned.
func (l *Log) cosignedFile() string { return filepath.Join(l.dir, "cosigned") }

func (l *Log) cosigned() Checkpoint { return Checkpoint{} }
