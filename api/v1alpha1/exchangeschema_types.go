package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ExchangeSchema is a record shape that agencies agree on. Datasets map onto it, queries are asked in its words, and
// agreements pin it by version and digest. Its object name is <name>.v<version>; a change is a new version.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=exchangeschemas,shortName=exs,categories=entente
// +kubebuilder:printcolumn:name="Schema",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.digest`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9-]+[.]v[1-9][0-9]{0,5}$') && self.metadata.name.startsWith(self.spec.name + '.v') && int(self.metadata.name.substring(size(self.spec.name) + 2)) == self.spec.version",message="an exchange schema's object name is <spec.name>.v<spec.version>"
type ExchangeSchema struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an exchange schema is immutable: agreements pin its digest; publish a new version instead"
	Spec   ExchangeSchemaSpec   `json:"spec"`
	Status ExchangeSchemaStatus `json:"status,omitempty"`
}

// ExchangeSchemaSpec is the pinned content of an exchange schema.
//
// +kubebuilder:pruning:PreserveUnknownFields
type ExchangeSchemaSpec struct {
	// Name of the schema: lower-case letters, digits and hyphens, for example person.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`

	// Version of the schema, from 1.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`

	// Description says what one record is about.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Description string `json:"description,omitempty"`

	// Fields of a record.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	Fields []SchemaField `json:"fields"`

	// UnknownFields are the paths of members that this version does not know. They make the object not accepted.
	UnknownFields []string `json:"-"`
}

// FieldType is the type of a field's values.
// +kubebuilder:validation:Enum=string;int;decimal;bool;date;timestamp;code;record
type FieldType string

// The types of field values. A decimal is exact, a date has no time zone, a timestamp is an instant, a code is one of a
// list, a record has members of its own.
const (
	TypeString    FieldType = "string"
	TypeInt       FieldType = "int"
	TypeDecimal   FieldType = "decimal"
	TypeBool      FieldType = "bool"
	TypeDate      FieldType = "date"
	TypeTimestamp FieldType = "timestamp"
	TypeCode      FieldType = "code"
	TypeRecord    FieldType = "record"
)

// SchemaField is one field of a record.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="self.type == 'code' ? has(self.codes) : !has(self.codes)",message="codes are given for type code, and only for it"
// +kubebuilder:validation:XValidation:rule="self.type == 'code' || !has(self.displays)",message="displays are given for type code only"
// +kubebuilder:validation:XValidation:rule="self.type == 'record' ? has(self.fields) : !has(self.fields)",message="fields are given for type record, and only for it"
type SchemaField struct {
	// Name of the field in queries and answers: lower-case letters, digits and underscores.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Name string `json:"name"`

	// Type of the field's values.
	Type FieldType `json:"type"`

	// Description says what the field means.
	// +kubebuilder:validation:MaxLength=1000
	// +optional
	Description string `json:"description,omitempty"`

	// Sensitivity labels the field for people: Public, Personal, Sensitive (special categories) or Identifier. Nothing is
	// decided by it: what may be disclosed, clauses say.
	// +kubebuilder:validation:Enum=Public;Personal;Sensitive;Identifier
	// +optional
	Sensitivity string `json:"sensitivity,omitempty"`

	// SemanticTerm is an IRI that says what the field means beyond this schema, for example a NIEM property.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	SemanticTerm string `json:"semanticTerm,omitempty"`

	// Codes are the values that a field of type code may have.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +listType=set
	// +optional
	Codes []string `json:"codes,omitempty"`

	// Displays say in words what codes mean, for people; queries and answers have the codes.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=code
	// +optional
	Displays []CodeDisplay `json:"displays,omitempty"`

	// Repeated: the field has a list of values of its type, in the source's order; none is an empty list.
	// +optional
	Repeated bool `json:"repeated,omitempty"`

	// Fields are the members of a field of type record. Agreements and queries name one as <field>.<member>: address.city.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	Fields []SchemaMember `json:"fields,omitempty"`
}

// CodeDisplay is what a code means, in words.
//
// +kubebuilder:pruning:PreserveUnknownFields
type CodeDisplay struct {
	// Code of the list.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`
	// Display is its meaning, on one line: married.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Display string `json:"display"`
}

// MemberType is the type of a member of a record: records do not nest further.
// +kubebuilder:validation:Enum=string;int;decimal;bool;date;timestamp;code
type MemberType string

// SchemaMember is one member of a record inside a record. It has one value.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="self.type == 'code' ? has(self.codes) : !has(self.codes)",message="codes are given for type code, and only for it"
// +kubebuilder:validation:XValidation:rule="self.type == 'code' || !has(self.displays)",message="displays are given for type code only"
type SchemaMember struct {
	// Name of the member: lower-case letters, digits and underscores.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Name string `json:"name"`

	// Type of the member's values.
	Type MemberType `json:"type"`

	// Description says what the member means.
	// +kubebuilder:validation:MaxLength=1000
	// +optional
	Description string `json:"description,omitempty"`

	// Sensitivity labels the member, as it does a field.
	// +kubebuilder:validation:Enum=Public;Personal;Sensitive;Identifier
	// +optional
	Sensitivity string `json:"sensitivity,omitempty"`

	// SemanticTerm is an IRI that says what the member means beyond this schema.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	SemanticTerm string `json:"semanticTerm,omitempty"`

	// Codes are the values that a member of type code may have.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +listType=set
	// +optional
	Codes []string `json:"codes,omitempty"`

	// Displays say in words what codes mean, for people; queries and answers have the codes.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=code
	// +optional
	Displays []CodeDisplay `json:"displays,omitempty"`
}

// ExchangeSchemaStatus is what the operator computed.
type ExchangeSchemaStatus struct {
	// Digest pins this schema: copy it to an agreement's clauses. `entente schema digest` prints the same.
	// +optional
	Digest string `json:"digest,omitempty"`

	// Conditions: Accepted.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// ExchangeSchemaList is a list of exchange schemas.
type ExchangeSchemaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExchangeSchema `json:"items"`
}
