// Package digest gives the digests by which both sides of a disclosure recognise the same question and the same answer.
// The encoding is written out here, byte for byte: a digest must not change with a library's version.
package digest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"maps"
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
)

// Prefix of every digest, which is followed by base64url without padding.
const prefix = "sha256:"

func text(sum []byte) string {
	b := append(make([]byte, 0, len(prefix)+2*sha256.Size), prefix...)
	return string(base64.RawURLEncoding.AppendEncode(b, sum))
}

// Query is the digest of what is asked. The user's pseudonym and the disclosure id are not part of it: equal questions have
// equal digests.
func Query(r *gatewayv1.RetrieveRequest) string {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := appendQuery((*buf)[:0], r)
	if a := r.GetAfter(); a != nil {
		b = binary.AppendUvarint(append(b, 'p'), uint64(a.GetSize()))
		b = appendText(b, a.GetDisclosureId())
		b = appendText(b, a.GetDataset())
		b = appendValues(b, a.GetValues())
		b = appendText(b, string(a.GetPosition()))
	}
	if cap(b) <= 4<<10 {
		*buf = b
	}
	sum := sha256.Sum256(b)
	return text(sum[:])
}

// buffers are where queries are encoded.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// Pages is the digest of what all pages of one answer are asked with.
func Pages(r *gatewayv1.RetrieveRequest) [sha256.Size]byte {
	return sha256.Sum256(appendQuery(make([]byte, 0, 512), r))
}

// Values writes the values of a record of a dataset as Response digests them.
func Values(b []byte, dataset string, values []*gatewayv1.Value) []byte {
	return appendValues(appendText(b, dataset), values)
}

func appendQuery(b []byte, r *gatewayv1.RetrieveRequest) []byte {
	b = appendText(b, "entente.dev/v1 query")
	b = appendText(b, r.GetAgreement())
	b = binary.AppendUvarint(b, uint64(r.GetVersion()))
	b = appendText(b, r.GetClause())
	b = appendText(b, r.GetSchema())
	b = appendText(b, r.GetFilter())
	b = binary.AppendUvarint(b, uint64(len(r.GetFields())))
	for _, f := range r.GetFields() {
		b = appendText(b, f)
	}
	b = binary.AppendUvarint(b, uint64(r.GetGranularity()))
	b = appendText(b, r.GetPurpose())
	b = appendText(b, r.GetJustification().GetCaseReference())
	b = appendText(b, r.GetJustification().GetSubjectRole())
	b = appendText(b, r.GetJustification().GetAim())
	b = binary.AppendUvarint(b, uint64(r.GetLimit()))
	if j := r.GetJustification().GetJurisdiction(); j != "" {
		b = appendText(append(b, 'j'), j)
	}
	if c := r.GetClaims(); len(c.GetFields()) > 0 {
		b = appendObject(append(b, 'c'), c)
	}
	for _, o := range r.GetOrder() {
		b = appendText(append(b, 'o'), o.GetField())
		if o.GetDescending() {
			b = append(b, kindTrue)
		} else {
			b = append(b, kindFalse)
		}
	}
	return b
}

// Response digests an answer as it passes by. The frames in which it travels do not count, only its records in order and
// its result.
type Response struct {
	h hash.Hash // nil: all of it is in gathered
	// gathered was not hashed yet.
	gathered []byte
}

// NewResponse starts the digest of one answer.
func NewResponse() *Response {
	return &Response{gathered: appendText(make([]byte, 0, 256), "entente.dev/v1 answer")}
}

// gather takes what gathered has become, and hashes it when it is a chunk: most answers are less than one.
func (d *Response) gather(b []byte) {
	if len(b) >= chunk {
		if d.h == nil {
			d.h = sha256.New()
		}
		d.h.Write(b)
		b = b[:0]
	}
	d.gathered = b
}

// Kinds of a value in the encoding.
const (
	kindNull = iota
	kindText
	kindInteger
	kindFalse
	kindTrue
)

// Record adds one record of a dataset.
func (d *Response) Record(dataset string, r *gatewayv1.Record) {
	b := append(d.gathered, 'r')
	b = appendText(b, dataset)
	d.gather(appendValues(b, r.GetValues()))
}

func appendValues(b []byte, values []*gatewayv1.Value) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = appendValue(b, v)
	}
	return b
}

