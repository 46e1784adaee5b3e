package trinotest

import "strings"

// immediate is the statement that EXECUTE IMMEDIATE 'statement' USING literal, … stands for; any other text is the statement itself.
func immediate(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, "EXECUTE IMMEDIATE ")
	if !ok {
		return text, nil
	}
	syntax := &Error{"SYNTAX_ERROR", "USER_ERROR", "mismatched input"}
	end := literalEnd(rest)
	if rest == "" || rest[0] != '\'' || end < 0 {
		return "", syntax
	}
	sql := strings.ReplaceAll(rest[1:end-1], "''", "'")
	rest, ok = strings.CutPrefix(rest[end:], " USING ")
	if !ok {
		return "", syntax
	}
	var literals []string
	for {
		n := next(rest, ',')
		literals = append(literals, strings.TrimSpace(rest[:n]))
		if n == len(rest) {
			break
		}
		rest = rest[n+1:]
	}
	var b strings.Builder
	used := 0
	for {
		n := next(sql, '?')
		b.WriteString(sql[:n])
		if n == len(sql) {
			break
		}
		if used == len(literals) {
			return "", &Error{"INVALID_PARAMETER_USAGE", "USER_ERROR", "Incorrect number of parameters"}
		}
		b.WriteString(literals[used])
		used++
		sql = sql[n+1:]
	}
	if used != len(literals) {
		return "", &Error{"INVALID_PARAMETER_USAGE", "USER_ERROR", "Incorrect number of parameters"}
	}
	return b.String(), nil
}

// literalEnd is the index after the literal or the quoted name that the text begins with; less than 0: it does not end.
func literalEnd(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] != text[0] {
			continue
		}
		if i+1 < len(text) && text[i+1] == text[0] {
			i++
			continue
		}
		return i + 1
	}
	return -1
}

// next is the index of c outside of literals and quoted names; the text's length: there is none.
func next(text string, c byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case c:
			return i
		case '\'', '"':
			n := literalEnd(text[i:])
			if n < 0 {
				return len(text)
			}
			i += n - 1
		}
	}
	return len(text)
}
