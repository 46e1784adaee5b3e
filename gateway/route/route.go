// Package route holds the compiled, self-contained form of an agreement that a gateway enforces, its signature, and the
// table in which a gateway looks it up. It is pure: no network, no clock, no Kubernetes.
package route

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/entente-dev/entente/gateway/claims"
	"github.com/entente-dev/entente/gateway/mapping"
)

// Format is the version of the payload's format. A gateway refuses a format that it does not know.
const Format = 1

// Route is everything that one agency's gateways need of one agreement: the clauses under which this agency is the source
// (inbound) or a recipient (outbound), in the current and the next version. It is immutable once decoded.
type Route struct {
	// Format of the payload.
	Format int `json:"format"`
	// Agreement is the agreement's id.
	Agreement string `json:"agreement"`
	// Sequence grows with every change: the time in seconds of the change, or more. A gateway refuses to go back.
	Sequence int64 `json:"sequence"`
	// Self is the agency whose gateways the route is for; a gateway of another agency refuses it.
	Self Party `json:"self"`
	// Versions, by time, that do not overlap: the current one and, once it is signed, the next.
	Versions []Version `json:"versions,omitempty"`
	// Tombstone says why nothing may be disclosed any more; Versions is then empty.
	Tombstone *Tombstone `json:"tombstone,omitempty"`
}

// Party is an agency as agreements sign it.
type Party struct {
	Agency      string `json:"agency"`
	TrustDomain string `json:"trustDomain"`
}

// Tombstone ends a route.
type Tombstone struct {
	// Reason: Suspended, Terminated, Expired, Superseded, Rejected, NotAccepted, NotSigned, NotResolved, Deleted.
	Reason string `json:"reason"`
	// At is when the operator decided so.
	At time.Time `json:"at"`
}

