package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/mapping"
	"github.com/entente-dev/entente/gateway/source/internal/jsonvalue"
)

// register gives the driver, once for the process, the functions that filters call. They are deterministic, so that they
// may stand in an index on an expression.
var register = sync.OnceValue(func() error {
	var errs []error
	for _, f := range mapping.Functions {
		errs = append(errs, sqlite.RegisterDeterministicScalarFunction(f.Name, f.Args, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			values := make([]any, len(args))
			for i, a := range args {
				values[i] = a
			}
			return f.Call(values)
		}))
	}
	return errors.Join(
		errors.Join(errs...),
		sqlite.RegisterDeterministicScalarFunction(filter.SQLiteTimestampFunction, 1, timestampFunction),
		sqlite.RegisterDeterministicScalarFunction(filter.SQLiteDecimalFunction, 2, decimalFunction),
		sqlite.RegisterDeterministicScalarFunction(filter.SQLiteNormalFunction, 1, textFunction(filter.Normal)),
		sqlite.RegisterDeterministicScalarFunction(filter.SQLiteIdentifierFunction, 1, textFunction(filter.Identifier)),
		sqlite.RegisterDeterministicScalarFunction(decimalKeyFunction, 1, decimalKey),
		sqlite.RegisterDeterministicScalarFunction(filter.SQLiteListFunction, 3, listFunction),
	)
})

// decimalKeyFunction gives, of a stored decimal, a text whose order by code point is that of the numbers.
const decimalKeyFunction = "entente_decimal_key"

func decimalKey(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, ok := decimalText(args[0])
	if !ok {
		return nil, errDecimal
	}
	s, _ = filter.CanonicalDecimal(s)
	return orderedDecimal(s), nil
}

// orderedDecimal writes a canonical decimal as its sign, the number of its whole digits, and its digits; those of a negative one are
// complemented, with an end that is greater than any digit, since of two the longer is the less.
func orderedDecimal(s string) string {
	rest, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(rest, ".")
	digits := fmt.Sprintf("%02d%s%s", len(whole), whole, fraction)
	if !negative {
		return "1" + digits
	}
	b := []byte("0" + digits + "~")
	for i := 1; i < len(b)-1; i++ {
		b[i] = '0' + '9' - b[i]
	}
	return string(b)
}

// Errors of stored values; they name none.
var (
	errText      = errors.New("a stored string is not text")
	errTimestamp = errors.New("a stored timestamp is not RFC 3339 text of at most microseconds")
	errDecimal   = errors.New("a stored decimal is not a finite number of at most " + strconv.Itoa(filter.MaxDecimalDigits) + " digits")
)

func timestampFunction(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil || t.Nanosecond()%1000 != 0 {
			return nil, errTimestamp
		}
		return t.UnixMicro(), nil
	default:
		return nil, errTimestamp
	}
}

func decimalFunction(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	a, ok := decimalText(args[0])
	if !ok {
		return nil, errDecimal
	}
	b, ok := decimalText(args[1])
	if !ok {
		return nil, errDecimal
	}
	a, _ = filter.CanonicalDecimal(a)
	b, _ = filter.CanonicalDecimal(b)
	return int64(filter.CompareDecimals(a, b)), nil
}

// textFunction is f of a stored text; null for null.
func textFunction(f func(string) string) func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
	return func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		switch v := args[0].(type) {
		case nil:
			return nil, nil
		case string:
			return f(v), nil
		default:
			return nil, errText
		}
	}
}

// listFunction says whether a list has a value: see filter.SQLite.
func listFunction(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if args[1] == nil {
		return nil, nil
	}
	kind, kindOK := args[0].(string)
	list, listOK := args[1].(string)
	if !kindOK || !listOK {
		return nil, jsonvalue.ErrJSON
	}
	var value string
	switch v := args[2].(type) {
	case string:
		value = v
	case int64:
		value = strconv.FormatInt(v, 10)
	}
	has, err := jsonvalue.Has([]byte(list), kind, value)
	if err != nil {
		return nil, err
	}
	return has, nil
}

// decimalText gives a stored decimal as text that filter.CanonicalDecimal takes: text as it is; a REAL as the shortest
// decimal that is it, which is the one that was written.
func decimalText(v driver.Value) (string, bool) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", false
		}
		s = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return "", false
	}
	_, ok := filter.CanonicalDecimal(s)
	return s, ok
}
