package audit

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The real thing: a file system of half a megabyte.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("mounting needs privileges: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	o := testOptions()
	l := mustOpen(t, dir, o)
	acked := 0
	var err error
	for range 2000 {
		var rc *Receipt
		if rc, err = l.Append(t.Context(), sample(acked)); err == nil {
			err = rc.Wait(t.Context())
		}
		if err != nil {
			break
		}
		acked++
	}
	if !errors.Is(err, unix.ENOSPC) || !errors.Is(l.Healthy(), unix.ENOSPC) {
		t.Fatalf("after %d records: %v, health %v", acked, err, l.Healthy())
	}
	if rep, err := Verify(dir, nil); err != nil || rep.Entries != uint64(acked) {
		t.Fatalf("full, %d acknowledged: %+v %v", acked, rep, err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	waitHealthy(t, l)
	appendN(t, l, acked, 1)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err == nil {
		t.Error("remounted read-only under an open file") // the kernel refuses: EBUSY
	}
	mustClose(t, l)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, o)
	if err := l.Healthy(); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	waitHealthy(t, l)
	appendN(t, l, acked+1, 1)
	mustClose(t, l)
	if got := readAll(t, dir); len(got) != acked+2 {
		t.Fatalf("%d entries, want %d", len(got), acked+2)
	}
}
