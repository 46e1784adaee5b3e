package accounting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/entente-dev/entente/gateway/audit"
)

// Corrections is whom to tell that a person's record was wrong (5 U.S.C. 552a(c)(4), EU 2016/680 Art. 7(3)).
type Corrections struct {
	Made       time.Time      `json:"made"`
	Recipients []ToBeTold     `json:"recipients"`
	Logs       []Covered      `json:"logs"`
	records    []audit.Record // for Record, by disclosure
}

// ToBeTold is a past recipient.
type ToBeTold struct {
	Agency
	// Contacts in the matter of the agreements under which it received.
	Contacts    []string   `json:"contacts,omitempty"`
	Disclosures []Received `json:"disclosures"`
}

// Received is one disclosure that the recipient got.
type Received struct {
	ID          string    `json:"disclosure"`
	Date        time.Time `json:"date"`
	Agreement   string    `json:"agreement"`
	Purpose     string    `json:"purpose"`
	Granularity string    `json:"granularity"`
	Fields      []string  `json:"fields,omitempty"`
	Records     int       `json:"records,omitempty"`
	// Told is when a correction of this disclosure was recorded; zero: none was.
	Told time.Time `json:"told,omitzero"`
}

// Untold counts the disclosures whose recipients have not been told.
func (c *Corrections) Untold() int {
	n := 0
	for _, r := range c.Recipients {
		for _, d := range r.Disclosures {
			if d.Told.IsZero() {
				n++
			}
		}
	}
	return n
}

// PastRecipients finds who received the person's records. With fields, only those who received one of them, or an answer that
// rests on the whole record (its existence, a count).
func PastRecipients(ctx context.Context, q Question, fields []string) (*Corrections, error) {
	found, covered, err := q.collect(ctx)
	if err != nil {
		return nil, err
	}
	told, err := q.told(ctx)
	if err != nil {
		return nil, err
	}
	out := &Corrections{Made: q.Now.UTC(), Recipients: []ToBeTold{}, Logs: covered}
	by := map[string]*ToBeTold{}
	for _, f := range found {
		if !f.disclosed() {
			continue
		}
		d := f.disclosure(&q.Directory)
		if len(fields) > 0 && d.Granularity == "Records" && !slices.ContainsFunc(fields, func(s string) bool { return slices.Contains(d.Fields, s) }) {
			continue
		}
		r := by[d.Recipient.ID]
		if r == nil {
			r = &ToBeTold{}
			by[d.Recipient.ID] = r
		}
		r.Agency = d.Recipient // the latest address
		if c := q.Directory.contact(d.Agreement, d.Recipient.ID); c != "" && !slices.Contains(r.Contacts, c) {
			r.Contacts = append(r.Contacts, c)
		}
		r.Disclosures = append(r.Disclosures, Received{
			ID: d.ID, Date: d.Date, Agreement: d.Agreement, Purpose: d.Purpose, Granularity: d.Granularity, Fields: d.Fields, Records: d.Records, Told: told[d.ID],
		})
		if told[d.ID].IsZero() {
			out.records = append(out.records, correction(f))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		out.Recipients = append(out.Recipients, *by[id])
	}
	slices.SortStableFunc(out.Recipients, func(a, b ToBeTold) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// correction is the record that the recipient of a disclosure was told.
func correction(f *about) audit.Record {
	r := f.last
	return audit.Record{
		Disclosure: r.Disclosure, Kind: audit.Outcome, Side: audit.Source, Operation: audit.Correction, Agreement: r.Agreement, Version: r.Version,
		Clause: r.Clause, Purpose: r.Purpose, Source: r.Source, Recipient: r.Recipient, RecipientAddress: r.RecipientAddress,
		Granularity: r.Granularity, Fields: r.Fields, Outcome: "OK", RetainUntil: r.RetainUntil,
	}
}

// told gives when the correction of each disclosure was recorded.
func (q *Question) told(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	logs := slices.DeleteFunc(slices.Clone(q.Logs), func(l Log) bool { return !isCorrections(l) })
	_, err := each(ctx, logs, func(_ *Log, e *audit.Entry) error {
		if e.Record.Operation == audit.Correction {
			out[e.Record.Disclosure] = e.Time
		}
		return nil
	})
	return out, err
}

// correctionsName is the last part of the origin of a log of corrections.
const correctionsName = "/corrections"

func isCorrections(l Log) bool { return strings.HasSuffix(l.Origin, correctionsName) }

// CorrectionsOrigin names the log of corrections of the agency whose gateways' logs are given.
func CorrectionsOrigin(logs []Log) (string, error) {
	var domains []string
	for _, l := range logs {
		domain, _, ok := strings.Cut(l.Origin, "/")
		if !ok {
			return "", fmt.Errorf("the origin %q of %s does not begin with a trust domain", l.Origin, l.Dir)
		}
		domains = append(domains, domain)
	}
	domains = slices.Compact(slices.Sorted(slices.Values(domains)))
	if len(domains) != 1 {
		return "", fmt.Errorf("the logs are of different agencies (%s): record corrections for one at a time", strings.Join(domains, ", "))
	}
	return domains[0] + correctionsName, nil
}

// Appender is the log that corrections are recorded in.
type Appender interface {
	Append(ctx context.Context, r audit.Record) (*audit.Receipt, error)
}

// Record writes for each disclosure that was not told yet that its recipient has been told now. It returns how many, once
// they are durable.
func (c *Corrections) Record(ctx context.Context, log Appender) (int, error) {
	for n, r := range c.records {
		receipt, err := log.Append(ctx, r)
		if err == nil {
			err = receipt.Wait(ctx)
		}
		if err != nil {
			return n, errors.Join(fmt.Errorf("%d of %d corrections are recorded", n, len(c.records)), err)
		}
	}
	return len(c.records), nil
}
