package compile

import (
	"fmt"
	"testing"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// many is an index of n signed agreements in force, with the conditions and routes that they have when nothing changes.
func many(b *testing.B, n int) (ix *Index, prior map[string]Prior, now time.Time) {
	b.Helper()
	f := readFixture(b, "testdata/source.in.yaml")
	now = f.Now[len(f.Now)-1].UTC()
	ix = f.index(now)
	template := f.agreements["wages.v1"]
	ix.Agreements = map[string][]*v1alpha1.SharingAgreement{}
	ix.Decisions = map[string][]*v1alpha1.AgreementDecision{}
	for i := range n {
		a := template.DeepCopy()
		a.Spec.Terms.ID = fmt.Sprintf("wages-%d", i)
		a.Name = a.Spec.Terms.ID + ".v1"
		digest, err := a.Spec.Terms.Digest()
		if err != nil {
			b.Fatal(err)
		}
		a.Spec.Signatures = []v1alpha1.AgreementSignature{{Agency: "state-police", JWS: sign("state-police", "state-police", digest, now)}}
		a.Status.Signatures = []v1alpha1.AgreementSignature{{Agency: f.Self, JWS: sign(f.Self, f.Self, digest, now)}}
		ix.Agreements[a.Spec.Terms.ID] = []*v1alpha1.SharingAgreement{a}
		f.agreements[a.Name] = a
	}
	prior = map[string]Prior{}
	for id, r := range Compile(ix, nil, now) {
		if r.Route == nil || r.Route.Current(now) == nil {
			b.Fatalf("%s is not in force", id)
		}
		prior[id] = f.writeBack(b, r, now)
	}
	return ix, prior, now
}

func BenchmarkCompileAgreement(b *testing.B) {
	ix, prior, now := many(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		CompileAgreement(ix, "wages-0", prior["wages-0"], now)
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ix, prior, now := many(b, n)
			b.ReportAllocs()
			for b.Loop() {
				Compile(ix, prior, now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/agreement")
		})
	}
}
