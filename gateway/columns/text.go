package columns

import "time"

// The years 1 to 9999 in days and microseconds since 1970.
const (
	firstDay   = -719162
	lastDay    = 2932896
	dayMicros  = 24 * 60 * 60 * 1_000_000
	firstMicro = firstDay * dayMicros
	lastMicro  = (lastDay+1)*dayMicros - 1
)

// civil gives the date of a day, by Howard Hinnant's algorithm: it is asked for every date of a million rows.
func civil(days int64) (year, month, day int64) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	if month = mp + 3; month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

// appendDate is time.DateOnly of a day in the years 1 to 9999.
func appendDate(to []byte, days int64) []byte {
	y, m, d := civil(days)
	return append(to,
		byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
}

// appendTimestamp is time.RFC3339Nano, in UTC, of an instant in the years 1 to 9999.
func appendTimestamp(to []byte, micros int64) []byte {
	days := micros / dayMicros
	if micros%dayMicros < 0 {
		days--
	}
	rest := micros - days*dayMicros
	to = appendDate(to, days)
	seconds, fraction := rest/1_000_000, rest%1_000_000
	h, m, s := seconds/3600, seconds/60%60, seconds%60
	to = append(to, 'T', byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', byte('0'+s/10), byte('0'+s%10))
	if fraction > 0 {
		to = append(to, '.')
		for unit := int64(100_000); fraction > 0; unit /= 10 {
			to = append(to, byte('0'+fraction/unit))
			fraction %= unit
		}
	}
	return append(to, 'Z')
}

// parseDate takes what appendDate gives, and nothing else.
func parseDate(s string) (days int64, ok bool) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, false
	}
	days = t.Unix() / 86400
	if t.Unix()%86400 < 0 {
		days--
	}
	if days < firstDay || days > lastDay {
		return 0, false
	}
	var buf [10]byte
	return days, string(appendDate(buf[:0], days)) == s
}

// parseTimestamp takes what appendTimestamp gives, and nothing else: another spelling would be another value.
func parseTimestamp(s string) (micros int64, ok bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Nanosecond()%1000 != 0 || t.Year() < 1 || t.Year() > 9999 {
		return 0, false
	}
	micros = t.UnixMicro()
	if micros < firstMicro || micros > lastMicro {
		return 0, false
	}
	var buf [32]byte
	return micros, string(appendTimestamp(buf[:0], micros)) == s
}