// appendValue writes a value. How deep a hostile peer's can be, protobuf bounds.
func appendValue(b []byte, v *gatewayv1.Value) []byte {
	switch k := v.GetKind().(type) {
	case *gatewayv1.Value_Text:
		return appendText(append(b, kindText), k.Text)
	case *gatewayv1.Value_Integer:
		return binary.AppendVarint(append(b, kindInteger), k.Integer)
	case *gatewayv1.Value_Boolean:
		if k.Boolean {
			return append(b, kindTrue)
		}
		return append(b, kindFalse)
	case *gatewayv1.Value_List:
		b = binary.AppendUvarint(append(b, kindList), uint64(len(k.List.GetValues())))
		for _, e := range k.List.GetValues() {
			b = appendValue(b, e)
		}
		return b
	case *gatewayv1.Value_Nested:
		b = binary.AppendUvarint(append(b, kindRecord), uint64(len(k.Nested.GetValues())))
		for _, e := range k.Nested.GetValues() {
			b = appendValue(b, e)
		}
		return b
	}
	return append(b, kindNull)
}

// Columns adds the records of a dataset that are kept by columns: the same digest as that of each of them by Record.
func (d *Response) Columns(dataset string, b *columns.Batch) {
	width := len(b.Fields())
	head := binary.AppendUvarint(appendText([]byte{'r'}, dataset), uint64(width))
	for row := range b.Rows() {
		out := append(d.gathered, head...)
		for i := range width {
			c := b.Column(i)
			if c.Null(row) {
				out = append(out, kindNull)
				continue
			}
			switch c.Kind() {
			case columns.Text:
				v := c.Text(row)
				out = binary.AppendUvarint(append(out, kindText), uint64(len(v)))
				out = append(out, v...)
			case columns.Integer:
				out = binary.AppendVarint(append(out, kindInteger), c.Integer(row))
			case columns.Boolean:
				if c.Boolean(row) {
					out = append(out, kindTrue)
				} else {
					out = append(out, kindFalse)
				}
			case columns.Date, columns.Timestamp:
				// Less than 128 characters, whose number is one byte.
				out = append(out, kindText, 0)
				at := len(out)
				if c.Kind() == columns.Date {
					out = c.AppendDate(out, row)
				} else {
					out = c.AppendTimestamp(out, row)
				}
				out[at-1] = byte(len(out) - at)
			}
		}
		d.gather(out)
	}
}

// chunk is what is gathered of records before it is hashed.
const chunk = 4 << 10

// Sum ends the digest with the result: what it says exists, or how many there are.
func (d *Response) Sum(result *gatewayv1.SourceStatus) string {
	b := append(d.gathered, 'e')
	b = binary.AppendUvarint(b, uint64(result.GetGranularity()))
	switch {
	case result.Exists == nil:
		b = append(b, kindNull)
	case result.GetExists():
		b = append(b, kindTrue)
	default:
		b = append(b, kindFalse)
	}
	if result.Count == nil {
		b = append(b, kindNull)
	} else {
		b = append(b, kindInteger)
		b = binary.AppendVarint(b, result.GetCount())
	}
	if d.h == nil {
		d.gathered = b
		sum := sha256.Sum256(b)
		return text(sum[:])
	}
	d.h.Write(b)
	d.gathered = b[:0]
	return text(d.h.Sum(nil))
}

// Further kinds of a value: of a claim, lists of both, and a record inside a record.
const (
	kindNumber = iota + kindTrue + 1
	kindList
	kindObject
	kindRecord
)

// appendObject writes the members by their names.
func appendObject(b []byte, o *structpb.Struct) []byte {
	b = binary.AppendUvarint(append(b, kindObject), uint64(len(o.GetFields())))
	for _, name := range slices.Sorted(maps.Keys(o.GetFields())) {
		b = appendClaim(appendText(b, name), o.GetFields()[name])
	}
	return b
}

// appendClaim writes any value: a hostile peer's has a digest, too. How deep it can be, protobuf bounds.
func appendClaim(b []byte, v *structpb.Value) []byte {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return appendText(append(b, kindText), k.StringValue)
	case *structpb.Value_NumberValue:
		return binary.BigEndian.AppendUint64(append(b, kindNumber), math.Float64bits(k.NumberValue))
	case *structpb.Value_BoolValue:
		if k.BoolValue {
			return append(b, kindTrue)
		}
		return append(b, kindFalse)
	case *structpb.Value_ListValue:
		b = binary.AppendUvarint(append(b, kindList), uint64(len(k.ListValue.GetValues())))
		for _, e := range k.ListValue.GetValues() {
			b = appendClaim(b, e)
		}
		return b
	case *structpb.Value_StructValue:
		return appendObject(b, k.StructValue)
	}
	return append(b, kindNull)
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
