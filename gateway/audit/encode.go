package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendRecord appends the record's JSON, byte for byte what encoding/json gives with HTML escaping off, without its
// reflection and allocations.
func appendRecord(b []byte, r *Record) []byte {
	b = append(b, `{"disclosure":`...)
	b = appendString(b, r.Disclosure)
	b = appendMember(b, "query", r.Query)
	b = append(b, `,"kind":`...)
	b = appendString(b, string(r.Kind))
	b = append(b, `,"side":`...)
	b = appendString(b, string(r.Side))
	b = append(b, `,"time":`...)
	b = appendTime(b, r.Time)
	b = appendMember(b, "operation", r.Operation)
	b = appendMember(b, "agreement", r.Agreement)
	if r.Version != 0 {
		b = append(b, `,"version":`...)
		b = strconv.AppendInt(b, r.Version, 10)
	}
	b = appendMember(b, "clause", r.Clause)
	b = appendMember(b, "purpose", r.Purpose)
	if r.Justification != (Justification{}) {
		b = append(b, `,"justification":{`...)
		n := len(b)
		b = appendMember(b, "caseReference", r.Justification.CaseReference)
		b = appendMember(b, "subjectRole", r.Justification.SubjectRole)
		b = appendMember(b, "aim", r.Justification.Aim)
		b = appendMember(b, "jurisdiction", r.Justification.Jurisdiction)
		b = append(b[:n], b[n+1:]...) // the first comma
		b = append(b, '}')
	}
	b = appendMember(b, "source", r.Source)
	b = appendMember(b, "recipient", r.Recipient)
	b = appendMember(b, "recipientAddress", r.RecipientAddress)
	b = appendMember(b, "user", r.User)
	if len(r.Claims) > 0 {
		b = append(b, `,"claims":`...)
		b = append(b, r.Claims...)
	}
	b = appendMember(b, "localUser", r.LocalUser)
	b = appendMember(b, "dataset", r.Dataset)
	b = appendMember(b, "granularity", r.Granularity)
	b = appendList(b, "fields", r.Fields)
	b = appendMember(b, "filter", r.Filter)
	b = appendMember(b, "subjectToken", r.SubjectToken)
	b = appendList(b, "subjectTokens", r.SubjectTokens)
	b = append(b, `,"records":`...)
	b = strconv.AppendInt(b, r.Records, 10)
	if r.Hit {
		b = append(b, `,"hit":true`...)
	}
	if r.Suppressed {
		b = append(b, `,"suppressed":true`...)
	}
	if r.ElapsedMicros != 0 {
		b = append(b, `,"elapsedMicros":`...)
		b = strconv.AppendInt(b, r.ElapsedMicros, 10)
	}
	b = appendMember(b, "outcome", r.Outcome)
	b = appendMember(b, "reason", r.Reason)
	b = appendMember(b, "message", r.Message)
	if r.ConsentCheck != (ConsentCheck{}) {
		b = append(b, `,"consentCheck":{`...)
		n := len(b)
		b = appendMember(b, "service", r.ConsentCheck.Service)
		b = appendNumber(b, "asked", r.ConsentCheck.Asked)
		b = appendNumber(b, "given", r.ConsentCheck.Given)
		b = appendMember(b, "ref", r.ConsentCheck.Ref)
		b = appendMember(b, "digest", r.ConsentCheck.Digest)
		b = append(b[:n], b[n+1:]...) // the first comma
		b = append(b, '}')
	}
	if r.Obligations != (Obligations{}) {
		b = append(b, `,"obligations":{`...)
		n := len(b)
		b = appendMember(b, "redisclosure", r.Obligations.Redisclosure)
		b = appendMember(b, "destroyBy", r.Obligations.DestroyBy)
		b = appendMember(b, "noActionBefore", r.Obligations.NoActionBefore)
		b = append(b[:n], b[n+1:]...) // the first comma
		b = append(b, '}')
	}
	b = appendMember(b, "routeDigest", r.RouteDigest)
	b = appendMember(b, "queryDigest", r.QueryDigest)
	b = appendMember(b, "responseDigest", r.ResponseDigest)
	b = appendMember(b, "entries", r.Entries)
	if !r.RetainUntil.IsZero() {
		b = append(b, `,"retainUntil":`...)
		b = appendTime(b, r.RetainUntil)
	}
	return append(b, '}')
}

// decodeRecord is strict: a member that this version does not know would be shown as if it were not there.
func decodeRecord(payload []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("record is not in a form that this version reads: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, fmt.Errorf("record is not in a form that this version reads: bytes follow it")
	}
	return r, nil
}

func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendString(b, value)
}

func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	sep := byte('[')
	for _, v := range values {
		b = append(b, sep)
		b = appendString(b, v)
		sep = ','
	}
	return append(b, ']')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Invalid UTF-8 becomes U+FFFD, as in encoding/json.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029': // not allowed in JavaScript strings; encoding/json escapes them too
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15])
			start = i + n
		}
		i += n
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
