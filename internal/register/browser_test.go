package register

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/hack/testenv"
	"github.com/entente-dev/entente/internal/accounting"
)

// TestInBrowser loads every page in a real browser, without JavaScript and with it: nothing is missing, the console is silent,
// and the document has what assistive technology needs.
func TestInBrowser(t *testing.T) {
	browser := testenv.RequireBrowser(t)
	dir := filepath.Join(t.TempDir(), "site")
	r, err := Make(input())
	if err == nil {
		err = r.Write(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	writeReports(t, dir)

	var mu sync.Mutex
	var missing []string
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(req.URL.Path))); err != nil && req.URL.Path != "/favicon.ico" {
			mu.Lock()
			missing = append(missing, req.URL.Path)
			mu.Unlock()
		}
		if req.URL.Path == "/favicon.ico" {
			w.WriteHeader(http.StatusNoContent) // browsers ask by themselves
			return
		}
		files.ServeHTTP(w, req)
	}))
	defer server.Close()

	for _, page := range []string{"index.html", "agreements/anvil.html", "agreements/bridge.html", "report.html", "account.html"} {
		t.Run(page, func(t *testing.T) {
			// index.html is redirected to its folder.
			url := server.URL + "/" + strings.TrimSuffix(page, "index.html")
			document, console, err := browser.Load(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range console {
				t.Errorf("console: %s", line)
			}
			checkDocument(t, dir, page, document)
			var pictures [2][]byte
			for i := range pictures {
				if pictures[i], err = browser.Picture(t.Context(), url, 1000, 1400, i == 0); err != nil {
					t.Fatal(err)
				}
			}
			if len(pictures[0]) < 5000 || !bytes.Equal(pictures[0], pictures[1]) {
				t.Errorf("it looks otherwise without JavaScript, or is empty: pictures of %d and %d bytes", len(pictures[0]), len(pictures[1]))
			}
			if keep := os.Getenv("ENTENTE_PICTURES"); keep != "" { // to look at them
				name := strings.ReplaceAll(strings.TrimSuffix(page, ".html"), "/", "-") + ".png"
				if err := os.WriteFile(filepath.Join(keep, name), pictures[1], 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if len(missing) > 0 {
		t.Errorf("not found: %v", missing)
	}
}

// checkDocument asserts what every page must have, and that its links lead somewhere.
func checkDocument(t *testing.T, dir, page, document string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	var headings []int
	ids := map[string]bool{}
	var refs []string
	has := map[string]int{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		has[n.Data]++
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s %s>: a script", n.Data, a.Key)
			}
		}
		if id := attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %q twice", id)
			}
			ids[id] = true
		}
		refs = append(refs, strings.Fields(attr["aria-labelledby"])...)
		switch n.Data {
		case "html":
			if attr["lang"] != "en" {
				t.Error("no language")
			}
		case "h1", "h2", "h3", "h4":
			headings = append(headings, int(n.Data[1]-'0'))
		case "svg":
			if attr["role"] != "img" || attr["aria-labelledby"] == "" {
				t.Error("a chart without a name")
			}
		case "th":
			if attr["scope"] == "" {
				t.Error("a table heading without scope")
			}
		case "a":
			checkLink(t, dir, page, attr["href"])
		}
	}
	for _, ref := range refs {
		if !ids[ref] {
			t.Errorf("aria-labelledby names %q, which is not there", ref)
		}
	}
	if has["script"] > 0 || has["iframe"] > 0 || has["form"] > 0 {
		t.Error("a script, frame or form")
	}
	if has["title"] == 0 || has["main"] != 1 || has["h1"] != 1 {
		t.Errorf("%d titles, %d mains, %d h1", has["title"], has["main"], has["h1"])
	}
	for i := 1; i < len(headings); i++ {
		if headings[i] > headings[i-1]+1 {
			t.Errorf("heading levels jump: %v", headings)
		}
	}
	if has["svg"] > has["table"] {
		t.Errorf("%d charts and %d tables: a chart without its numbers", has["svg"], has["table"])
	}
}

func checkLink(t *testing.T, dir, page, href string) {
	t.Helper()
	path, _, _ := strings.Cut(href, "#")
	if path == "" {
		return
	}
	if strings.Contains(path, ":") {
		t.Errorf("a link that leaves the site: %s", href)
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.Dir(page), filepath.FromSlash(path))); err != nil {
		t.Errorf("a link that leads nowhere: %s", href)
	}
}

// writeReports puts the pages of audit report and audit disclosures beside the site.
func writeReports(t *testing.T, dir string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	at := now.AddDate(0, -3, 0)
	l, err := audit.Open(log, audit.Options{Origin: "labor.example.gov/gateway-0"})
	if err == nil {
		for _, r := range []audit.Record{
			{Kind: audit.Outcome, Outcome: "OK", Hit: true, Records: 2, ElapsedMicros: 1500}, {Kind: audit.Denial, Outcome: "DENIED", Reason: "purpose"},
		} {
			r.Disclosure, r.Side, r.Operation, r.Agreement, r.Purpose, r.Recipient, r.Time = "d", audit.Source, audit.Consultation, "anvil", "ncic:C", "state-police", at
			receipt, appendErr := l.Append(t.Context(), r)
			if err = appendErr; err == nil {
				err = receipt.Wait(t.Context())
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := accounting.OpenLogs([]string{log})
	if err != nil {
		t.Fatal(err)
	}
	report, err := accounting.NewReport(t.Context(), accounting.Scope{
		Logs: logs, By: "agreement", Now: now,
		Directory: accounting.Directory{Agreements: []accounting.Agreement{
			{Name: "anvil.v1", ID: "anvil", InForce: true, Promised: "Forty cases."}, {Name: "idle.v1", ID: "idle", InForce: true},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	account := &accounting.Account{Made: now, Copy: accounting.CopyPerson, Disclosures: []accounting.Disclosure{{
		ID: "d", Date: now, Recipient: accounting.Agency{ID: "state-police", Name: "State Police"}, Source: "labor-inspectorate", Purpose: "entente:benefits", Agreement: "anvil.v1", Granularity: "Records", Records: 1, Fields: []string{"family_name"},
	}}}
	for name, render := range map[string]func(*bytes.Buffer) error{
		"report.html":  func(b *bytes.Buffer) error { return report.HTML(b) },
		"account.html": func(b *bytes.Buffer) error { return account.HTML(b) },
	} {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
