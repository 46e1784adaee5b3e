package route

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"
)

var (
	self  = Party{Agency: "state-police", TrustDomain: "police.example"}
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func sample(sequence int64) *Route {
	return &Route{
		Format: Format, Agreement: "anvil", Sequence: sequence, Self: self,
		Versions: []Version{
			{Version: 1, NotBefore: start, NotAfter: start.Add(time.Hour), Clauses: []Clause{{Name: "subjects", CaseReference: "TF-[0-9]+|X"}}},
			{Version: 2, NotBefore: start.Add(time.Hour), NotAfter: start.Add(2 * time.Hour)},
		},
	}
}

// TestCurrent: an amendment switches with no gap and no overlap.
func TestCurrent(t *testing.T) {
	r := sample(1)
	for at, want := range map[time.Duration]int64{
		-1: 0, 0: 1, time.Hour - 1: 1, time.Hour: 2, 2*time.Hour - 1: 2, 2 * time.Hour: 0,
	} {
		var got int64
		if v := r.Current(start.Add(at)); v != nil {
			got = v.Version
		}
		if got != want {
			t.Errorf("at %v: version %d, want %d", at, got, want)
		}
	}
	r.Tombstone = &Tombstone{Reason: "Suspended"}
	if r.Current(start) != nil {
		t.Error("a tombstone is in force")
	}
}

func TestVerify(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]ed25519.PublicKey{"k1": public}
	payload, err := Encode(sample(7))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(payload []byte) Signed {
		return Signed{Payload: payload, KeyID: "k1", Signature: ed25519.Sign(private, SigningInput(payload))}
	}
	r, err := Verify(sign(payload), keys)
	if err != nil || r.Sequence != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !r.Versions[0].Clauses[0].MatchesCaseReference("TF-12") || r.Versions[0].Clauses[0].MatchesCaseReference("aX") {
		t.Error("case reference")
	}

	other := sign(payload)
	other.KeyID = "k2"
	altered := sign(payload)
	altered.Payload = []byte(strings.Replace(string(payload), "anvil", "anvim", 1))
	bare := Signed{Payload: payload, KeyID: "k1", Signature: ed25519.Sign(private, payload)}
	for name, tc := range map[string]struct {
		signed Signed
		want   error
	}{
		"unknown key":              {other, ErrUnknownKey},
		"altered payload":          {altered, ErrSignature},
		"signed without context":   {bare, ErrSignature},
		"no signature":             {Signed{Payload: payload, KeyID: "k1"}, ErrSignature},
		"unknown member":           {sign([]byte(`{"format":1,"agreement":"a","sequence":1,"onlyOnSundays":true}`)), ErrFormat},
		"later format":             {sign([]byte(`{"format":2,"agreement":"a","sequence":1}`)), ErrFormat},
		"no sequence":              {sign([]byte(`{"format":1,"agreement":"a"}`)), ErrFormat},
		"pattern does not compile": {sign([]byte(`{"format":1,"agreement":"a","sequence":1,"versions":[{"clauses":[{"caseReference":"("}]}]}`)), ErrFormat},
	} {
		if _, err := Verify(tc.signed, keys); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable(self)
	var told []string
	table.Subscribe(func(old, new *Route) {
		switch {
		case old == nil:
			told = append(told, "new")
		case new == nil:
			told = append(told, "gone")
		default:
			told = append(told, "changed")
		}
	})
	if err := table.Put(sample(2)); err != nil {
		t.Fatal(err)
	}
	if err := table.Put(sample(1)); err == nil {
		t.Error("a route went back")
	}
	foreign := sample(3)
	foreign.Self.TrustDomain = "other.example"
	if err := table.Put(foreign); err == nil {
		t.Error("a route of another agency is served")
	}
	if err := table.Put(sample(3)); err != nil {
		t.Fatal(err)
	}
	if got := table.Get("anvil"); got == nil || got.Sequence != 3 || len(table.All()) != 1 {
		t.Errorf("served: %+v", got)
	}

	table.Withhold()
	table.Withhold()
	if table.Get("anvil") != nil || len(table.All()) != 0 {
		t.Error("a withheld route is served")
	}
	if err := table.Put(sample(4)); err != nil {
		t.Fatal(err)
	}
	if table.Get("anvil") != nil {
		t.Error("a route that came while withheld is served")
	}
	table.Restore()
	if got := table.Get("anvil"); got == nil || got.Sequence != 4 {
		t.Errorf("restored: %+v", got)
	}
	table.Remove("anvil")
	table.Remove("anvil")
	if table.Get("anvil") != nil {
		t.Error("a removed route is served")
	}
	if got, want := strings.Join(told, " "), "new changed gone new gone"; got != want {
		t.Errorf("subscribers were told %q, want %q", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	payload, err := Encode(sample(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err == nil {
			r.Current(start)
		}
	})
}
