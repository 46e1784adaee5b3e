package quota

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entente-dev/entente/hack/testenv"
)

var (
	noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	key  = Key{"anvil", "wages", "state-police"}
)

func embedded(t testing.TB) *Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "quota.db"))
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := OpenEmbedded(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestEmbedded(t *testing.T) { testStore(t, embedded(t)) }

// testStore is what every store does.
func testStore(t *testing.T, s *Store) {
	ctx := context.Background()
	limits := Limits{Queries: 4, Records: 100}
	expect := func(what string, got Used, err error, want Used) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
		}
	}
	first, used, err := s.Reserve(ctx, key, limits, noon, 80)
	expect("first", used, err, Used{1, 80})
	second, used, err := s.Reserve(ctx, key, limits, noon, 80)
	expect("what is left", used, err, Used{2, 100})
	if first.Records != 80 || second.Records != 20 {
		t.Errorf("reserved %d and %d, want 80 and 20", first.Records, second.Records)
	}
	_, used, err = s.Reserve(ctx, key, limits, noon, 1)
	if !errors.Is(err, ErrExceeded) || used != (Used{2, 100}) {
		t.Errorf("no record left: %+v, %v", used, err)
	}
	if _, used, err = s.Reserve(ctx, key, limits, noon, 0); err != nil || used != (Used{3, 100}) {
		t.Errorf("a count needs no record: %+v, %v", used, err)
	}
	used, err = s.Settle(ctx, first, 5)
	expect("settled", used, err, Used{3, 25})
	used, err = s.Settle(ctx, second, 1000) // more than it had
	expect("settled with too much", used, err, Used{3, 25})
	used, err = s.Used(ctx, key, noon)
	expect("read", used, err, Used{3, 25})
	if r, used, err := s.Reserve(ctx, key, limits, noon, 80); err != nil || r.Records != 75 || used != (Used{4, 100}) {
		t.Errorf("after settling: %+v, %+v, %v", r, used, err)
	}
	if _, used, err = s.Reserve(ctx, key, limits, noon, 0); !errors.Is(err, ErrExceeded) || used.Queries != 4 {
		t.Errorf("no query left: %+v, %v", used, err)
	}
	// Limits that an amendment lowers hold at once, and give nothing back.
	if _, _, err = s.Reserve(ctx, key, Limits{Queries: 9, Records: 10}, noon, 5); !errors.Is(err, ErrExceeded) {
		t.Errorf("above a lowered limit: %v", err)
	}
	for name, other := range map[string]Key{
		"another agreement": {"harbor", key.Clause, key.Recipient}, "another clause": {key.Agreement, "taxes", key.Recipient}, "another recipient": {key.Agreement, key.Clause, "border-service"},
		"names are values": {`'; DROP TABLE entente_quota; --`, `"`, "$1"},
	} {
		_, used, err = s.Reserve(ctx, other, limits, noon, 10)
		expect(name, used, err, Used{1, 10})
	}
	midnight := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	_, used, err = s.Reserve(ctx, key, limits, midnight.In(time.FixedZone("EST", -5*3600)), 10)
	expect("the next day in UTC", used, err, Used{1, 10})
	if _, _, err = s.Reserve(ctx, key, limits, midnight.Add(-1), 0); !errors.Is(err, ErrExceeded) {
		t.Errorf("the last instant of the day: %v", err)
	}
	// Without limits everything is counted, and nothing refused.
	_, used, err = s.Reserve(ctx, Key{Agreement: "free"}, Limits{}, noon, 1_000_000_000)
	expect("no limits", used, err, Used{1, 1_000_000_000})
	// A clock that is set ahead, and back, gives nothing back: not of today.
	if _, _, err = s.Reserve(ctx, Key{Agreement: "ahead"}, limits, noon.AddDate(10, 0, 0), 1); err != nil {
		t.Error(err)
	}
	if _, _, err = s.Reserve(ctx, key, limits, noon, 0); !errors.Is(err, ErrExceeded) {
		t.Errorf("after a clock was set ahead: %v", err)
	}
	// Days later the old ones are gone.
	for day := range 10 {
		if _, _, err = s.Reserve(ctx, Key{Agreement: "later"}, limits, noon.AddDate(0, 0, 1+day), 1); err != nil {
			t.Error(err)
		}
	}
	used, err = s.Used(ctx, key, noon)
	expect("swept", used, err, Used{})
}

