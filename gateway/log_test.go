package gateway_test

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// fullDisk is a file system on which writes fail from some moment on.
type fullDisk struct{ full atomic.Bool }

var errFull = errors.New("no space left on device")

func (d *fullDisk) OpenFile(name string, flag int, perm os.FileMode) (audit.File, error) {
	if d.full.Load() {
		return nil, errFull
	}
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}
func (d *fullDisk) Remove(name string) error     { return os.Remove(name) }
func (d *fullDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (d *fullDisk) SyncDir(string) error         { return nil }

type diskFile struct {
	*os.File
	disk *fullDisk
}

func (f *diskFile) Allocate(size int64) error { return f.Truncate(size) }
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	if f.disk.full.Load() {
		return 0, errFull
	}
	return f.File.WriteAt(p, off)
}
func (f *diskFile) Sync() error {
	if f.disk.full.Load() {
		return errFull
	}
	return f.File.Sync()
}

// TestLogFull: without a log nothing is disclosed on either side, readiness says so, and all is well again when it mends.
func TestLogFull(t *testing.T) {
	for _, side := range []string{"source", "recipient"} {
		t.Run(side, func(t *testing.T) {
			disk := &fullDisk{}
			var o, plain options
			o.people, plain.people, o.logFS = 1000, 1000, disk
			of := func(name string, broken bool) *agency {
				if broken {
					return startAgency(t, name, o)
				}
				return startAgency(t, name, plain)
			}
			src, rec := of("border-service", side == "source"), of("state-police", side == "recipient")
			broken := src
			if side == "recipient" {
				broken = rec
			}
			agree("agr", persons(src, rec), src, rec)
			c := rec.client("alice")
			if code, a := rec.query(t, c, q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
				t.Fatalf("before: %d %+v", code, a)
			}
			disk.full.Store(true)
			for range 3 { // the first finds out, the others know
				code, a := rec.query(t, c, q(`person_number == "P000042"`))
				if len(a.Records) != 0 {
					t.Fatalf("%d: disclosed without a log: %+v", code, a)
				}
				if side == "source" && (code != 200 || a.Sources[0].Outcome != "UNAVAILABLE" || a.Sources[0].Reason != "AuditLog") {
					t.Errorf("%d %+v", code, a)
				}
				if side == "recipient" && (code != 503 || a.Reason != "AuditLog") {
					t.Errorf("%d %+v", code, a)
				}
				// Denials too are only given when they are logged.
				code, a = rec.query(t, c, strings.Replace(q(`person_number == "P000042"`), purpose, "entente:other", 1))
				if side == "recipient" && (code != 503 || a.Reason != "AuditLog") {
					t.Errorf("denial: %d %+v", code, a)
				}
			}
			if code, body := get(t, "http://"+broken.addrs.Health+"/readyz"); code != 503 || !strings.Contains(body, "not ready: log") {
				t.Errorf("readyz %d %s", code, body)
			}
			if code, _ := get(t, "http://"+broken.addrs.Health+"/healthz"); code != 200 {
				t.Errorf("healthz %d: a restart mends nothing", code)
			}
			if _, body := get(t, "http://"+broken.addrs.Health+"/metrics"); !strings.Contains(body, "entente_gateway_log_healthy 0") {
				t.Error("metrics do not say so")
			}
			disk.full.Store(false)
			deadline := time.Now().Add(time.Minute)
			for broken.log.Healthy() != nil && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
			if code, a := rec.query(t, c, q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
				t.Errorf("after: %d %+v", code, a)
			}
			if code, body := get(t, "http://"+broken.addrs.Health+"/readyz"); code != 200 {
				t.Errorf("readyz %d %s", code, body)
			}
		})
	}
}