// Version is one version of the agreement and its window: in force from NotBefore until just before NotAfter.
type Version struct {
	Version   int64     `json:"version"`
	Digest    string    `json:"digest"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Clauses   []Clause  `json:"clauses"`
}

// InForce says whether now is inside the version's window.
func (v *Version) InForce(now time.Time) bool {
	return !now.Before(v.NotBefore) && now.Before(v.NotAfter)
}

// Current returns the version in force at now, or nil.
func (r *Route) Current(now time.Time) *Version {
	if r.Tombstone != nil {
		return nil
	}
	for i := range r.Versions {
		if r.Versions[i].InForce(now) {
			return &r.Versions[i]
		}
	}
	return nil
}

// Clause is one permission, resolved: everything it refers to is inside it.
type Clause struct {
	Name   string `json:"name"`
	Source Peer   `json:"source"`
	// Recipients who may ask. An agency stands once for each way in which it may.
	Recipients []Recipient `json:"recipients"`
	// Addresses are the recipients' postal addresses by agency, for the log (5 U.S.C. 552a(c)(1)(B)); only when Self is the
	// source.
	Addresses map[string]string `json:"addresses,omitempty"`
	Schema    Schema            `json:"schema"`
	// Datasets that answer; only when Self is the source.
	Datasets []Dataset `json:"datasets,omitempty"`

	// Maintenance is when the source answers no queries, as it announced it; nil: none is announced.
	Maintenance *Maintenance `json:"maintenance,omitempty"`

	// Withheld says why nothing is disclosed under the clause for now, because a party withdrew; empty: it stands.
	Withheld string `json:"withheld,omitempty"`

	Purposes []string `json:"purposes"`
	// Granularity: Existence, Count or Records.
	Granularity string `json:"granularity"`
	// Fields that may be disclosed, in the schema's order.
	Fields []string `json:"fields,omitempty"`
	// FilterFields that a query may name, in the schema's order, defaults filled in.
	FilterFields []string `json:"filterFields,omitempty"`
	// RowFilter is CEL over the schema's fields; empty: every row.
	RowFilter string `json:"rowFilter,omitempty"`

	// CaseReference is an RE2 expression that the whole case reference must match; empty: none is asked for.
	CaseReference string `json:"caseReference,omitempty"`
	// Consent is the source's dataset of consents, without which a person's rows are not read; empty: none is needed.
	Consent string `json:"consent,omitempty"`
	// RequireSelectors: the filter fixes every field of one of these sets.
	RequireSelectors [][]string `json:"requireSelectors,omitempty"`
	// SubjectRoles that the justification may name; empty: any.
	SubjectRoles []string `json:"subjectRoles,omitempty"`
	// Jurisdictions under whose law a query may be made; empty: any.
	Jurisdictions []string `json:"jurisdictions,omitempty"`
	// RecipientJurisdictions are, by agency, those of the recipients as this side knows them; only with Jurisdictions.
	RecipientJurisdictions map[string][]string `json:"recipientJurisdictions,omitempty"`
	// UserAttributes is CEL over the user's verified claims, see package claims; empty: any user.
	UserAttributes string `json:"userAttributes,omitempty"`
	// RecordsPerQuery is the most records an answer has; 0: DefaultRecordsPerQuery.
	RecordsPerQuery int64 `json:"recordsPerQuery,omitempty"`

	// QueriesPerDay and RecordsPerDay of one recipient; 0: not counted.
	QueriesPerDay int64 `json:"queriesPerDay,omitempty"`
	RecordsPerDay int64 `json:"recordsPerDay,omitempty"`
	// MinimumCount below which a count is suppressed, and in whose multiples counts are told; 0: every count is told.
	MinimumCount int64 `json:"minimumCount,omitempty"`

	Obligations Obligations `json:"obligations,omitzero"`

	// caseReference and userAttributes are CaseReference and UserAttributes compiled; set by prepare.
	caseReference  *regexp.Regexp
	userAttributes *claims.Expression
}

// prepare compiles what a decision would otherwise compile each time.
func (c *Clause) prepare() (err error) {
	if c.CaseReference != "" {
		if c.caseReference, err = patterns.get(c.CaseReference, func() (*regexp.Regexp, error) { return wholeMatch(c.CaseReference) }); err != nil {
			return fmt.Errorf("clause %s: caseReference: %w", c.Name, err)
		}
	}
	if c.UserAttributes != "" {
		if c.userAttributes, err = attributes.get(c.UserAttributes, func() (*claims.Expression, error) { return claims.Compile(c.UserAttributes) }); err != nil {
			return fmt.Errorf("clause %s: userAttributes: %w", c.Name, err)
		}
	}
	for i := range c.Datasets {
		d := &c.Datasets[i]
		if d.expressions, err = expressions(d.Mappings, &c.Schema); err == nil && d.Consent != nil {
			d.Consent.expressions, err = expressions(d.Consent.Mappings, &d.Consent.Schema)
		}
		if err != nil {
			return fmt.Errorf("clause %s: dataset %s: %w", c.Name, d.Name, err)
		}
	}
	return nil
}

// expressions compiles mappings by the schema's types.
func expressions(mappings map[string]mapping.Mapping, s *Schema) (map[string]*mapping.Expression, error) {
	if len(mappings) == 0 {
		return nil, nil
	}
	out := make(map[string]*mapping.Expression, len(mappings))
	for path, m := range mappings {
		target, ok := s.Target(path)
		if !ok {
			return nil, fmt.Errorf("field %s is not in the schema", path)
		}
		e, err := mapping.Compile(&m, target)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", path, err)
		}
		out[path] = e
	}
	return out, nil
}

// Expressions are Mappings compiled, by the schema of the dataset's clause.
func (d *Dataset) Expressions(s *Schema) (map[string]*mapping.Expression, error) {
	if d.expressions != nil {
		return d.expressions, nil
	}
	return expressions(d.Mappings, s)
}

// Expressions are Mappings compiled.
func (c *Consent) Expressions() (map[string]*mapping.Expression, error) {
	if c.expressions != nil {
		return c.expressions, nil
	}
	return expressions(c.Mappings, &c.Schema)
}

// UserAttributesExpression is UserAttributes compiled.
func (c *Clause) UserAttributesExpression() (*claims.Expression, error) {
	if c.userAttributes != nil {
		return c.userAttributes, nil
	}
	return claims.Compile(c.UserAttributes)
}

func wholeMatch(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// MatchesCaseReference says whether the whole of ref matches the clause's pattern. A pattern that does not compile matches
// nothing.
func (c *Clause) MatchesCaseReference(ref string) bool {
	re := c.caseReference
	if re == nil {
		var err error
		if re, err = wholeMatch(c.CaseReference); err != nil {
			return false
		}
	}
	return re.MatchString(ref)
}

// DefaultRecordsPerQuery bounds an answer under a clause that sets no limit.
const DefaultRecordsPerQuery = 10_000

// MaxRecords is the most records that one answer under the clause has.
func (c *Clause) MaxRecords() int64 {
	if c.RecordsPerQuery > 0 {
		return c.RecordsPerQuery
	}
	return DefaultRecordsPerQuery
}

// HasRecipient says whether the agency is a recipient of the clause; whether it may ask now, Admits says.
func (c *Clause) HasRecipient(p Party) bool {
	return slices.ContainsFunc(c.Recipients, func(r Recipient) bool { return r.Party == p })
}

// Admits says whether the agency may ask under the clause at now and, if it may, until when; the zero time: as long as the version is
// in force.
func (c *Clause) Admits(p Party, now time.Time) (until time.Time, ok bool) {
	for _, r := range c.Recipients {
		switch {
		case r.Party != p || !r.open(now):
		case r.TaskForce == "":
			return time.Time{}, true
		case r.NotAfter.After(until):
			until, ok = r.NotAfter, true
		}
	}
	return until, ok
}

// Recipient may ask under a clause: by itself, or as a member of a task force from NotBefore until just before NotAfter.
type Recipient struct {
	Party
	// TaskForce is <name>.v<version>; empty: the agency is a recipient by itself, and has no window of its own.
	TaskForce string    `json:"taskForce,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
}

