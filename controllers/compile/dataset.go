package compile

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/entente-dev/entente/api/v1alpha1"
)

var (
	relationForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$`)
	columnForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}$`)
	mountForm    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`)
)

// Defaults of a PostgreSQL source, for files that never met the API server.
const (
	defaultPort    = 5432
	defaultSSLMode = "verify-full"
)

// datasetAccepted decides whether a dataset is well formed by itself.
func datasetAccepted(d *v1alpha1.Dataset) (reason, message string, failed bool) {
	if unknown := d.Spec.UnknownFields; len(unknown) > 0 {
		return v1alpha1.ReasonUnknownField, fmt.Sprintf("this release does not know %s of spec: correct the spelling, or remove it", quoteAll(unknown)), true
	}
	if f := checkDataset(d); len(f) > 0 {
		return v1alpha1.ReasonInvalid, f.String() + ": correct the dataset", true
	}
	return "", "", false
}

// checkDataset lists what is wrong with a dataset by itself. Names of relations and columns end up in SQL.
func checkDataset(d *v1alpha1.Dataset) faults {
	var f faults
	s := &d.Spec
	if !isName(d.Name, 40) {
		f.add("metadata.name", "%q is not 1 to 40 lower-case letters, digits and hyphens", d.Name)
	}
	if !isName(s.Schema.Name, 40) || s.Schema.Version < 1 {
		f.add("schema", "name or version missing")
	}
	checkSource(&f, s)
	isDatabase := s.Source.HTTP == nil && s.Source.ConsentService == nil
	switch {
	case isDatabase && !relationForm.MatchString(s.Relation):
		f.add("relation", "%q is not NAME or SCHEMA.NAME", s.Relation)
	case !isDatabase && s.Relation != "":
		f.add("relation", "the source is no database, and has none")
	}
	if n := len(s.Fields); (n < 1 || n > maxFields) && s.Source.ConsentService == nil {
		f.add("fields", "%d fields; 1 to %d are possible", n, maxFields)
	}
	checkColumns(&f, s.Columns)
	seen := map[string]bool{}
	for i, m := range s.Fields {
		path := fmt.Sprintf("fields[%d]", i)
		if len(m.Field) > 63 || !fieldForm.MatchString(m.Field) {
			f.add(path+".field", "%q is not the name of a field", m.Field)
		}
		switch {
		case isDatabase && m.Pointer != "":
			f.add(path+".pointer", "members of answers are mapped for HTTP sources only")
		case isDatabase:
			checkMapping(&f, path, &m)
		case m.Column != "" || computed(&m) || len(m.Members) > 0 || !pointerFits(m.Pointer):
			f.add(path+".pointer", "%q is not the JSON Pointer of a member; there are no columns", m.Pointer)
		}
		if seen[m.Field] {
			f.add(path+".field", "%q is mapped twice", m.Field)
		}
		seen[m.Field] = true
	}
	return f
}

func checkSource(f *faults, spec *v1alpha1.DatasetSpec) {
	s := &spec.Source
	given := 0
	for _, is := range []bool{s.PostgreSQL != nil, s.SQLite != nil, s.HTTP != nil, s.Trino != nil, s.ConsentService != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		f.add("source", "exactly one of postgresql, sqlite, http, trino and consentService is given")
		return
	}
	switch pg := s.PostgreSQL; {
	case s.SQLite != nil:
		if s.SQLite.Path == "" {
			f.add("source.sqlite.path", "missing")
		}
	case s.HTTP != nil:
		checkHTTP(f, s.HTTP)
	case s.Trino != nil:
		checkTrino(f, spec)
	case s.ConsentService != nil:
		checkConsentService(f, spec)
	default:
		if pg.Host == "" || pg.Database == "" {
			f.add("source.postgresql", "host or database missing")
		}
		if pg.Port < 0 || pg.Port > 65535 {
			f.add("source.postgresql.port", "%d is not a port", pg.Port)
		}
		if !slices.Contains([]string{"", "verify-full", "verify-ca", "require"}, pg.SSLMode) {
			f.add("source.postgresql.sslMode", "%q is not verify-full, verify-ca or require", pg.SSLMode)
		}
		if pg.TrigramSchema != "" && !columnForm.MatchString(pg.TrigramSchema) {
			f.add("source.postgresql.trigramSchema", "%q is not the name of a schema", pg.TrigramSchema)
		}
		if len(pg.VaultConnection) > 63 || !mountForm.MatchString(pg.VaultConnection) {
			f.add("source.postgresql.vaultConnection", "%q is not the name of a connection", pg.VaultConnection)
		}
	}
}

// datasetResolved decides whether what the dataset refers to exists.
func (c *compiler) datasetResolved(d *v1alpha1.Dataset) (reason, message string, failed bool) {
	name := schemaName(d.Spec.Schema.Name, d.Spec.Schema.Version)
	s := c.schema(name)
	if s == nil {
		return v1alpha1.ReasonUnknownSchema, fmt.Sprintf("schema: there is no ExchangeSchema %q: apply it, or correct schema.name and schema.version", name), true
	}
	if s.problem != "" {
		return v1alpha1.ReasonUnknownSchema, fmt.Sprintf("schema: ExchangeSchema %q is not accepted: %s", name, s.problem), true
	}
	var fields []string
	for i, m := range d.Spec.Fields {
		if !s.has(m.Field) {
			return v1alpha1.ReasonUnknownSchemaField, fmt.Sprintf("fields[%d].field: schema %q has no field %q: correct or remove the mapping", i, name, m.Field), true
		}
		for _, member := range m.Members {
			if path := m.Field + "." + member.Field; !s.has(path) {
				return v1alpha1.ReasonUnknownSchemaField, fmt.Sprintf("fields[%s].members: schema %q has no %q: correct or remove the mapping", m.Field, name, path), true
			}
		}
		for _, path := range s.read([]string{m.Field}) {
			if readOf(d, s, path) != nil {
				fields = append(fields, path)
			}
		}
		if field, _ := s.route.Find(m.Field); field != nil && field.Repeated && d.Spec.Source.Trino != nil {
			return v1alpha1.ReasonInvalid, fmt.Sprintf("fields[%s]: it is a list, and lists are not read from Trino: remove the mapping", m.Field), true
		}
		if field, _ := s.route.Find(m.Field); d.Spec.Source.Trino != nil && (computed(&m) || field != nil && len(field.Fields) > 0 && len(m.Members) == 0) {
			return v1alpha1.ReasonInvalid, fmt.Sprintf("fields[%s]: fields are not computed in Trino: make a view of it, or remove the mapping", m.Field), true
		}
		if problem := mappingFits(d, &m, s); problem != "" {
			return v1alpha1.ReasonInvalid, fmt.Sprintf("fields[%s]: %s: correct the mapping", m.Field, problem), true
		}
	}
	if problem := consentRuleFits(d, s); problem != "" {
		return v1alpha1.ReasonInvalid, problem + ": correct the dataset", true
	}
	if d.Spec.Source.HTTP != nil {
		if _, problem := c.api(d, s); problem != "" {
			return v1alpha1.ReasonInvalid, problem + ": correct the dataset or its document", true
		}
	}
	if d.Spec.Source.ConsentService != nil {
		return "", "", false
	}
	uses := slices.Concat(d.Spec.Selectors...)
	for _, path := range uses {
		if !s.single(path) {
			return v1alpha1.ReasonUnknownSchemaField, fmt.Sprintf("selectors: schema %q has no field %q with one value: correct the selectors", name, path), true
		}
	}
	if key := d.Spec.SubjectKey; key != "" {
		if !s.identifies(key) {
			return v1alpha1.ReasonUnknownSchemaField, fmt.Sprintf("subjectKey: schema %q has no field %q with one value: correct the subjectKey", name, key), true
		}
		uses = append(uses, key)
	}
	if field := unmapped(d, s, uses); field != "" {
		return v1alpha1.ReasonFieldNotMapped, fmt.Sprintf("selectors and subjectKey: field %q is not mapped to a column: add it to fields", field), true
	}
	if field, column := unknownColumn(d, s, fields); field != "" {
		return v1alpha1.ReasonUnknownColumn, fmt.Sprintf("fields[%s].column: relation %q has no column %q: correct the mapping, or add the column", field, d.Spec.Relation, column), true
	}
	return "", "", false
}

// unmapped is the first of the paths that the dataset does not map; empty: it maps them all.
func unmapped(d *v1alpha1.Dataset, s *schema, paths []string) string {
	for _, path := range paths {
		if readOf(d, s, path) == nil {
			return path
		}
	}
	return ""
}

// unknownColumn is the first of the paths that reads a column that the relation does not have, as far as its columns were observed
// for the dataset as it stands.
func unknownColumn(d *v1alpha1.Dataset, s *schema, paths []string) (path, column string) {
	if !columnsObserved(d) {
		return "", ""
	}
	for _, path := range paths {
		for _, column := range columnsOf(d, s, path) {
			if !slices.Contains(d.Status.Columns, column) {
				return path, column
			}
		}
	}
	return "", ""
}

// columnsObserved: an object without a generation (a file) has no columns observed unless it lists some.
func columnsObserved(d *v1alpha1.Dataset) bool {
	return d.Status.ColumnsGeneration == d.Generation && (d.Generation > 0 || len(d.Status.Columns) > 0)
}
