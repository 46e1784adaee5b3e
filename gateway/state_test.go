package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/entente-dev/entente/gateway/source"
)

// TestStateMetrics: metrics say what a gateway depends on, and notice when it goes.
func TestStateMetrics(t *testing.T) {
	src, rec := pair(t, options{})
	alice := rec.client("alice")
	text := func(a *agency) string {
		_, text := get(t, "http://"+a.addrs.Health+"/metrics")
		return text
	}
	want := func(a *agency, lines ...string) {
		t.Helper()
		got := text(a)
		for _, l := range lines {
			if !strings.Contains(got, l+"\n") {
				t.Errorf("%s: no %s", a.party.Agency, l)
			}
		}
	}
	want(src, `entente_gateway_sources{state="up"} 0`, `entente_gateway_sources{state="unavailable"} 0`, `entente_gateway_log_queue_records 0`)
	want(rec, `entente_gateway_credentials{state="held"} 0`, `entente_gateway_credential_remaining_seconds 0`)
	rec.query(t, alice, q(`person_number == "P000042"`))
	want(src, `entente_gateway_sources{state="up"} 1`, `entente_gateway_stage_duration_seconds_count{side="source",stage="source"} 1`)
	want(rec, `entente_gateway_credentials{state="held"} 1`, `entente_gateway_credentials{state="failing"} 0`, `entente_gateway_stage_duration_seconds_count{side="recipient",stage="ask"} 1`)
	for name, a := range map[string]*agency{"entente_gateway_credential_remaining_seconds": rec, "entente_gateway_identity_remaining_seconds": src} {
		var left float64
		for line := range strings.Lines(text(a)) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				fmt.Sscan(rest, &left)
			}
		}
		if left < 1800 || left > 3600 {
			t.Errorf("%s is %v, want almost an hour", name, left)
		}
	}
	src.sources.hook(func(context.Context) error { return fmt.Errorf("%w: gone", source.ErrUnavailable) })
	rec.query(t, alice, q(`person_number == "P000042"`))
	want(src, `entente_gateway_sources{state="up"} 0`, `entente_gateway_sources{state="unavailable"} 1`)
	src.sources.hook(nil)
	rec.query(t, alice, q(`person_number == "P000042"`))
	want(src, `entente_gateway_sources{state="up"} 1`)
}