// TestReopen: what was reserved when the process ended counts as used.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quota.db")
	s := open(t, path)
	if _, _, err := s.Reserve(context.Background(), key, Limits{Records: 100}, noon, 60); err != nil {
		t.Fatal(err)
	}
	// Not closed: a second process finds the file as a crash leaves it.
	again := open(t, path)
	if r, used, err := again.Reserve(context.Background(), key, Limits{Records: 100}, noon, 60); err != nil || r.Records != 40 || used.Queries != 2 {
		t.Errorf("%+v, %+v, %v", r, used, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestEmbeddedConcurrently(t *testing.T) {
	s := embedded(t)
	testConcurrently(t, s, s)
}

// testConcurrently: many callers of several replicas get exactly the day's queries and records between them.
func testConcurrently(t *testing.T, replicas ...*Store) {
	t.Helper()
	const callers, each, queries, records = 8, 20, 100, 555
	k := Key{"anvil", "concurrent", "state-police"}
	var answered, disclosed, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		s := replicas[i%len(replicas)]
		wg.Go(func() {
			for n := range each {
				r, _, err := s.Reserve(context.Background(), k, Limits{queries, records}, noon, 10)
				if errors.Is(err, ErrExceeded) {
					refused.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
				used := min(int64(n%8), r.Records)
				disclosed.Add(used)
				if _, err := s.Settle(context.Background(), r, used); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	used, err := replicas[0].Used(context.Background(), k, noon)
	if err != nil || used.Queries != answered.Load() || used.Records != disclosed.Load() || answered.Load() > queries || disclosed.Load() > records {
		t.Errorf("counted %+v, %v; answered %d with %d records, refused %d", used, err, answered.Load(), disclosed.Load(), refused.Load())
	}
	if answered.Load()+refused.Load() != callers*each || answered.Load() < queries/2 {
		t.Errorf("answered %d, refused %d", answered.Load(), refused.Load())
	}
}

func TestPostgres(t *testing.T) {
	p := testenv.RequirePostgres(t, testenv.PostgresOptions{NoSync: true})
	ctx := context.Background()
	if err := p.Exec(ctx, "postgres", Schema+`CREATE ROLE counter LOGIN PASSWORD 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON entente_quota TO counter;`); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("postgres://127.0.0.1:%d/postgres?sslmode=verify-full&sslrootcert=%s", p.Port(), p.CAFile())
	login := func(context.Context) (string, string, error) { return "counter", "pw", nil }
	connect := func() *Store {
		s, err := OpenPostgres(address, login)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Run("store", func(t *testing.T) { testStore(t, connect()) })
	t.Run("two replicas", func(t *testing.T) { testConcurrently(t, connect(), connect()) })
	t.Run("no table", func(t *testing.T) {
		if err := p.Exec(ctx, "postgres", `ALTER TABLE entente_quota RENAME TO gone`); err != nil {
			t.Fatal(err)
		}
		if _, _, err := connect().Reserve(ctx, key, Limits{Queries: 1}, noon, 0); err == nil || errors.Is(err, ErrExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no login", func(t *testing.T) {
		s, err := OpenPostgres(address, func(context.Context) (string, string, error) { return "", "", errors.New("vault is sealed") })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, _, err := s.Reserve(ctx, key, Limits{Queries: 1}, noon, 0); err == nil || errors.Is(err, ErrExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestPostgresAddress(t *testing.T) {
	for _, address := range []string{"postgres://u:secret@h/db?sslmode=disable", "postgres://u:secret@h/db?sslmode=prefer", "postgres://u:secret@h:x/db", "host=h user=u password=secret sslmode=allow"} {
		if s, err := OpenPostgres(address, nil); err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", address)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v repeats the password", err)
		}
	}
}
