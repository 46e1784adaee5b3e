package enforce

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/reference/checks.md")

// TestReference keeps the page about the order of enforcement true: it is generated from Checks.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# The checks of a query

Generated from ` + "`gateway/enforce/checks.go`" + ` by ` + "`make generate`" + `.

Every query is put to these checks, in this order, for one clause of one agreement: by the recipient's gateway before it asks, and
again by the source's gateway before it answers. The first that fails refuses the query. ` + "`entente explain`" + ` runs them all.

| | check | passes when |
|---|---|---|
`)
	for i, c := range Checks {
		fmt.Fprintf(&b, "| %d | `%s` | %s |\n", i+1, c.Name, c.Doc)
	}
	const path = "../../docs/reference/checks.md"
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/reference/checks.md is stale: run make generate")
	}
}
