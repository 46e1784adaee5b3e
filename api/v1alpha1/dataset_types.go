package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Dataset is a set of records of one kind that this agency offers, bound to the system that keeps them. It stays with the
// agency: peers never see it. An agreement says who may see which of its fields.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=datasets,shortName=dset,categories=entente
// +kubebuilder:printcolumn:name="Schema",type=string,JSONPath=`.spec.schema.name`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.spec.schema.version`
// +kubebuilder:printcolumn:name="Relation",type=string,JSONPath=`.spec.relation`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Resolved",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$')",message="a dataset's name is at most 40 lower-case letters, digits and hyphens"
type Dataset struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec   DatasetSpec   `json:"spec"`
	Status DatasetStatus `json:"status,omitempty"`
}

// DatasetSpec binds an exchange schema to a relation of a source system.
//
// +kubebuilder:pruning:PreserveUnknownFields
type DatasetSpec struct {
	// Description says what the records are and what system of records they come from.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Description string `json:"description,omitempty"`

	// Schema is the exchange schema that the records are given in.
	Schema SchemaVersion `json:"schema"`

	// Source is the system that keeps the records.
	Source DatasetSource `json:"source"`

	// Relation is the table or view that holds the records, as NAME or SCHEMA.NAME. A source that is no database has none.
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$`
	// +optional
	Relation string `json:"relation,omitempty"`

	// Columns declare the types of columns that expressions read, and of those that codes or a format translate and that are no
	// text. A column that is read as it stands needs none.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	// +optional
	Columns []SourceColumn `json:"columns,omitempty"`

	// Fields map the schema's fields to columns, to what is computed of them, or to members of the answers of an HTTP API. A field
	// that is not mapped is not offered. A consent service has none.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=field
	// +optional
	Fields []FieldMapping `json:"fields,omitempty"`

	// Selectors are the sets of fields by which a record can be looked up quickly (there is an index for each). An
	// agreement's requireSelectors refers to such sets.
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Selectors []SelectorSet `json:"selectors,omitempty"`

	// SubjectKey is the field that identifies the person a record is about; the log keeps a keyed token of it, so that
	// a person can be told who saw their records.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	SubjectKey string `json:"subjectKey,omitempty"`

	// Consent makes this a dataset of consents: it says which of its rows are one. Clauses refer to it (conditions.consent).
	// +optional
	Consent *ConsentRule `json:"consent,omitempty"`

	// UnknownFields are the paths of members that this version does not know. They make the object not accepted.
	UnknownFields []string `json:"-"`
}

// ConsentRule says which rows of a dataset are the consent of the person that its subjectKey names. A row is one when all that is
// given here holds; a person without such a row gave none.
//
// +kubebuilder:pruning:PreserveUnknownFields
type ConsentRule struct {
	// Rule is a CEL expression over the schema's fields: status == "given".
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Rule string `json:"rule,omitempty"`
	// Purpose is the field that has the purpose code of the consent, which must be that of the query; empty: consent is to any.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Purpose string `json:"purpose,omitempty"`
	// Recipient is the field that has the agency of the consent, which must be the one that asks; empty: consent is to any.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Recipient string `json:"recipient,omitempty"`
	// NotBefore is the field that has the day or the instant from which the consent holds; null: from always.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	NotBefore string `json:"notBefore,omitempty"`
	// NotAfter is the field that has the last day on which, or the instant until which, the consent holds; null: for ever.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	NotAfter string `json:"notAfter,omitempty"`
}

// SchemaVersion names a version of an exchange schema.
//
// +kubebuilder:pruning:PreserveUnknownFields
type SchemaVersion struct {
	// Name of the exchange schema.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// Version of the exchange schema.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`
}

// DatasetSource is the system that keeps the records: exactly one kind.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="[has(self.postgresql), has(self.sqlite), has(self.http), has(self.trino), has(self.consentService)].filter(x, x).size() == 1",message="exactly one of postgresql, sqlite, http, trino and consentService is given"
type DatasetSource struct {
	// PostgreSQL source. The gateway reads it with a Vault-issued role that may read the agreed columns and no others.
	// +optional
	PostgreSQL *PostgreSQLSource `json:"postgresql,omitempty"`
	// SQLite source: a file, opened read-only. For standalone installations and demonstrations.
	// +optional
	SQLite *SQLiteSource `json:"sqlite,omitempty"`
	// HTTP source: an operation of an API of the agency, described by its OpenAPI document.
	// +optional
	HTTP *HTTPSource `json:"http,omitempty"`
	// Trino source: a catalog of a Trino cluster, for records that outgrew one database.
	// +optional
	Trino *TrinoSource `json:"trino,omitempty"`
	// ConsentService is asked who consented. A dataset that is bound to one has no records: clauses refer to it
	// (conditions.consent).
	// +optional
	ConsentService *ConsentServiceSource `json:"consentService,omitempty"`
}

// PostgreSQLSource is a PostgreSQL database.
//
// +kubebuilder:pruning:PreserveUnknownFields
type PostgreSQLSource struct {
	// Host of the server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`
	// Port of the server.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=5432
	// +optional
	Port int32 `json:"port,omitempty"`
	// Database on the server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Database string `json:"database"`
	// SSLMode as in libpq: verify-full (the default), verify-ca, or require.
	// +kubebuilder:validation:Enum=verify-full;verify-ca;require
	// +kubebuilder:default=verify-full
	// +optional
	SSLMode string `json:"sslMode,omitempty"`
	// CABundle holds the PEM certificates that the server's certificate is verified against; empty: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle string `json:"caBundle,omitempty"`
	// VaultConnection is the name of the connection in Vault's database engine that `entente bootstrap vault` set up.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`
	VaultConnection string `json:"vaultConnection"`
	// TrigramSchema is the schema of the database in which the extension pg_trgm is installed, often public. With it queries may filter
	// by similarity; the roles that Vault makes need USAGE on it.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_$]*$`
	// +optional
	TrigramSchema string `json:"trigramSchema,omitempty"`
}

