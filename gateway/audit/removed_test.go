package audit

import (
	"os"
	"path/filepath"
	"testing"
)

// A segment whose only batch was torn has no entries and is removed. Wherever a crash ends the removal, what is left of the
// segment holds nothing and the log opens.
func TestRemovalCutShort(t *testing.T) {
	whole := t.TempDir()
	l := mustOpen(t, whole, fastOptions())
	appendN(t, l, 0, 1)
	mustClose(t, l)
	l = mustOpen(t, whole, fastOptions())
	appendN(t, l, 1, 1)
	frameEnd := l.w.seg.payloadEnd
	crash(l)
	tearJournal(t, whole)
	key, err := os.ReadFile(LocalKeyFile(whole))
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []struct {
		name string
		tear func(s segment) (string, int64)
	}{
		{"payload", func(s segment) (string, int64) { return s.payload(), frameEnd - 1 }},
		{"chain", func(s segment) (string, int64) { return s.chain(), headerSize + 1 }},
	} {
		for stop := 1; ; stop++ {
			dir := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(LocalKeyFile(dir), key, 0o600); err != nil {
				t.Fatal(err)
			}
			s := segment{dir, 2}
			name, at := torn.tear(s)
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt([]byte{0xa5}, at) // none of the two has this byte there
			f.Close()
			fs := &faultFS{}
			ops := 0
			fs.set(func(string, string) error {
				if ops++; ops >= stop {
					return os.ErrClosed
				}
				return nil
			})
			err = removeSegment(fs, s)
			if rep, err := Verify(dir, nil); err != nil || rep.Entries != 1 {
				t.Fatalf("torn %s, cut short at operation %d: %+v %v", torn.name, stop, rep, err)
			}
			l := mustOpen(t, dir, fastOptions())
			appendN(t, l, 1, 1)
			mustClose(t, l)
			if got := readAll(t, dir); len(got) != 2 {
				t.Fatalf("torn %s, cut short at operation %d: %d entries", torn.name, stop, len(got))
			}
			if err == nil {
				break
			}
		}
	}
}
