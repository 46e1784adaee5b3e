// Package tabular writes answers as tables, the same over REST and from the command line: CSV for spreadsheets, Arrow for everything
// that computes. A row is a record with where it comes from and what binds whoever has it; how each source ended is no row.
// Both take the frames that a user gets who reads columns, see QueryResponse.
package tabular

import (
	"errors"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/jsonform"
	"github.com/entente-dev/entente/gateway/route"
)

// provenance are the columns before the fields; no field has a point in its name.
var provenance = []string{
	"source.agency", "source.dataset", "source.agreement", "source.clause", "source.disclosureId",
	"source.redisclosure", "source.destroyBy", "source.noActionBefore",
}

// of gives the values of those columns.
func of(p *gatewayv1.Provenance) []string {
	redisclosure, destroyBy, noActionBefore := jsonform.Marks(p.GetObligations())
	return []string{p.GetAgency(), p.GetDataset(), p.GetAgreement(), p.GetClause(), p.GetDisclosureId(), redisclosure, destroyBy, noActionBefore}
}

// Writer writes one answer. Frames other than those with records are nothing to it.
type Writer interface {
	Frame(*gatewayv1.QueryResponse) error
	// Started says whether anything is written.
	Started() bool
	// End ends a whole answer; without it, it shows that it is not whole, in Arrow by itself.
	End() error
}

// table is what both have in common: the columns that the first frame says there may be.
type table struct {
	fields []*route.Field
	batch  *columns.Batch
	// at is the batch's column of each field; -1: the source does not disclose it.
	at []int
}

var errFirst = errors.New("tabular: the answer does not begin with its columns")

// read takes a frame, and says whether it has rows.
func (t *table) read(f *gatewayv1.QueryResponse) (bool, error) {
	if len(f.GetArrow()) == 0 {
		if len(f.GetRecords().GetRecords()) > 0 {
			return false, errors.New("tabular: the answer is not by columns")
		}
		return false, nil
	}
	b, err := columns.Decode(f.GetArrow(), nil)
	if err != nil {
		return false, err
	}
	if f.GetRecords().GetProvenance() == nil {
		if t.fields == nil { // of further pages the columns are the same
			t.fields = b.Fields()
		}
		return false, nil
	}
	if t.fields == nil {
		return false, errFirst
	}
	t.batch, t.at = b, make([]int, len(t.fields))
	for i := range t.at {
		t.at[i] = -1
	}
	for at, got := range b.Fields() {
		found := false
		for i, f := range t.fields {
			if f.Name == got.Name {
				t.at[i], found = at, true
			}
		}
		if !found {
			return false, errFirst
		}
	}
	return b.Rows() > 0, nil
}
