package tabular

import (
	"io"
	"strings"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
	"github.com/entente-dev/entente/gateway/columns"
)

// CSV writes RFC 4180, with a header. No value is an empty cell, an empty text is "". A text that a spreadsheet would run as a formula
// (it begins with = + - @, a tab or a carriage return) gets an apostrophe before it; numbers are numbers.
type CSV struct {
	W io.Writer

	table   table
	buf     []byte
	started bool
}

var _ Writer = (*CSV)(nil)

// Started implements Writer.
func (c *CSV) Started() bool { return c.started }

func (c *CSV) start() {
	if c.started {
		return
	}
	c.started = true
	for i, name := range provenance {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = append(c.buf, name...)
	}
	for _, f := range c.table.fields {
		c.buf = appendCell(append(c.buf, ','), f.Name)
	}
	c.buf = append(c.buf, '\r', '\n')
}

// Frame implements Writer.
func (c *CSV) Frame(f *gatewayv1.QueryResponse) error {
	rows, err := c.table.read(f)
	if err != nil || !rows {
		return err
	}
	c.start()
	var source []byte
	for i, v := range of(f.GetRecords().GetProvenance()) {
		if i > 0 {
			source = append(source, ',')
		}
		if v != "" {
			source = appendCell(source, v)
		}
	}
	for row := range c.table.batch.Rows() {
		c.buf = append(c.buf, source...)
		for _, at := range c.table.at {
			c.buf = append(c.buf, ',')
			if at >= 0 {
				c.buf = c.value(c.buf, at, row)
			}
		}
		c.buf = append(c.buf, '\r', '\n')
		if len(c.buf) >= chunk {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

// chunk is what is gathered before it is written.
const chunk = 64 << 10

func (c *CSV) flush() error {
	_, err := c.W.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// End implements Writer.
func (c *CSV) End() error {
	c.start()
	return c.flush()
}

func (c *CSV) value(to []byte, at, row int) []byte {
	col := c.table.batch.Column(at)
	if typ := c.table.batch.Fields()[at].Type; col.Null(row) || col.Kind() != columns.Text || typ == "decimal" {
		return col.AppendValue(to, row)
	}
	return appendCell(to, col.Text(row))
}

func appendCell[T string | []byte](to []byte, v T) []byte {
	quote := len(v) == 0
	for i := range len(v) {
		if c := v[i]; c == '"' || c == ',' || c == '\r' || c == '\n' || c == ' ' && (i == 0 || i == len(v)-1) {
			quote = true
			break
		}
	}
	formula := len(v) > 0 && strings.IndexByte("=+-@\t\r", v[0]) >= 0
	if !quote {
		if formula {
			to = append(to, '\'')
		}
		return append(to, v...)
	}
	to = append(to, '"')
	if formula {
		to = append(to, '\'')
	}
	for i := range len(v) {
		if v[i] == '"' {
			to = append(to, '"')
		}
		to = append(to, v[i])
	}
	return append(to, '"')
}
