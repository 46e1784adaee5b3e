package server

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/enforce"
	"github.com/entente-dev/entente/internal/golden"
)

var update = flag.Bool("update", false, "write docs/reference/errors.md")

// reasons of what is no refusal by a check: whether they are of a whole request, with its statuses over REST and gRPC, or of one source
// of an answer only.
var reasons = []struct{ reason, rest, grpc, what string }{
	{"request", "400, 406, 413, 415", "INVALID_ARGUMENT", "The request is malformed; `errors` points at what to mend."},
	{"page-token", "400", "INVALID_ARGUMENT", "The page token is not of this user and query, or too old: ask from the first page."},
	{"Unauthenticated", "401", "UNAUTHENTICATED", "Nobody known asks: show a certificate or a token."},
	{"NoAgreement", "403", "PERMISSION_DENIED", "No agreement in force lets this agency ask that. Of one source: not that agency."},
	{"NotPermitted", "403", "PERMISSION_DENIED", "This gateway does not let the user explain as the source."},
	{"NotFound", "404", "", "There is no such path."},
	{"MethodNotAllowed", "405", "", "The path has another method."},
	{"TooLarge", "422", "RESOURCE_EXHAUSTED", "The answer is larger than an all-or-nothing query may be."},
	{"Internal", "500", "INTERNAL", "The gateway failed; its operators find out more in its log."},
	{"AuditLog", "503", "UNAVAILABLE", "A log cannot be written, and nothing is answered without it. Of one source: its log."},
	{"IdentityProvider", "503", "UNAVAILABLE", "Tokens cannot be checked now."},
	{"PageKey", "503", "UNAVAILABLE", "The keys of page tokens cannot be had now."},
	{"RequireAll", "403, 429, 503", "FAILED_PRECONDITION", "Not every source answered in full, and the query asked for all or nothing."},
	{"Deadline", "504", "DEADLINE_EXCEEDED", "Not answered in time. Of one source: that one."},
	{"Unreachable", "", "", "The source's gateway cannot be reached, or the connection broke."},
	{"CircuitOpen", "", "", "The source did not answer the last times, and is not asked for some seconds."},
	{"Credential", "", "", "The source's exchange issued no agreement credential."},
	{"SourceSystem", "", "", "The source's system of records is away."},
	{"ConsentService", "", "", "The source's consent service is away, and nothing is told without it."},
	{"QuotaStore", "", "", "The source cannot count its quotas, and answers nothing without."},
	{"Maintenance", "", "", "The source's agency announced that it answers nothing now."},
	{"UnexpectedAnswer", "", "", "The source answered otherwise than it was asked; what it sent was dropped."},
	{"Limit", "", "", "More records match than the limit lets through."},
	{"Page", "", "", "More records match: they come with the next page."},
	{"position", "", "", "The source did not give the page token's position for this query, or too long ago: ask from the first page."},
	{"EarlierPage", "", "", "The source failed on an earlier page, and is not asked again for this answer."},
	{"Cancelled", "", "", "Whoever asked went away."},
}

// TestReference keeps the page about errors true: it has every reason that the code has.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Errors

Generated from ` + "`gateway/server/reasons_test.go`" + ` by ` + "`make generate`" + `.

Each error, and each source that did not answer, has a **reason**: a short word that stays the same. Messages may change.

Over REST an error is a problem document (RFC 9457): ` + "`type`" + ` (` + "`https://entente.dev/problems/`" + ` and the reason), ` + "`title`, `status`, `detail`, `reason`" + `, the
` + "`term`" + ` of the agreement that says so, the ` + "`position`" + ` in a filter, and ` + "`errors`" + `: what to mend, each with a JSON pointer into the request
(` + "`#/justification/caseReference`" + `) and, when several agencies refuse, which one. Of what may work later, ` + "`Retry-After`" + ` says when.

Over gRPC the status has google.rpc details: ErrorInfo (domain ` + "`entente.dev`" + `, the reason, and in its metadata ` + "`term`, `line` and `column`" + `), BadRequest with the
member, RetryInfo, and of an all-or-nothing query PreconditionFailure for each source that did not answer in full and QuotaFailure for each
quota that is used up. Sources that refuse do not fail a gRPC stream: they end with their status in it.

No error repeats a value of the query, or tells anything of the data.

## Refusals by a check

The reason is the name of the check, and [the checks](checks.md) say when they pass. When every source refuses, REST answers 403; 429 when
nothing but the day's quotas is in the way. When no clause could permit the query, it is malformed: 400, or INVALID_ARGUMENT.

| reason | member of the query to look at |
|---|---|
`)
	for _, c := range enforce.Checks {
		member := enforce.MemberOf(c.Name)
		if member != "" {
			member = "`" + member + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.Name, member)
	}
	b.WriteString("\n## Others\n\nThose without a status are of one source of an answer.\n\n| reason | REST | gRPC | |\n|---|---|---|---|\n")
	for _, r := range reasons {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.reason, r.rest, r.grpc, r.what)
	}
	golden.Page(t, "../../docs/reference/errors.md", b.String(), *update)
	known := map[string]bool{}
	for _, r := range reasons {
		known[r.reason] = true
	}
	for _, c := range enforce.Checks {
		known[c.Name] = true
	}
	for _, reason := range reasonsInCode(t, "../federation", "../disclosure", ".") {
		if !known[reason] {
			t.Errorf("no line for reason %s: add one to this test, and run make generate", reason)
		}
	}
}

// reasonsInCode are the texts of constants Reason…, of members Reason and Check of errors, refusals and statuses, and of arguments of newProblem and reason.
func reasonsInCode(t *testing.T, folders ...string) []string {
	found := map[string]bool{}
	add := func(x ast.Expr) {
		if l, ok := x.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil && s != "" {
				found[s] = true
			}
		}
	}
	for _, folder := range folders {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, name := range n.Names {
						if strings.HasPrefix(name.Name, "Reason") && i < len(n.Values) {
							add(n.Values[i])
						}
					}
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Reason" || key.Name == "Check") {
						add(n.Value)
					}
				case *ast.CallExpr:
					if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "newProblem" || name.Name == "reason") {
						for _, x := range n.Args[:min(2, len(n.Args))] {
							add(x)
						}
					}
				}
				return true
			})
		}
	}
	if len(found) < 15 {
		t.Fatalf("only %v found: this test does not see the code", found)
	}
	return slices.Sorted(maps.Keys(found))
}
