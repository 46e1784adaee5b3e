package gateway_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingInTheClear: what was asked, about whom, by whom and why is readable in no file that a gateway keeps, nor in what it
// prints and measures (NIST SP 800-53 AU-3(3), AU-12(4)): it is in the sealed payloads of the log alone.
func TestNothingInTheClear(t *testing.T) {
	src, rec := pair(t, options{})
	c := rec.client("alice")
	if code, a := rec.query(t, c, q(`person_number == "P000042"`)); code != 200 || len(a.Records) != 1 {
		t.Fatalf("%d %+v", code, a)
	}
	for _, refused := range []string{
		q(`family_name == "f3" && given_name == "Q-SECRET"`, `"fields":["no_such_field"]`),
		strings.Replace(q(`person_number == "P000043"`), purpose, "entente:other", 1),
	} {
		if code, a := rec.query(t, c, refused); len(a.Records) > 0 {
			t.Fatalf("%d %+v", code, a)
		}
	}
	metrics := ""
	for _, a := range []*agency{src, rec} {
		_, text := get(t, "http://"+a.addrs.Health+"/metrics")
		metrics += text
		a.stop()
	}
	secrets := []string{"P000042", "P000043", "Q-SECRET", "person_number", "family_name", "1950-02-12", "SP-2026-1", "alice", purpose}
	look := func(where string, content []byte) {
		for _, s := range secrets {
			if bytes.Contains(content, []byte(s)) {
				t.Errorf("%s shows %q", where, s)
			}
		}
	}
	look("a metric", []byte(metrics))
	files := 0
	for _, a := range []*agency{src, rec} {
		look("what a gateway prints", []byte(a.output.String()))
		for _, dir := range []string{a.logDir, a.stateDir} {
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				files++
				look(path, b)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if files < 8 {
		t.Fatalf("only %d files were looked at", files)
	}
	if r := rec.records(); len(r) != 4 || r[0].LocalUser == "" || !strings.Contains(r[0].Filter, "P000042") {
		t.Errorf("the log has lost it: %+v", r)
	}
}
