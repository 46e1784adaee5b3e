package signature

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// This is docs/reference/signatures.md as code, for the digest: it shares neither types nor canonicaliser with the product.

// required members are written whatever their value; any other is left out when it is null, "", 0 or an empty list.
var required = map[string][]string{
	"":                                       {"id", "version", "title", "type", "parties", "purposeStatement", "term", "clauses"},
	"parties":                                {"agency", "trustDomain"},
	"legalAuthority":                         {"citation", "covers"},
	"term":                                   {"notBefore", "notAfter"},
	"requiredDecisions":                      {"agency", "role"},
	"contacts":                               {"name"},
	"clauses":                                {"name", "source", "recipients", "schema", "purposes", "granularity"},
	"clauses.schema":                         {"name", "version", "digest"},
	"clauses.conditions.caseReference":       {"pattern"},
	"clauses.conditions.consent":             {"dataset"},
	"clauses.obligations":                    {"retentionDays"}, // 0 is a promise; null is none, see below
	"clauses.obligations.verifyBeforeAction": {"noticeDays"},
}

// sets are lists whose order means nothing, and times are instants.
var (
	sets = []string{
		"profiles", "parties.roles", "clauses.purposes", "clauses.fields", "clauses.filterFields",
		"clauses.conditions.subjectRoles", "clauses.conditions.jurisdictions",
	}
	times = []string{"term.notBefore", "term.notAfter", "term.reviewBy", "term.renewFrom", "duties.dueBy"}
)

// independentDigest of terms as JSON.
func independentDigest(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var terms any
	if err := d.Decode(&terms); err != nil {
		return "", err
	}
	var b strings.Builder
	if err := write(&b, "", terms); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(b.String()))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func write(b *strings.Builder, path string, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case json.Number:
		b.WriteString(v.String())
	case string:
		if slices.Contains(times, path) {
			at, err := time.Parse(time.RFC3339, v)
			if err != nil {
				return err
			}
			v = at.UTC().Format("2006-01-02T15:04:05Z")
		}
		writeText(b, v)
	case []any:
		v = slices.Clone(v)
		if slices.Contains(sets, path) {
			slices.SortFunc(v, func(x, y any) int { return cmp.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
		}
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := write(b, path, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		return writeObject(b, path, v)
	}
	return nil
}

func writeObject(b *strings.Builder, path string, o map[string]any) error {
	var names []string
	for name, v := range o {
		must := slices.Contains(required[path], name) && !(name == "retentionDays" && v == nil)
		if must || !empty(v) {
			names = append(names, name)
		}
	}
	// RFC 8785 sorts by UTF-16 code units.
	slices.SortFunc(names, func(x, y string) int { return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y))) })
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		writeText(b, name)
		b.WriteByte(':')
		if err := write(b, strings.TrimPrefix(path+"."+name, "."), o[name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case json.Number:
		return v == "0"
	case []any:
		return len(v) == 0
	}
	return false
}

// writeText escapes what RFC 8785 has escaped, and nothing else.
func writeText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch short := strings.IndexRune("\b\t\n\f\r\"\\", r); {
		case short >= 0:
			b.WriteByte('\\')
			b.WriteByte(`btnfr"\`[short])
		case r < 0x20:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
