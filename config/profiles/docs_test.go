package profiles_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/entente-dev/entente/config/profiles"
)

var update = flag.Bool("update", false, "write the tables of docs/profiles.md")

const (
	page   = "../../docs/profiles.md"
	marker = "<!-- From here on generated from config/profiles by `make generate`. -->\n"
)

// TestDocs: the page lists the rules as they are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), marker)
	if !ok {
		t.Fatalf("%s has no line %s", page, marker)
	}
	want := []byte(head + marker + tables(t))
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s is stale: run make generate", page)
	}
}

func tables(t *testing.T) string {
	t.Helper()
	shipped, err := profiles.All()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range shipped {
		fmt.Fprintf(&b, "\n## `%s`: %s\n\n%s: %s\n\n| rule | severity | asked for by | term | when it is broken |\n|---|---|---|---|---|\n",
			p.Name, p.Spec.Title, p.Spec.Citation, p.Spec.Description)
		for _, r := range p.Spec.Rules {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s |\n", r.Name, r.Severity, r.Citation, r.Field, strings.ReplaceAll(r.Message, "|", `\|`))
		}
	}
	return b.String()
}
