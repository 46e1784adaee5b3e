package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AgreementDecision is what an authorised person of this agency says of an agreement. It is created once and never
// changed; the latest Suspend, Resume or Terminate holds. Who may create one is a matter of RBAC and of the
// ValidatingAdmissionPolicy that comes with Entente, which makes sure that decidedBy is the caller, and that the caller has
// the decision, in lower case, as a verb on the resource decisionroles of entente.dev with the role's name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=agreementdecisions,shortName=decision,categories=entente
// +kubebuilder:printcolumn:name="Agreement",type=string,JSONPath=`.spec.agreement`
// +kubebuilder:printcolumn:name="Decision",type=string,JSONPath=`.spec.decision`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.role`
// +kubebuilder:printcolumn:name="Duty",type=string,JSONPath=`.spec.duty`,priority=1
// +kubebuilder:printcolumn:name="Decided by",type=string,JSONPath=`.spec.decidedBy`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AgreementDecision struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a decision is create-only: create another one to change your mind"
	Spec AgreementDecisionSpec `json:"spec"`
}

// Decision is what was decided.
// +kubebuilder:validation:Enum=Accept;Reject;Suspend;Resume;Terminate;Attest
type Decision string

// The decisions. Suspend and Terminate act at once on this agency's side; Terminate cannot be undone. Attest
// says that a duty was done, and never changes what is in force.
const (
	DecisionAccept    Decision = "Accept"
	DecisionReject    Decision = "Reject"
	DecisionSuspend   Decision = "Suspend"
	DecisionResume    Decision = "Resume"
	DecisionTerminate Decision = "Terminate"
	DecisionAttest    Decision = "Attest"
)

// AgreementDecisionSpec is a decision on exactly the terms that the digest names.
//
// +kubebuilder:validation:XValidation:rule="(self.decision == 'Attest') == (has(self.duty) && size(self.duty) > 0)",message="Attest names a duty, and no other decision does"
// +kubebuilder:validation:XValidation:rule="!has(self.renewals) || self.decision == 'Accept'",message="renewals are accepted in advance with an Accept"
type AgreementDecisionSpec struct {
	// Agreement is the name of the SharingAgreement, <id>.v<version>.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.v[0-9]+$`
	Agreement string `json:"agreement"`

	// Digest of the terms that were decided on: status.digest of the agreement, or `entente agreement digest`.
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:Pattern=`^sha256:[A-Za-z0-9_-]{43}$`
	Digest string `json:"digest"`

	// Decision: Accept, Reject, Suspend, Resume, Terminate or Attest.
	Decision Decision `json:"decision"`

	// Duty that is attested: one that status.duties of the agreement lists for this agency.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$`
	// +optional
	Duty string `json:"duty,omitempty"`

	// Role in which it is decided: one that requiredDecisions of the terms names, if they name any. In a cluster the admission
	// policy asks for one; in a folder it may be left out where the terms require none.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$`
	// +optional
	Role string `json:"role,omitempty"`

	// DecidedBy is the user name of the person who decides.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	DecidedBy string `json:"decidedBy"`

	// Renewals accepts in advance, by the same person in the same role, one version that renews this one. Left out: none. In a
	// cluster it takes the verb renew on the role, beside accept.
	// +optional
	Renewals *Renewals `json:"renewals,omitempty"`

	// Comment for the file. It is shown to whoever may read decisions of this agency and goes nowhere else.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Comment string `json:"comment,omitempty"`
}

// Renewals says which later version is accepted in advance: one that supersedes the version decided on while that is in force,
// that differs from it in nothing but version, supersedes, term and the members listed, and for which When is true.
type Renewals struct {
	// When is a CEL expression of type bool over `terms`, those of the renewal, and `prior`, those that were decided on; the
	// language is that of AgreementProfile. It bounds what may differ, the term at least:
	// months(prior.term.notAfter, terms.term.notAfter) <= 12
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	When string `json:"when"`

	// MayChange lists further members of the terms that may differ, such as contacts. Never id, parties, profiles and
	// requiredDecisions.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	MayChange []string `json:"mayChange,omitempty"`
}

// +kubebuilder:object:root=true

// AgreementDecisionList is a list of decisions.
type AgreementDecisionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgreementDecision `json:"items"`
}