func (r *Recipient) open(now time.Time) bool {
	return r.TaskForce == "" || !now.Before(r.NotBefore) && now.Before(r.NotAfter)
}

// Peer is an agency that this gateway connects to. Endpoints and trust bundle are empty when it is Self.
type Peer struct {
	Party
	// Gateway and Exchange are host:port.
	Gateway  string `json:"gateway,omitempty"`
	Exchange string `json:"exchange,omitempty"`
	// TrustBundle is PEM.
	TrustBundle string `json:"trustBundle,omitempty"`
}

// Schema is an exchange schema as pinned by the agreement.
type Schema struct {
	Name    string  `json:"name"`
	Version int64   `json:"version"`
	Digest  string  `json:"digest"`
	Fields  []Field `json:"fields"`
}

// Field is a field of a schema.
type Field struct {
	Name string `json:"name"`
	// Type: string, int, decimal, bool, date, timestamp, code or record.
	Type  string   `json:"type"`
	Codes []string `json:"codes,omitempty"`
	// Repeated: a list of values.
	Repeated bool `json:"repeated,omitempty"`
	// Fields are the members of a record, which has no records inside.
	Fields []Field `json:"fields,omitempty"`
}

// Dataset is how this agency's gateway reads the records.
type Dataset struct {
	Name string `json:"name"`
	// Relation is NAME or SCHEMA.NAME.
	Relation string `json:"relation"`
	// Columns maps every field that this clause may read, disclosed or filtered on, to its column. No other is read.
	Columns map[string]string `json:"columns"`
	// Mappings are of the fields that are more than a column as it stands; Columns does not have them.
	Mappings map[string]mapping.Mapping `json:"mappings,omitempty"`
	// SubjectKey is the field whose value, keyed, is the subject token of the log.
	SubjectKey string `json:"subjectKey,omitempty"`

	// Consent to which each row is held; nil: none is needed.
	Consent *Consent `json:"consent,omitempty"`

	PostgreSQL *PostgreSQL `json:"postgresql,omitempty"`
	SQLite     *SQLite     `json:"sqlite,omitempty"`
	Trino      *Trino      `json:"trino,omitempty"`
	// HTTP API: Columns are then JSON Pointers into its items, and there is no Relation.
	HTTP *HTTP `json:"http,omitempty"`

	// expressions are Mappings compiled; set by prepare.
	expressions map[string]*mapping.Expression
}

// Consent is where the consents to a dataset are recorded: in the same database, or with a service.
type Consent struct {
	// Service that is asked; nil: the members below say how a row is held against the consents in its database.
	Service *ConsentService `json:"service,omitempty"`
	// Relation is NAME or SCHEMA.NAME.
	Relation string `json:"relation"`
	// Schema with the fields that are read, and Columns that have them.
	Schema  Schema            `json:"schema"`
	Columns map[string]string `json:"columns"`
	// Mappings are as those of a dataset.
	Mappings map[string]mapping.Mapping `json:"mappings,omitempty"`
	// Subject is the field that equals the dataset's subject key.
	Subject string `json:"subject"`
	// Rule is CEL over the schema; the others are fields of it. Empty: not asked for.
	Rule      string `json:"rule,omitempty"`
	Purpose   string `json:"purpose,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	NotBefore string `json:"notBefore,omitempty"`
	NotAfter  string `json:"notAfter,omitempty"`

	// expressions are Mappings compiled; set by prepare.
	expressions map[string]*mapping.Expression
}

// PostgreSQL is a PostgreSQL source.
type PostgreSQL struct {
	Host     string `json:"host"`
	Port     int32  `json:"port"`
	Database string `json:"database"`
	SSLMode  string `json:"sslMode"`
	CABundle string `json:"caBundle,omitempty"`
	// Role is the Vault database role that issues the source credential.
	Role string `json:"role"`
	// TrigramSchema is the schema of the extension pg_trgm; empty: similarity is not to be had.
	TrigramSchema string `json:"trigramSchema,omitempty"`
}

// Trino is a catalog of a Trino cluster. The dataset's relation has its schema.
type Trino struct {
	Host    string `json:"host"`
	Port    int32  `json:"port"`
	Catalog string `json:"catalog"`
	// User that the gateway's login asks to be; empty: itself.
	User string `json:"user,omitempty"`
	// Role of the catalog; empty: whatever the user has.
	Role string `json:"role,omitempty"`

	HTTPAccess
}

// Has says whether the source has a function of filters that not every source has.
func (d *Dataset) Has(function string) bool {
	return function == "similarity" && d.PostgreSQL != nil && d.PostgreSQL.TrigramSchema != ""
}

// SQLite is an SQLite source.
type SQLite struct {
	Path string `json:"path"`
}

// Obligations travel with the records.
type Obligations struct {
	RetentionDays          *int64 `json:"retentionDays,omitempty"`
	Redisclosure           string `json:"redisclosure,omitempty"`
	VerifyBeforeActionDays *int64 `json:"verifyBeforeActionDays,omitempty"`
}
