package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AgreementProfile is a legal framework as named rules over the terms of agreements, each with the statute that asks for
// it. An agreement that names a profile is accepted only while it keeps every rule of severity Error. Software does not
// interpret law: a profile finds what is missing, and counsel judges what is there.
//
// A profile may change, and acts on every agreement that names it as soon as it does; a stricter edition that is to spare
// agreements in force is a profile of another name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agreementprofiles,shortName=profile,categories=entente
// +kubebuilder:printcolumn:name="Title",type=string,JSONPath=`.spec.title`
// +kubebuilder:printcolumn:name="Rules",type=integer,JSONPath=`.status.rules`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && size(self.metadata.name) <= 63",message="a profile's name is at most 63 lower-case letters, digits and hyphens"
type AgreementProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec   AgreementProfileSpec   `json:"spec"`
	Status AgreementProfileStatus `json:"status,omitempty"`
}

// AgreementProfileSpec is the framework and its rules.
//
// +kubebuilder:pruning:PreserveUnknownFields
type AgreementProfileSpec struct {
	// Title of the framework, as people write it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Title string `json:"title"`

	// Description says which agreements the framework is for, and what the rules cannot see.
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	Description string `json:"description,omitempty"`

	// Citation of the framework.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Citation string `json:"citation"`

	// Rules that the terms of an agreement keep.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Rules []ProfileRule `json:"rules"`

	// UnknownFields are the paths of members that this version does not know. They make the object not accepted.
	UnknownFields []string `json:"-"`
}

// Severity of a rule.
// +kubebuilder:validation:Enum=Error;Warning
type Severity string

// The severities: a violated Error keeps an agreement from being accepted, a Warning is shown.
const (
	SeverityError   Severity = "Error"
	SeverityWarning Severity = "Warning"
)

// ProfileRule is one requirement of the framework.
//
// +kubebuilder:pruning:PreserveUnknownFields
type ProfileRule struct {
	// Name of the rule, unique in the profile.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`

	// Rule is a CEL expression over `terms`, true when the terms keep the rule. A member that is absent is an error to
	// read: ask with has(). Besides the standard functions there are months(from, to), days(from, to) and
	// addMonths(time, n).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	Rule string `json:"rule"`

	// Severity: Error or Warning.
	Severity Severity `json:"severity"`

	// Message says what is wrong and what to do.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1000
	Message string `json:"message"`

	// Field is the path of the term that the rule is about: term.notAfter, clauses[].obligations.retentionDays.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[a-zA-Z]+(\[\])?(\.[a-zA-Z]+(\[\])?)*$`
	Field string `json:"field"`

	// Citation of the statute or section that asks for it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=300
	Citation string `json:"citation"`
}

// AgreementProfileStatus is what the operator found.
type AgreementProfileStatus struct {
	// Rules is how many rules the profile has.
	// +optional
	Rules int64 `json:"rules,omitempty"`

	// Conditions: Accepted, which says of the first rules that do not compile where they fail.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// AgreementProfileList is a list of agreement profiles.
type AgreementProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgreementProfile `json:"items"`
}
