package trino_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source"
	"github.com/entente-dev/entente/gateway/source/httpclient"
	"github.com/entente-dev/entente/gateway/source/trino"
	"github.com/entente-dev/entente/gateway/source/trino/trinotest"
)

// open makes a source with the secret that the server takes.
func open(t testing.TB, server *trinotest.Server) *trino.Source {
	t.Helper()
	secret, err := httpclient.NewSecret(map[string]string{"username": "gateway", "password": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	pool := httpclient.NewPool(httpclient.Options{Secrets: func(context.Context, string) (httpclient.Secret, error) { return secret, nil }})
	s := trino.New(trino.Options{Pool: pool, StatementTimeout: 3 * time.Second, PageBytes: 64 << 10})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var schema = &route.Schema{Name: "s", Version: 1, Digest: "sha256:s", Fields: []route.Field{
	{Name: "id", Type: "int"}, {Name: "name", Type: "string"}, {Name: "sex", Type: "code", Codes: []string{"F", "M"}},
	{Name: "wage", Type: "decimal"}, {Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"}, {Name: "active", Type: "bool"},
}}

var allTypes = []string{"bigint", "varchar", "varchar", "varchar", "date", "timestamp(12) with time zone", "boolean"}

func query(server *trinotest.Server) source.Query {
	d := dataset(server)
	var fields []string
	for _, f := range schema.Fields {
		d.Columns[f.Name] = f.Name
		fields = append(fields, f.Name)
	}
	return source.Query{Agreement: "mou", Dataset: d, Schema: schema, Fields: fields, Limit: 1000}
}

func records(s source.Source, q source.Query) (out []*gatewayv1.Record, more bool, err error) {
	more, err = s.Records(context.Background(), q, func(r *gatewayv1.Record) error {
		out = append(out, r)
		return nil
	})
	return out, more, err
}

func compile(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(schema, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// script answers statements with a function.
type script func(ctx context.Context, sql string) (*trinotest.Result, error)

func (s script) Query(ctx context.Context, sql string) (*trinotest.Result, error) { return s(ctx, sql) }

func person(i int) []any {
	return []any{i, "name", "F", "7.50", "1980-01-08", "2000-01-01 00:00:07.250000000000 UTC", i%2 == 0}
}

func people(n int) script {
	return func(context.Context, string) (*trinotest.Result, error) {
		r := &trinotest.Result{Types: allTypes}
		for i := range n {
			r.Rows = append(r.Rows, person(i))
		}
		return r, nil
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("not in time: %s", what)
}

// TestDescribe: what is shown is what runs, but for the values; those of a place in an order are bound by their types, as all others are.
func TestDescribe(t *testing.T) {
	server := trinotest.Start(t, people(3))
	s := open(t, server)
	q := query(server)
	q.Filter = compile(t, `name == "Secret"`)
	q.Order = []source.Order{{Field: "wage"}, {Field: "seen", Descending: true}, {Field: "active"}, {Field: "born"}, {Field: "sex"}}
	text := func(s string) *gatewayv1.Value { return &gatewayv1.Value{Kind: &gatewayv1.Value_Text{Text: s}} }
	q.From = &source.From{Values: []*gatewayv1.Value{
		text("7.50"), text("2000-01-01T00:00:07.25Z"), {Kind: &gatewayv1.Value_Boolean{Boolean: true}}, text("1980-01-08"), text("F"),
	}}
	described, err := s.Describe(q, source.MethodRecords)
	if err != nil || described.System != "trino" || strings.Contains(described.Text, "Secret") {
		t.Fatalf("%+v, %v", described, err)
	}
	if n := len(server.Requests()); n > 0 {
		t.Errorf("%d requests for a description", n)
	}
	if _, _, err := records(s, q); err != nil {
		t.Fatal(err)
	}
	ran, using, _ := strings.Cut(strings.TrimPrefix(server.Texts()[0], "EXECUTE IMMEDIATE '"), "' USING ")
	if ran = strings.ReplaceAll(ran, "''", "'"); ran != described.Text {
		t.Errorf("ran  %s\nshown %s", ran, described.Text)
	}
	for _, want := range []string{"'Secret'", "DECIMAL '7.50'", "TIMESTAMP '2000-01-01 00:00:07.25 UTC'", "TRUE", "DATE '1980-01-08'", "'F'"} {
		if !strings.Contains(using, want) {
			t.Errorf("no %s in %s", want, using)
		}
	}
	q.From.Values[0] = text("1' OR 1 = 1")
	if _, _, err := records(s, q); err == nil || len(server.Texts()) != 1 {
		t.Errorf("a value that is no decimal is sent: %v", err)
	}
	for m, want := range map[source.Method]string{source.MethodCount: "SELECT count(*)", source.MethodExists: "SELECT EXISTS"} {
		if got, err := s.Describe(q, m); err != nil || !strings.HasPrefix(got.Text, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestRecords(t *testing.T) {
	server := trinotest.Start(t, people(250))
	s := open(t, server)
	q := query(server)
	q.Dataset.Trino.User, q.Dataset.Trino.Role = "entente_mou", "reader"
	q.Filter = compile(t, `name == "O'Brien; DROP TABLE x --" && id != -9223372036854775808 && wage > 1.5 && born < date("2001-02-03") && seen >= timestamp("2001-02-03T04:05:06.5Z") && active`)
	got, more, err := records(s, q)
	if err != nil || more || len(got) != 250 {
		t.Fatalf("%d records, more %v, %v", len(got), more, err)
	}
	want := `values:{integer:1} values:{text:"name"} values:{text:"F"} values:{text:"7.50"} values:{text:"1980-01-08"} values:{text:"2000-01-01T00:00:07.25Z"} values:{boolean:false}`
	if text := strings.ReplaceAll(got[1].String(), "  ", " "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	wantSQL := `EXECUTE IMMEDIATE 'SELECT CAST("id" AS bigint), CAST("name" AS varchar), CAST("sex" AS varchar), CAST("wage" AS varchar), CAST("born" AS date), ` +
		`CAST("seen" AS timestamp(12) with time zone) AT TIME ZONE ''UTC'', CAST("active" AS boolean) FROM "hr"."person" WHERE (CAST("name" AS varchar) = ? AND "id" IS DISTINCT FROM ? AND "wage" > ? AND ` +
		`CAST("born" AS date) < ? AND "seen" >= ? AND "active" IS NOT DISTINCT FROM TRUE) ORDER BY "id", CAST("sex" AS varchar), "wage", "born", "seen" LIMIT ?' ` +
		`USING 'O''Brien; DROP TABLE x --', BIGINT '-9223372036854775808', DECIMAL '1.5', DATE '2001-02-03', TIMESTAMP '2001-02-03 04:05:06.5 UTC', BIGINT '1001'`
	if text := server.Texts()[0]; text != wantSQL {
		t.Errorf("got  %s\nwant %s", text, wantSQL)
	}
	for _, r := range server.Requests() {
		for name, value := range map[string]string{
			"X-Trino-User": "entente_mou", "X-Trino-Role": "hive=ROLE{reader}", "X-Trino-Catalog": "hive", "X-Trino-Time-Zone": "UTC", "X-Trino-Source": "entente",
			"X-Trino-Session": "query_max_run_time=3000ms", "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME", "X-Trino-Client-Info": "agreement mou",
		} {
			if r.Header.Get(name) != value {
				t.Errorf("%s %s: %s is %q", r.Method, r.URL.Path, name, r.Header.Get(name))
			}
		}
	}
	q.Limit = 120
	if got, more, err = records(s, q); err != nil || !more || len(got) != 120 {
		t.Errorf("limit: %d records, more %v, %v", len(got), more, err)
	}
	eventually(t, "a statement with more rows than are wanted is cancelled", func() bool { return server.Cancelled() == 1 })
	stop := errors.New("stop")
	if _, err := s.Records(context.Background(), q, func(*gatewayv1.Record) error { return stop }); err != stop {
		t.Errorf("an error of yield: %v", err)
	}
	eventually(t, "a statement whose reader stopped is cancelled", func() bool { return server.Cancelled() == 2 })
}

func TestCountAndExists(t *testing.T) {
	server := trinotest.Start(t, script(func(_ context.Context, sql string) (*trinotest.Result, error) {
		if strings.HasPrefix(sql, "SELECT EXISTS (SELECT 1 FROM") {
			return &trinotest.Result{Types: []string{"boolean"}, Rows: [][]any{{true}}}, nil
		}
		return &trinotest.Result{Types: []string{"bigint"}, Rows: [][]any{{1<<53 + 1}}}, nil
	}))
	s, q := open(t, server), query(server)
	if n, err := s.Count(context.Background(), q); n != 1<<53+1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if ok, err := s.Exists(context.Background(), q); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	for _, text := range server.Texts() {
		if strings.Contains(text, "USING") {
			t.Errorf("no arguments: %s", text)
		}
	}
}

// TestServersThatDoNotKeepToIt: nothing of what they give is passed on.
func TestServersThatDoNotKeepToIt(t *testing.T) {
	row := func(field int, v any) [][]any {
		r := person(1)
		r[field] = v
		return [][]any{r}
	}
	for name, c := range map[string]struct {
		change func(r *http.Request, answer map[string]any)
		says   string
	}{
		"another column": {func(_ *http.Request, a map[string]any) {
			a["columns"] = append(a["columns"].([]any), map[string]any{"name": "ssn", "type": "varchar"})
		}, "other columns"},
		"a type":                 {func(_ *http.Request, a map[string]any) { a["columns"].([]any)[0].(map[string]any)["type"] = "double" }, "other columns"},
		"no columns":             {func(_ *http.Request, a map[string]any) { delete(a, "columns") }, "other columns"},
		"a longer row":           {func(_ *http.Request, a map[string]any) { a["data"] = [][]any{append(person(1), "Secret")} }, "other columns"},
		"a shorter row":          {func(_ *http.Request, a map[string]any) { a["data"] = [][]any{{1}} }, "other columns"},
		"an int as text":         {func(_ *http.Request, a map[string]any) { a["data"] = row(0, "Secret") }, "field id: the source gives another type"},
		"a fraction":             {func(_ *http.Request, a map[string]any) { a["data"] = row(0, 1.5) }, "field id"},
		"an int beyond 64 bits":  {func(_ *http.Request, a map[string]any) { a["data"] = row(0, json.Number("9223372036854775808")) }, "field id"},
		"a string as a number":   {func(_ *http.Request, a map[string]any) { a["data"] = row(1, 5) }, "field name"},
		"an unknown code":        {func(_ *http.Request, a map[string]any) { a["data"] = row(2, "Secret") }, "field sex"},
		"a floating point":       {func(_ *http.Request, a map[string]any) { a["data"] = row(3, "7.5E0") }, "floating-point"},
		"NaN":                    {func(_ *http.Request, a map[string]any) { a["data"] = row(3, "NaN") }, "field wage"},
		"no day":                 {func(_ *http.Request, a map[string]any) { a["data"] = row(4, "2001-02-30") }, "field born"},
		"year 20000":             {func(_ *http.Request, a map[string]any) { a["data"] = row(4, "+20000-01-01") }, "field born"},
		"nanoseconds":            {func(_ *http.Request, a map[string]any) { a["data"] = row(5, "2001-02-03 04:05:06.000000001000 UTC") }, "finer than microseconds"},
		"another zone":           {func(_ *http.Request, a map[string]any) { a["data"] = row(5, "2001-02-03 04:05:06.000 Europe/Paris") }, "field seen"},
		"a bool as a number":     {func(_ *http.Request, a map[string]any) { a["data"] = row(6, 1) }, "field active"},
		"data that is an object": {func(_ *http.Request, a map[string]any) { a["data"] = map[string]any{"encoding": "json"} }, "not one of Trino's protocol"},
		"no id":                  {func(_ *http.Request, a map[string]any) { delete(a, "id") }, "not one of Trino's protocol"},
		"next elsewhere":         {func(_ *http.Request, a map[string]any) { a["nextUri"] = "https://evil.example/v1/statement/x" }, "another place"},
		"next by http": {func(_ *http.Request, a map[string]any) {
			a["nextUri"] = strings.Replace(a["nextUri"].(string), "https", "http", 1)
		}, "another place"},
		"next by another path": {func(_ *http.Request, a map[string]any) {
			a["nextUri"] = strings.Replace(a["nextUri"].(string), "/v1/statement/", "/v1/spool/", 1)
		}, "another place"},
		"next with a user": {func(_ *http.Request, a map[string]any) {
			a["nextUri"] = strings.Replace(a["nextUri"].(string), "https://", "https://u:p@", 1)
		}, "another place"},
		"a page without end":  {func(_ *http.Request, a map[string]any) { a["x"] = strings.Repeat("x", 65<<10) }, "larger than"},
		"a number for a name": {func(_ *http.Request, a map[string]any) { a["nextUri"] = 5 }, "not one of Trino's protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			server := trinotest.Start(t, people(1))
			server.Change = func(r *http.Request, a map[string]any) {
				if a["data"] != nil {
					c.change(r, a)
				}
			}
			given, _, err := records(open(t, server), query(server))
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Secret") || len(given) > 0 {
				t.Errorf("%d records, %v", len(given), err)
			}
		})
	}
	for name, body := range map[string]string{
		"no JSON": `<html>`, "a member twice": `{"id": "x", "id": "y"}`, "half a surrogate": `{"id": "\ud800"}`, "an array": `[]`, "deep": `{"id": "x", "stats": ` + strings.Repeat("[", 10000),
		"broken off": `{"id": "x", "col`,
	} {
		server := trinotest.Start(t, people(1))
		server.Handle = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
			return true
		}
		if got, _, err := records(open(t, server), query(server)); err == nil || len(got) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEndlessRows: a server that never ends is cut off, and what it sends is not kept.
func TestEndlessRows(t *testing.T) {
	server := trinotest.Start(t, people(1))
	var page []byte
	server.Handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if page == nil {
			a := map[string]any{"id": "x", "nextUri": fmt.Sprintf("https://%s/v1/statement/executing/x/y/1", r.Host), "stats": map[string]any{"state": "RUNNING"}}
			for _, k := range allTypes {
				c, _ := a["columns"].([]any)
				a["columns"] = append(c, map[string]any{"name": "c", "type": k})
			}
			var rows [][]any
			for range 100 {
				rows = append(rows, person(1))
			}
			a["data"] = rows
			page, _ = json.Marshal(a)
		}
		_, _ = w.Write(page)
		return true
	}
	s, q := open(t, server), query(server)
	q.Limit = 5000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	more, err := s.Records(context.Background(), q, func(*gatewayv1.Record) error { n++; return nil })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || !more || n != 5000 {
		t.Errorf("%d records, more %v, %v", n, more, err)
	}
	if after.HeapAlloc > before.HeapAlloc+16<<20 {
		t.Errorf("%d MB are kept", (after.HeapAlloc-before.HeapAlloc)>>20)
	}
	// Without an end by itself, the deadline ends it.
	q.Limit = 1 << 40
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Records(ctx, q, func(*gatewayv1.Record) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		unavailable bool
		says        string
	}{
		"no column":     {&trinotest.Error{Name: "COLUMN_NOT_FOUND", Type: "USER_ERROR", Message: "Column 'Secret'"}, false, "not as the dataset says (COLUMN_NOT_FOUND)"},
		"type":          {&trinotest.Error{Name: "TYPE_MISMATCH", Type: "USER_ERROR", Message: "Secret"}, false, "not as the dataset says"},
		"cast":          {&trinotest.Error{Name: "INVALID_CAST_ARGUMENT", Type: "USER_ERROR", Message: "Cannot cast 'Secret' to BIGINT"}, false, "not of its field's type"},
		"denied":        {&trinotest.Error{Name: "PERMISSION_DENIED", Type: "USER_ERROR", Message: "Access Denied: Secret"}, true, "may not read"},
		"memory":        {&trinotest.Error{Name: "EXCEEDED_LOCAL_MEMORY_LIMIT", Type: "INSUFFICIENT_RESOURCES", Message: "Secret"}, true, "out of order (EXCEEDED_LOCAL_MEMORY_LIMIT)"},
		"killed":        {&trinotest.Error{Name: "ADMINISTRATIVELY_KILLED", Type: "USER_ERROR", Message: "Secret"}, true, "was ended in Trino"},
		"a sly name":    {&trinotest.Error{Name: "Secret\nx", Type: "USER_ERROR", Message: "x"}, false, "(no name)"},
		"internal":      {errors.New("Secret"), true, "out of order"},
		"statement ran": {&trinotest.Error{Name: "EXCEEDED_TIME_LIMIT", Type: "INSUFFICIENT_RESOURCES", Message: "Secret"}, true, "in time"},
	} {
		t.Run(name, func(t *testing.T) {
			server := trinotest.Start(t, script(func(context.Context, string) (*trinotest.Result, error) { return nil, c.err }))
			_, err := open(t, server).Exists(context.Background(), query(server))
			if err == nil || errors.Is(err, source.ErrUnavailable) != c.unavailable || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Secret") || !strings.Contains(err.Error(), "dataset people") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSecretsAndTLS(t *testing.T) {
	server := trinotest.Start(t, people(1))
	s, q := open(t, server), query(server)
	server.Password = "another"
	if _, _, err := records(s, q); !errors.Is(err, source.ErrUnavailable) || strings.Contains(err.Error(), "secret1") {
		t.Errorf("a password that is not taken: %v", err)
	}
	server.Password = "secret"
	if _, _, err := records(s, q); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	q.Dataset.Trino.CABundle = ""
	if _, _, err := records(s, q); !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	q = query(server)
	q.Dataset.Trino.Host = "localhost"
	if _, _, err := records(s, q); !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("a certificate for another host: %v", err)
	}
}

func TestBusyCoordinator(t *testing.T) {
	server := trinotest.Start(t, people(3))
	n := 0
	server.Handle = func(w http.ResponseWriter, r *http.Request) bool {
		if n++; n%2 == 0 {
			return false
		}
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	}
	if got, _, err := records(open(t, server), query(server)); err != nil || len(got) != 3 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// slow waits until it is cancelled.
func slow(ended chan<- struct{}) script {
	return func(ctx context.Context, _ string) (*trinotest.Result, error) {
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	}
}

// TestCancellation: whoever does not wait any more has the statement ended. That is once the server has said what it is called: until
// then nobody could, and Trino gives it up by itself.
func TestCancellation(t *testing.T) {
	named := func(server *trinotest.Server, then func()) {
		for !slices.ContainsFunc(server.Requests(), func(r *http.Request) bool { return r.Method == http.MethodGet }) {
			time.Sleep(10 * time.Millisecond)
		}
		then()
	}
	for name, end := range map[string]struct {
		run  func(server *trinotest.Server, s *trino.Source, q source.Query) error
		want func(error) bool
	}{
		"deadline": {func(_ *trinotest.Server, s *trino.Source, q source.Query) error {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, err := s.Count(ctx, q)
			return err
		}, func(err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && errors.Is(err, source.ErrUnavailable)
		}},
		"cancelled": {func(server *trinotest.Server, s *trino.Source, q source.Query) error {
			ctx, cancel := context.WithCancel(context.Background())
			go named(server, cancel)
			_, err := s.Count(ctx, q)
			return err
		}, func(err error) bool {
			return errors.Is(err, context.Canceled) && !errors.Is(err, source.ErrUnavailable)
		}},
		"revoked": {func(server *trinotest.Server, s *trino.Source, q source.Query) error {
			go named(server, func() { s.Revoke("other"); s.Revoke("mou") })
			_, err := s.Count(context.Background(), q)
			return err
		}, func(err error) bool { return errors.Is(err, source.ErrUnavailable) }},
		"statement timeout": {func(_ *trinotest.Server, s *trino.Source, q source.Query) error {
			_, err := s.Count(context.Background(), q)
			return err
		}, func(err error) bool {
			return errors.Is(err, source.ErrUnavailable) && strings.Contains(err.Error(), "in time")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{}, 1)
			server := trinotest.Start(t, slow(ended))
			if err := end.run(server, open(t, server), query(server)); !end.want(err) {
				t.Errorf("%v", err)
			}
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the statement goes on in Trino")
			}
			if name != "statement timeout" {
				eventually(t, "DELETE", func() bool { return server.Cancelled() == 1 })
			}
		})
	}
}

func TestRefused(t *testing.T) {
	server := trinotest.Start(t, people(1))
	s := open(t, server)
	for name, change := range map[string]func(*source.Query){
		"other source":      func(q *source.Query) { q.Dataset = &route.Dataset{Name: "x"} },
		"no fields":         func(q *source.Query) { q.Fields = nil },
		"no limit":          func(q *source.Query) { q.Limit = 0 },
		"no column":         func(q *source.Query) { delete(q.Dataset.Columns, "name") },
		"similarity":        func(q *source.Query) { q.Filter = compile(t, `similarity(name, "x") >= 0.5`) },
		"too many digits":   func(q *source.Query) { q.Filter = compile(t, `wage > decimal("`+strings.Repeat("9", 39)+`")`) },
		"a clock not bound": func(q *source.Query) { q.Filter = compile(t, `born == today()`) },
	} {
		q := query(server)
		change(&q)
		if _, _, err := records(s, q); err == nil || errors.Is(err, source.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(server.Texts()); n > 0 {
		t.Errorf("%d statements were sent", n)
	}
	q := query(server)
	q.Dataset.Columns["name"] = `name" FROM x; --`
	_, _, _ = records(s, q)
	if !slices.ContainsFunc(server.Texts(), func(s string) bool { return strings.Contains(s, `CAST("name"" FROM x; --" AS varchar)`) }) {
		t.Errorf("a column's name was not quoted: %v", server.Texts())
	}
}
