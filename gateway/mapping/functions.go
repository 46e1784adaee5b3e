package mapping

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Function is what the SQL of SQLite calls. It is deterministic, and names no value in an error.
type Function struct {
	Name string
	Args int32
	Call func(args []any) (any, error)
}

// errStored: a column does not hold what the dataset says.
var errStored = errors.New("a stored value is not of the type that the dataset declares for its column")

// Functions are to be registered.
var Functions = []Function{
	{"entente_column", 2, func(a []any) (any, error) { return stored(a[0], a[1]) }},
	{"entente_decimal", 1, of(func(x any) any { return orNull(decimalText(x)) })},
	{"entente_int", 1, of(wholeNumber)},
	{"entente_text", 2, func(a []any) (any, error) {
		if a[0] == "bool" && a[1] != nil {
			return strconv.FormatBool(a[1] == int64(1)), nil
		}
		if n, ok := a[1].(int64); ok {
			return strconv.FormatInt(n, 10), nil
		}
		return a[1], nil
	}},
	{"entente_arithmetic", 3, arithmeticFunction},
	{"entente_part", 3, func(a []any) (any, error) {
		text, ok := a[0].(string)
		separator, _ := a[1].(string)
		n, _ := a[2].(int64)
		if pieces := strings.Split(text, separator); ok && n >= 1 && int(n) <= len(pieces) && pieces[n-1] != "" {
			return pieces[n-1], nil
		}
		return nil, nil
	}},
	{"entente_date", 2, func(a []any) (any, error) {
		text, ok := a[0].(string)
		written, _ := a[1].(string)
		if f, known := parseFormat(written); ok && known {
			return orNull(f.read(text)), nil
		}
		return nil, nil
	}},
	{"entente_moment", 1, of(func(x any) any {
		text, _ := x.(string)
		return orNull(moment(text))
	})},
	{"entente_split", 2, func(a []any) (any, error) {
		text, ok := a[0].(string)
		delimiter, _ := a[1].(string)
		if !ok {
			return nil, nil
		}
		list := []string{}
		for piece := range strings.SplitSeq(text, delimiter) {
			if piece = strings.Trim(piece, " "); piece != "" {
				list = append(list, piece)
			}
		}
		b, err := json.Marshal(list)
		return string(b), err
	}},
	{"entente_member", 3, memberFunction},
}

func of(f func(any) any) func([]any) (any, error) {
	return func(a []any) (any, error) {
		if a[0] == nil {
			return nil, nil
		}
		return f(a[0]), nil
	}
}

func orNull(s string, ok bool) any {
	if !ok {
		return nil
	}
	return s
}

// stored takes a column's value for what the dataset declares: text and codes are text, ints integers, bools 0 and 1, dates and
// timestamps text, decimals text or numbers.
func stored(kind, x any) (any, error) {
	if x == nil {
		return nil, nil
	}
	text, isText := x.(string)
	number, isInt := x.(int64)
	switch kind {
	case "string":
		if isText {
			return text, nil
		}
	case "int":
		if isInt {
			return number, nil
		}
	case "bool":
		if isInt && (number == 0 || number == 1) {
			return number, nil
		}
	case "decimal":
		if d, ok := decimalText(x); ok {
			return d, nil
		}
	case "date":
		if t, err := time.Parse(time.DateOnly, text); isText && err == nil && t.Year() >= 1 {
			return text, nil
		}
	case "timestamp":
		if t, err := time.Parse(time.RFC3339Nano, text); isText && err == nil && t.Nanosecond()%1000 == 0 {
			return t.UTC().Format(time.RFC3339Nano), nil
		}
	}
	return nil, errStored
}

func decimalText(x any) (string, bool) {
	switch v := x.(type) {
	case string:
		return canonical(v)
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return canonical(strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	return "", false
}

func wholeNumber(x any) any {
	if n, ok := x.(int64); ok {
		if n > -1e18 && n < 1e18 {
			return n
		}
		return nil
	}
	text, _ := x.(string)
	if n, ok := parseInt(text); ok {
		return n
	}
	return nil
}

func arithmeticFunction(a []any) (any, error) {
	if a[1] == nil || a[2] == nil {
		return nil, nil
	}
	x, okX := rational(a[1])
	y, okY := rational(a[2])
	if !okX || !okY {
		return nil, errStored
	}
	z := new(big.Rat)
	switch a[0] {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	default:
		z.Mul(x, y)
	}
	// Every sum and product of decimals is one, of as many places as its denominator, a product of 2 and 5, has digits in binary.
	text := z.FloatString(z.Denom().BitLen())
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
			text = whole
		} else {
			text = whole + "." + fraction
		}
	}
	if text == "-0" {
		text = "0"
	}
	return text, nil
}

func rational(x any) (*big.Rat, bool) {
	switch v := x.(type) {
	case int64:
		return new(big.Rat).SetInt64(v), true
	case string:
		return new(big.Rat).SetString(v)
	}
	return nil, false
}

var momentForm = regexp.MustCompile(momentPattern)

func moment(text string) (string, bool) {
	if !momentForm.MatchString(text) {
		return "", false
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1 {
		return "", false
	}
	return t.UTC().Format(time.RFC3339Nano), true
}

// memberFunction reads a member of a JSON object as a type; as any: its JSON, and null for null.
func memberFunction(a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	text, ok := a[0].(string)
	if !ok || !json.Valid([]byte(text)) {
		return nil, errStored
	}
	name, _ := a[1].(string)
	var object map[string]json.RawMessage
	_ = json.Unmarshal([]byte(text), &object) // what is no object has no members
	raw := string(object[name])
	if raw == "" || raw == "null" {
		return nil, nil
	}
	if a[2] == "any" {
		return raw, nil
	}
	value, isString := raw, raw[0] == '"'
	if isString {
		_ = json.Unmarshal([]byte(raw), &value) // it is valid
	}
	isNumber := !isString && raw[0] != '{' && raw[0] != '[' && raw != "true" && raw != "false"
	day, _ := parseFormat("YYYY-MM-DD")
	switch {
	case a[2] == "int" && isNumber:
		return wholeNumber(value), nil
	case a[2] == "decimal" && (isNumber || isString):
		return orNull(canonical(value)), nil
	case a[2] == "bool" && (raw == "true" || raw == "false"):
		return raw == "true", nil
	case a[2] == "date" && isString:
		return orNull(day.read(value)), nil
	case a[2] == "timestamp" && isString:
		return orNull(moment(value)), nil
	case a[2] == "string" && isString:
		return value, nil
	}
	return nil, nil
}
