package accounting

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Log is the log of one replica.
type Log struct {
	audit.Identity
	// Dir is its folder.
	Dir  string
	with []audit.ReadOption
	// Progress, if not nil, is told now and then how many entries have been read, and when it was the last.
	Progress func(entries uint64, ended bool)
}

// Covered says how much of a log an answer rests on.
type Covered struct {
	Origin string `json:"origin"`
	// Entries that were read, and how many of them have no payload any more: what was in them cannot be found.
	Entries uint64 `json:"entries"`
	Erased  uint64 `json:"erased,omitempty"`
	// ErasedIn are the months (UTC, as 2006-01) of those entries.
	ErasedIn map[string]bool `json:"-"`
	// First and Last are the times of the first and of the last entry.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Head is the chain hash of the last entry.
	Head string `json:"head,omitempty"`
}

// OpenLogs reads the identities of the logs in the folders, whose records will be read with the options. A log that is named
// twice would count twice: an error.
func OpenLogs(dirs []string, with ...audit.ReadOption) ([]Log, error) {
	seen := map[string]string{}
	logs := make([]Log, 0, len(dirs))
	for _, dir := range dirs {
		id, err := audit.ReadIdentity(dir)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is not a gateway's log: want the folder that has the file origin in it", dir)
		}
		if err != nil {
			return nil, err
		}
		if other, twice := seen[id.ID]; twice {
			return nil, fmt.Errorf("%s and %s are the same log (%s): name it once", other, dir, id.Origin)
		}
		seen[id.ID] = dir
		logs = append(logs, Log{Identity: id, Dir: dir, with: with})
	}
	return logs, nil
}

// each calls fn for every entry of the logs that still has its record, one log after the other.
func each(ctx context.Context, logs []Log, fn func(*Log, *audit.Entry) error) ([]Covered, error) {
	covered := make([]Covered, len(logs))
	for i := range logs {
		l, c := &logs[i], &covered[i]
		c.Origin = l.Origin
		err := audit.Read(l.Dir, func(e audit.Entry) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if c.Entries++; c.Entries == 1 {
				c.First = e.Time
			}
			if l.Progress != nil && c.Entries%1024 == 0 {
				l.Progress(c.Entries, false)
			}
			c.Last, c.Head = e.Time, e.Hash.String()
			if e.Erased {
				c.Erased++
				if c.ErasedIn == nil {
					c.ErasedIn = map[string]bool{}
				}
				c.ErasedIn[e.Time.Format("2006-01")] = true
				return nil
			}
			return fn(l, &e)
		}, l.with...)
		if l.Progress != nil {
			l.Progress(c.Entries, true)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Dir, err)
		}
	}
	return covered, nil
}
