package federation

import (
	"fmt"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
	"github.com/entente-dev/entente/gateway/digest"
	"github.com/entente-dev/entente/gateway/internal/shape"
	"github.com/entente-dev/entente/gateway/jsonform"
	"github.com/entente-dev/entente/gateway/route"
)

// piece is the records of one frame of a source: as records, or by columns.
type piece struct {
	batch   *gatewayv1.RecordBatch // with the records, or without them
	columns *columns.Batch         // nil: they are records
}

func (p *piece) rows() int64 {
	switch {
	case p == nil:
		return 0
	case p.columns != nil:
		return int64(p.columns.Rows())
	}
	return int64(len(p.batch.GetRecords()))
}

func (p *piece) digest(d *digest.Response) {
	dataset := p.batch.GetProvenance().GetDataset()
	if p.columns != nil {
		d.Columns(dataset, p.columns)
		return
	}
	for _, r := range p.batch.GetRecords() {
		d.Record(dataset, r)
	}
}

// piece takes the records off a frame, checked; nil: it has none.
func (a *asking) piece(f *gatewayv1.RetrieveResponse) (*piece, error) {
	b := f.GetRecords()
	p := &piece{batch: b}
	switch {
	case len(f.GetArrow()) > 0 && (b == nil || len(b.GetRecords()) > 0):
		return nil, &errAnswer{"the source sent records by columns and otherwise in one frame"}
	case len(f.GetArrow()) > 0 && (len(a.ch.plan.Order) > 0 || !columns.Supports(a.fields)):
		return nil, &errAnswer{"the source sent by columns what cannot be so"}
	case len(f.GetArrow()) > 0:
		var err error
		if p.columns, err = columns.Decode(f.GetArrow(), a.fields); err != nil {
			return nil, &errAnswer{"the source sent records that cannot be read: " + err.Error()}
		}
	case len(b.GetRecords()) == 0:
		return nil, nil
	}
	return p, a.check(b, p.rows())
}

// byRecords is the batch with its records.
func (p *piece) byRecords() *gatewayv1.RecordBatch {
	if p.columns != nil {
		p.batch.Records = p.columns.Records()
	}
	return p.batch
}

// byColumns gives the frame for a user who reads columns. They are encoded anew, so that nothing goes on that was not checked.
func (p *piece) byColumns(schema *route.Schema) (*gatewayv1.QueryResponse, error) {
	c := p.columns
	if c == nil {
		c = columns.New(columns.Table(schema, p.batch.GetFields()))
		for _, r := range p.batch.GetRecords() {
			if err := c.PutRecord(p.flat(c.Fields(), r)); err != nil {
				return nil, fmt.Errorf("a source sent a record that is none: %w", err)
			}
			c.EndRow()
		}
	}
	data, err := c.Encode()
	return &gatewayv1.QueryResponse{
		Records: &gatewayv1.RecordBatch{Provenance: p.batch.GetProvenance(), Fields: p.batch.GetFields()}, Arrow: data,
	}, err
}

// flat writes lists and records as JSON.
func (p *piece) flat(fields []*route.Field, r *gatewayv1.Record) *gatewayv1.Record {
	for i, v := range r.GetValues() {
		if i < len(fields) && fields[i].Type == columns.JSON && v.GetKind() != nil {
			v.Kind = &gatewayv1.Value_Text{Text: jsonform.Value(v, p.batch.GetMembers()[fields[i].Name])}
		}
	}
	return r
}

// table is the fields of an answer that have one value, by their places.
type table struct {
	at    []int
	batch *columns.Batch
}

// tabled says whether byColumns will take a record: what it does not take is told of the source, and does not end the answers of others.
func (a *asking) tabled(r *gatewayv1.Record) bool {
	if a.table == nil {
		a.table = &table{}
		var fields []*route.Field
		for i, f := range columns.Table(&a.ch.plan.Clause.Schema, a.shape.Fields) {
			if f.Type != columns.JSON {
				a.table.at, fields = append(a.table.at, i), append(fields, f)
			}
		}
		a.table.batch = columns.New(fields)
	}
	values := make([]*gatewayv1.Value, len(a.table.at))
	for i, at := range a.table.at {
		values[i] = r.GetValues()[at]
	}
	defer a.table.batch.Reset()
	return a.table.batch.PutRecord(&gatewayv1.Record{Values: values}) == nil
}

// header is the first frame for a user who reads columns: all that the answer may have, in the order of the agencies, and no rows.
// Fields that agencies have under one name and of several types are text.
func header(choices []*choice) (*gatewayv1.QueryResponse, error) {
	var fields []*route.Field
	at := map[string]int{}
	for _, ch := range choices {
		if ch.plan == nil || ch.plan.Granularity != "Records" {
			continue
		}
		for _, f := range columns.Table(&ch.plan.Clause.Schema, shape.Of(&ch.plan.Clause.Schema, ch.plan.Fields).Fields) {
			i, found := at[f.Name]
			switch {
			case !found:
				at[f.Name] = len(fields)
				fields = append(fields, f)
			case fields[i].Type != f.Type && fields[i].Type != columns.JSON:
				fields[i] = &route.Field{Name: f.Name, Type: "string"}
			}
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	batch := &gatewayv1.RecordBatch{}
	for _, f := range fields {
		batch.Fields = append(batch.Fields, f.Name)
	}
	data, err := columns.New(fields).Encode()
	return &gatewayv1.QueryResponse{Records: batch, Arrow: data}, err
}
