package accounting

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Line is one entry of a log as it is exported: one JSON document.
type Line struct {
	Origin string     `json:"origin"`
	Seq    uint64     `json:"seq"`
	Time   time.Time  `json:"time"`
	Hash   audit.Hash `json:"hash"`
	Erased bool       `json:"erased,omitempty"`
	// Redacted: the record's parameters were left out.
	Redacted bool          `json:"redacted,omitempty"`
	Record   *audit.Record `json:"record,omitempty"`
}

// ExportOptions say what is exported.
type ExportOptions struct {
	Logs  []Log
	Since time.Time
	// WithParameters keeps what identifies persons: filters, case references, messages, subject tokens, the names of the
	// agency's own users, the claims of users, and the digests of query and answer, by which a guess can be tried.
	WithParameters bool
	// Poll, when it is not zero, goes on after the end of the logs and looks for new entries that often, until ctx ends.
	Poll time.Duration
}

// Export calls fn for every entry, each log's in order.
func Export(ctx context.Context, o ExportOptions, fn func(Line) error) error {
	next := make([]uint64, len(o.Logs))
	marks := make([]string, len(o.Logs))
	again := make([]bool, len(o.Logs))
	for i := range next {
		next[i] = 1
	}
	for {
		for i := range o.Logs {
			mark := newest(o.Logs[i].Dir)
			if mark == marks[i] && !again[i] {
				continue
			}
			// Once more after a change: the clock of files is coarse.
			again[i] = mark != marks[i]
			marks[i] = mark
			if err := o.export(ctx, &o.Logs[i], &next[i], fn); err != nil {
				return err
			}
		}
		if o.Poll == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.Poll):
		}
	}
}

func (o *ExportOptions) export(ctx context.Context, l *Log, next *uint64, fn func(Line) error) error {
	err := audit.ReadFrom(l.Dir, *next, func(e audit.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		*next = e.Seq + 1
		if e.Time.Before(o.Since) {
			return nil
		}
		line := Line{Origin: l.Origin, Seq: e.Seq, Time: e.Time, Hash: e.Hash, Erased: e.Erased}
		if !e.Erased {
			if line.Record = &e.Record; !o.WithParameters {
				redact(line.Record)
				line.Redacted = true
			}
		}
		return fn(line)
	}, l.with...)
	if o.Poll > 0 && ctx.Err() != nil {
		return nil // whoever follows stops it
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.Dir, err)
	}
	return nil
}

// redact takes out what identifies persons (NIST SP 800-53 AU-3(3)). The pseudonym of the user stays: only the recipient can
// resolve it.
func redact(r *audit.Record) {
	r.Filter, r.Message, r.LocalUser, r.SubjectToken, r.SubjectTokens = "", "", "", "", nil
	r.Justification.CaseReference = ""
	r.Claims = nil // what a decision reads of a user may be a name
	// They are of the filter and of the records, with no salt: whoever guesses a person could try.
	r.QueryDigest, r.ResponseDigest = "", ""
}

// newest changes when something was written to the log: the size is preallocated, so that the time says it.
func newest(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.chain"))
	if len(files) == 0 {
		return "none"
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		return ""
	}
	return strconv.Itoa(len(files)) + info.ModTime().String()
}
