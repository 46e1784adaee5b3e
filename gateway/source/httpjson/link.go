package httpjson

import "strings"

// link is one of a Link header's.
type link struct {
	target string
	rel    string
}

func (l link) is(rel string) bool {
	for r := range strings.FieldsSeq(l.rel) {
		if strings.EqualFold(r, rel) {
			return true
		}
	}
	return false
}

// links reads a Link header (RFC 8288, section 3), as much of it as has its form.
func links(line string) []link {
	var out []link
	for {
		start := strings.IndexByte(line, '<')
		if start < 0 {
			return out
		}
		line = line[start+1:]
		end := strings.IndexByte(line, '>')
		if end < 0 {
			return out
		}
		l := link{target: strings.TrimSpace(line[:end])}
		line = line[end+1:]
		for {
			line = strings.TrimLeft(line, " \t")
			rest, ok := strings.CutPrefix(line, ";")
			if !ok {
				break
			}
			var name, value string
			name, value, line = parameter(rest)
			if strings.EqualFold(name, "rel") && l.rel == "" { // the first counts
				l.rel = value
			}
		}
		out = append(out, l)
	}
}

// parameter reads name=value or name="value".
func parameter(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	name = strings.TrimSpace(s[:end])
	if s[end] != '=' {
		return name, "", s[end:]
	}
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		if end = strings.IndexAny(s, ";,"); end < 0 {
			return name, strings.TrimSpace(s), ""
		}
		return name, strings.TrimSpace(s[:end]), s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return name, b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return name, b.String(), ""
}
