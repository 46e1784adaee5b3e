package receipt

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/entente-dev/entente/gateway/audit"
)

var start = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

// id is a UUIDv7 of a date.
func id(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n)
}

func TestDated(t *testing.T) {
	want, ok := Dated(id(start, 1))
	if !ok || !want.Equal(start) {
		t.Errorf("dated %s, %t; made at %s", want, ok, start)
	}
	made := uuid.Must(uuid.NewV7())
	if got, ok := Dated(made.String()); !ok || time.Since(got).Abs() > time.Minute {
		t.Errorf("%s is dated %s, %t", made, got, ok)
	}
	for _, bad := range []string{"", "x", uuid.NewString(), "zzzzzzzz-zzzz-7000-8000-000000000000", made.String() + "0"} {
		if _, ok := Dated(bad); ok {
			t.Errorf("%q is dated", bad)
		}
	}
}

// log is a reader of records, each written at the date of its id plus its place.
func reader(records ...audit.Record) Reader {
	return func(from time.Time, fn func(audit.Record) error) error {
		for _, r := range records {
			if r.Time.Before(from) {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func record(kind audit.Kind, at time.Time, n int) audit.Record {
	r := audit.Record{
		Disclosure: id(at, n), Kind: kind, Side: audit.Source, Time: at.Add(time.Second), Operation: audit.Consultation, Agreement: "anvil", Version: 2,
		Source: "labor", Recipient: "police", QueryDigest: "q",
	}
	if kind != audit.Intent {
		r.Outcome = "OK"
	}
	if kind == audit.Outcome {
		r.ResponseDigest = "r"
	}
	return r
}

func TestPage(t *testing.T) {
	var records []audit.Record
	for n := range 100 {
		at := start.Add(time.Duration(99-n) * time.Second) // ids do not come in the order in which they are logged
		records = append(records, record(audit.Intent, at, n), record(audit.Outcome, at, n))
	}
	slices.SortStableFunc(records, func(a, b audit.Record) int { return a.Time.Compare(b.Time) })
	other := record(audit.Outcome, start, 1000)
	other.Recipient = "border"
	erasure := record(audit.Outcome, start, 1001)
	erasure.Operation = "erasure"
	ours := record(audit.Denial, start, 1002)
	ours.Side, ours.Source, ours.Recipient = audit.Recipient, "police", "labor"
	records = append(records, other, erasure, ours, record(audit.Intent, start.Add(-time.Hour), 1003))

	w := Window{start, start.Add(90 * time.Second)}
	var all []Receipt
	for after := ""; ; {
		page, more, err := Page(reader(records...), Query{Peer: "police", Window: w, After: after, Limit: 7})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if !more {
			break
		}
		if len(page) != 7 {
			t.Fatalf("a page that is not the last has %d receipts", len(page))
		}
		after = page[6].Disclosure
	}
	if len(all) != 90 {
		t.Fatalf("%d receipts, want 90", len(all))
	}
	for i, r := range all {
		want := Receipt{Disclosure: id(start.Add(time.Duration(i)*time.Second), 99-i), Agreement: "anvil", Version: 2, Side: audit.Source, Outcome: "OK", QueryDigest: "q", ResponseDigest: "r"}
		if r != want {
			t.Fatalf("receipt %d is %+v, want %+v", i, r, want)
		}
	}
}

// A recipient that uses one id twice would hide the second disclosure behind the first.
func TestRepeatedID(t *testing.T) {
	r := reader(record(audit.Intent, start, 1), record(audit.Outcome, start, 1), record(audit.Intent, start, 1), record(audit.Outcome, start, 1))
	page, _, err := Page(r, Query{Peer: "police", Window: Window{start, start.Add(time.Hour)}})
	if err != nil || len(page) != 1 || !page[0].Repeated {
		t.Fatalf("%+v, %v", page, err)
	}
}

// A long answer leaves in frames, each with a record of its release; that is one disclosure, and one that a crash cut off has disclosed.
func TestLongAnswer(t *testing.T) {
	w := Window{start, start.Add(time.Hour)}
	release := record(audit.Release, start, 1)
	release.Outcome = ""
	records := []audit.Record{record(audit.Intent, start, 1), release, release, record(audit.Outcome, start, 1)}
	page, _, err := Page(reader(records...), Query{Peer: "police", Window: w})
	if err != nil || len(page) != 1 || page[0].Repeated || page[0].Outcome != "OK" || page[0].ResponseDigest != "r" {
		t.Fatalf("%+v, %v", page, err)
	}
	page, _, err = Page(reader(records[:3]...), Query{Peer: "police", Window: w})
	if err != nil || len(page) != 1 || page[0].Repeated || page[0].Outcome != "PARTIAL" || page[0].ResponseDigest != "" {
		t.Fatalf("cut off: %+v, %v", page, err)
	}
	theirs := page[0]
	theirs.Side = audit.Recipient
	if f := judge(&page[0], &theirs); f.Result != Unconfirmed {
		t.Errorf("cut off: %+v", f)
	}
}

// Reading stops soon after what may be on the page.
func TestPageStops(t *testing.T) {
	read := 0
	endless := func(from time.Time, fn func(audit.Record) error) error {
		for n := 0; ; n++ {
			read++
			if err := fn(record(audit.Outcome, start.Add(time.Duration(n)*time.Second), n)); err != nil {
				return err
			}
		}
	}
	page, more, err := Page(endless, Query{Peer: "police", Window: Window{start, start.Add(1000 * time.Hour)}, Limit: 10})
	if err != nil || len(page) != 10 || !more || read > 5000 {
		t.Fatalf("%d receipts, more %t, %d records read, %v", len(page), more, read, err)
	}
}

func sequence(receipts ...Receipt) iter.Seq2[Receipt, error] {
	return func(yield func(Receipt, error) bool) {
		for _, r := range receipts {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	source := func(edit ...func(*Receipt)) *Receipt {
		r := &Receipt{Disclosure: id(start, 1), Agreement: "anvil", Side: audit.Source, Outcome: "OK", QueryDigest: "q", ResponseDigest: "r"}
		for _, e := range edit {
			e(r)
		}
		return r
	}
	recipient := func(edit ...func(*Receipt)) *Receipt {
		return source(append(edit, func(r *Receipt) { r.Side = audit.Recipient })...)
	}
	ended := func(outcome string) func(*Receipt) {
		return func(r *Receipt) { r.Outcome, r.ResponseDigest = outcome, "" }
	}
	for _, c := range []struct {
		name              string
		source, recipient *Receipt
		want              Result
	}{
		{"both have it", source(), recipient(), Matched},
		{"both refused", source(ended("DENIED")), recipient(ended("DENIED")), Matched},
		{"source down", source(ended("UNAVAILABLE")), recipient(ended("UNAVAILABLE")), Matched},
		{"never arrived", nil, recipient(ended("UNAVAILABLE")), Unanswered},
		{"recipient crashed before it asked", nil, recipient(ended("")), Unanswered},
		{"source crashed", source(ended("")), recipient(ended("UNAVAILABLE")), Unanswered},
		{"answer was lost", source(), recipient(ended("TIMEOUT")), Unconfirmed},
		{"recipient crashed", source(), recipient(ended("")), Unconfirmed},
		{"recipient denies having asked", source(), nil, OnlySource},
		{"refused, and not known to the recipient", source(ended("DENIED")), nil, OnlySource},
		{"source hides a disclosure", nil, recipient(), OnlyRecipient},
		{"source hides the answer", source(ended("DENIED")), recipient(), Differs},
		{"source has no outcome", source(ended("")), recipient(), Differs},
		{"another query", source(func(r *Receipt) { r.QueryDigest = "x" }), recipient(), Differs},
		{"another agreement", source(func(r *Receipt) { r.Agreement = "x" }), recipient(), Differs},
		{"another answer", source(func(r *Receipt) { r.ResponseDigest = "x" }), recipient(), Differs},
		{"one id twice", source(func(r *Receipt) { r.Repeated = true }), recipient(), Differs},
		{"both the source", source(), source(), Differs},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a, b []Receipt
			if c.source != nil {
				a = append(a, *c.source)
			}
			if c.recipient != nil {
				b = append(b, *c.recipient)
			}
			for _, sides := range [][2][]Receipt{{a, b}, {b, a}} { // whoever compares
				for f, err := range Compare(sequence(sides[0]...), sequence(sides[1]...)) {
					if err != nil || f.Result != c.want || f.Result.Faulty() && f.What == "" {
						t.Errorf("%+v, %v; want %s", f, err, c.want)
					}
				}
			}
		})
	}
}

func TestCompareMerges(t *testing.T) {
	r := func(n int, side audit.Side) Receipt {
		return Receipt{Disclosure: id(start, n), Side: side, Outcome: "OK", ResponseDigest: "r"}
	}
	ours := sequence(r(1, audit.Source), r(2, audit.Source), r(4, audit.Source))
	theirs := sequence(r(2, audit.Recipient), r(3, audit.Recipient), r(4, audit.Recipient), r(5, audit.Recipient))
	var got []Result
	for f, err := range Compare(ours, theirs) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Result)
	}
	if want := []Result{OnlySource, Matched, OnlyRecipient, Matched, OnlyRecipient}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// endless is a lister whose pages have nothing, and always another one after them.
type endless struct {
	t     *testing.T
	pages int
}

func (e *endless) ListReceipts(_ context.Context, _ string, _ Window, after string) ([]Receipt, string, error) {
	if e.pages++; e.pages > 10 {
		e.t.Fatal("it is asked for ever")
	}
	return nil, after + "1", nil
}

func TestEndlessPages(t *testing.T) {
	for _, err := range All(t.Context(), &endless{t: t}, "police", Window{start, start.Add(time.Hour)}) {
		if err == nil {
			t.Error("a receipt")
		}
		return
	}
	t.Error("no error")
}