// SQLiteSource is an SQLite database file.
//
// +kubebuilder:pruning:PreserveUnknownFields
type SQLiteSource struct {
	// Path of the file; a relative path is taken from the configuration directory of `entente standalone`.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
}

// SourceColumn is a column of the relation with the type that its values have there.
//
// +kubebuilder:pruning:PreserveUnknownFields
type SourceColumn struct {
	// Name of the column.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_$]*$`
	Name string `json:"name"`
	// Type of its values: string, int, decimal, bool, date or timestamp.
	// +kubebuilder:validation:Enum=string;int;decimal;bool;date;timestamp
	Type string `json:"type"`
}

// FieldMapping says where the values of a field of the schema come from: a column, an expression over columns, a member of the items
// that an HTTP API answers with or, for a record, its members.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="[has(self.column), has(self.expression), has(self.members), has(self.pointer)].exists_one(x, x)",message="exactly one of column, expression, members and pointer is given"
// +kubebuilder:validation:XValidation:rule="!has(self.members) || !(has(self.codes) || has(self.format) || has(self.delimiter) || has(self.unknownCode))",message="codes, format, delimiter and unknownCode stand with each of the members"
type FieldMapping struct {
	// Field of the exchange schema.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Field string `json:"field"`

	// Column of the relation. A repeated field is in an array (PostgreSQL) or in JSON text (SQLite), a record that is one column in
	// JSON.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_$]*$`
	// +optional
	Column string `json:"column,omitempty"`

	// Pointer is the JSON Pointer (RFC 6901) of the member of an item: /employer/ein. HTTP sources only.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	// +optional
	Pointer string `json:"pointer,omitempty"`

	// Expression computes the value of columns: wage_cents / 100. docs/datasets.md has the language.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	// +optional
	Expression string `json:"expression,omitempty"`

	// Codes translate the values of the source to codes of the schema, or to true and false.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=value
	// +optional
	Codes []CodeTranslation `json:"codes,omitempty"`

	// Format of dates that the source keeps as text, of YYYY, MM and DD: DD.MM.YYYY.
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^(YYYY|MM|DD)[./-]?(YYYY|MM|DD)[./-]?(YYYY|MM|DD)$`
	// +optional
	Format string `json:"format,omitempty"`

	// Delimiter that divides text into the values of a repeated field.
	// +kubebuilder:validation:Enum=";";",";"|";"/"
	// +optional
	Delimiter string `json:"delimiter,omitempty"`

	// UnknownCode says what becomes of a value of the source that cannot be translated: Refuse (the default) or AsNull.
	// +optional
	UnknownCode UnknownCode `json:"unknownCode,omitempty"`

	// Members of a record, each from a column or an expression of its own.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=field
	// +optional
	Members []MemberMapping `json:"members,omitempty"`
}

// MemberMapping says where the values of a member of a record come from, as FieldMapping does for a field.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="has(self.column) != has(self.expression)",message="exactly one of column and expression is given"
type MemberMapping struct {
	// Field is the name of the member.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Field string `json:"field"`
	// Column of the relation.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_$]*$`
	// +optional
	Column string `json:"column,omitempty"`
	// Expression computes the value of columns.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	// +optional
	Expression string `json:"expression,omitempty"`
	// Codes translate the values of the source.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=value
	// +optional
	Codes []CodeTranslation `json:"codes,omitempty"`
	// Format of dates that the source keeps as text.
	// +kubebuilder:validation:MaxLength=10
	// +kubebuilder:validation:Pattern=`^(YYYY|MM|DD)[./-]?(YYYY|MM|DD)[./-]?(YYYY|MM|DD)$`
	// +optional
	Format string `json:"format,omitempty"`
	// UnknownCode says what becomes of a value of the source that cannot be translated: Refuse (the default) or AsNull.
	// +optional
	UnknownCode UnknownCode `json:"unknownCode,omitempty"`
}

// CodeTranslation is what one value of the source means. Several values may mean the same.
//
// +kubebuilder:pruning:PreserveUnknownFields
type CodeTranslation struct {
	// Value of the source, as text.
	// +kubebuilder:validation:MaxLength=64
	Value string `json:"value"`
	// Code of the schema; for a field of type bool: true or false.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`
}

// UnknownCode says what becomes of a value of the source that cannot be translated: a code that is not listed, text that is no date
// in the format, or no number. Under Refuse a query that would disclose it fails, without the value, and no filter that reads the
// field lets its row through; AsNull makes it null.
//
// +kubebuilder:validation:Enum=Refuse;AsNull
type UnknownCode string

// What becomes of a value that cannot be translated.
const (
	UnknownRefuse UnknownCode = "Refuse"
	UnknownAsNull UnknownCode = "AsNull"
)

// DatasetStatus is what the operator observed of the source.
type DatasetStatus struct {
	// Columns that the relation has, as last read from the source's catalogue (names only, never values).
	// +kubebuilder:validation:MaxItems=2000
	// +listType=atomic
	// +optional
	Columns []string `json:"columns,omitempty"`

	// ColumnsGeneration is the generation of the spec that Columns was read for.
	// +optional
	ColumnsGeneration int64 `json:"columnsGeneration,omitempty"`

	// Conditions: Accepted, ResolvedRefs, SourceReachable.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// DatasetList is a list of datasets.
type DatasetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Dataset `json:"items"`
}
