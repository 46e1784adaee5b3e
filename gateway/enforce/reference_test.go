package enforce

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/entente-dev/entente/internal/golden"
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
	golden.Page(t, "../../docs/reference/checks.md", b.String(), *update)
}
