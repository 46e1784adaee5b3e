package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SharingAgreement is one version of an agreement between agencies: the terms, and who signed them. While every party
// has signed the same terms and the window is open, the operator keeps a gateway route and credentials for it; when it
// ends, both end with it. Its object name is <terms.id>.v<terms.version>.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=sharingagreements,shortName=agr,categories=entente
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.terms.type`
// +kubebuilder:printcolumn:name="Parties",type=string,JSONPath=`.status.parties`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Not after",type=string,JSONPath=`.spec.terms.term.notAfter`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9-]+[.]v[1-9][0-9]{0,5}$') && self.metadata.name.startsWith(self.spec.terms.id + '.v') && int(self.metadata.name.substring(size(self.spec.terms.id) + 2)) == self.spec.terms.version",message="a sharing agreement's object name is <terms.id>.v<terms.version>"
type SharingAgreement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec   SharingAgreementSpec   `json:"spec"`
	Status SharingAgreementStatus `json:"status,omitempty"`
}

// SharingAgreementSpec is the terms and the signatures that came by file.
//
// +kubebuilder:pruning:PreserveUnknownFields
type SharingAgreementSpec struct {
	// Terms are the signed content. They cannot change: a change is a new version.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="terms are immutable: what was signed cannot move under the signature; apply a new version (<id>.v<n+1>) that supersedes this one"
	Terms AgreementTerms `json:"terms"`

	// Signatures of other parties that came by file: `entente agreement signature export` at the peer,
	// `entente agreement signature import` here. A signature proves itself; this operator verifies it against the
	// peer's Agency.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=agency
	// +optional
	Signatures []AgreementSignature `json:"signatures,omitempty"`

	// UnknownFields are the paths of members that this version does not know. They make the object not accepted.
	UnknownFields []string `json:"-"`
}

// AgreementSignature is one party's detached signature.
//
// +kubebuilder:pruning:PreserveUnknownFields
type AgreementSignature struct {
	// Agency that signed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Agency string `json:"agency"`
	// JWS is a compact JSON Web Signature (RFC 7515) over {digest, decision, agency, decidedAt}.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`
	JWS string `json:"jws"`
}

// AgreementState is an agreement's state in one word, for people; conditions say more.
// +kubebuilder:validation:Enum=Rejected;Proposed;Signed;Pending;InForce;Suspended;Terminated;Superseded;Expired
type AgreementState string

// States of an agreement as this agency sees it.
const (
	// StateRejected: the resource is not acceptable, or a party said Reject.
	StateRejected AgreementState = "Rejected"
	// StateProposed: waits for this agency's decisions.
	StateProposed AgreementState = "Proposed"
	// StateSigned: this agency signed; waits for other parties.
	StateSigned AgreementState = "Signed"
	// StatePending: every party signed; the window is not open yet.
	StatePending AgreementState = "Pending"
	// StateInForce: every party signed and the window is open.
	StateInForce AgreementState = "InForce"
	// StateSuspended: a party suspended it; the condition Suspended says which.
	StateSuspended AgreementState = "Suspended"
	// StateTerminated: a party ended it for good.
	StateTerminated AgreementState = "Terminated"
	// StateSuperseded: a later version is in force.
	StateSuperseded AgreementState = "Superseded"
	// StateExpired: the window is over.
	StateExpired AgreementState = "Expired"
)

// SharingAgreementStatus is what this agency's operator knows of the agreement.
type SharingAgreementStatus struct {
	// Digest of the terms: SHA-256 over their RFC 8785 canonical form, as sha256:<base64url>. Decisions and signatures
	// are bound to it.
	// +optional
	Digest string `json:"digest,omitempty"`

	// Parties in one line, for kubectl get.
	// +optional
	Parties string `json:"parties,omitempty"`

	// State in one word.
	// +optional
	State AgreementState `json:"state,omitempty"`

	// Signatures made by this agency's operator.
	// +listType=map
	// +listMapKey=agency
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Signatures []AgreementSignature `json:"signatures,omitempty"`

	// Verified are the parties whose signature over Digest verified.
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Verified []string `json:"verified,omitempty"`

	// Decisions of this agency that count.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	// +optional
	Decisions []DecisionRecord `json:"decisions,omitempty"`

	// Statements of this agency beside its signature, for the other parties: Reject, Suspend, Resume, Terminate, an Accept that
	// came after a Reject, and the latest Attest of each of its duties.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Statements []AgreementStatement `json:"statements,omitempty"`

	// Received are the statements of other parties that came by the exchange: the latest Accept or Reject, the latest
	// Suspend, Resume or Terminate, and the latest Attest of each duty, of each party.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=192
	// +optional
	Received []AgreementStatement `json:"received,omitempty"`

	// Delivered says what each other party was told.
	// +listType=map
	// +listMapKey=agency
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Delivered []AgreementDelivery `json:"delivered,omitempty"`

	// Coverage ties each term that promises something to the control that keeps the promise.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +optional
	Coverage []TermCoverage `json:"coverage,omitempty"`

	// Duties of the parties under the agreement: what is due by when, and what was attested.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +optional
	Duties []DutyStatus `json:"duties,omitempty"`

	// Credentials that exist for the agreement at this agency.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +optional
	Credentials []CredentialStatus `json:"credentials,omitempty"`

	// Routes are the gateway routes that carry the agreement.
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +optional
	Routes []string `json:"routes,omitempty"`

	// Conditions: Accepted, ResolvedRefs, Signed, InForce, CredentialsReady, Programmed; and, only while true,
	// Suspended, Beginning, Expiring, RenewalDue, ReviewDue, DutyDue; and Reconciled, once logs were compared.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DecisionRecord is a decision that counts.
type DecisionRecord struct {
	// Name of the AgreementDecision.
	Name string `json:"name"`
	// Decision taken.
	Decision Decision `json:"decision"`
	// Duty that was attested.
	// +optional
	Duty string `json:"duty,omitempty"`
	// Role in which it was taken.
	// +optional
	Role string `json:"role,omitempty"`
	// DecidedBy whom.
	DecidedBy string `json:"decidedBy"`
	// DecidedAt when.
	DecidedAt metav1.Time `json:"decidedAt"`
	// RenewalOf is the version that was decided on, when that decision accepted this version in advance. Empty: it was
	// taken on this version.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	RenewalOf string `json:"renewalOf,omitempty"`
}

// DutyState is where a duty stands. The words in between are those of the conditions about time.
// +kubebuilder:validation:Enum=Pending;Within90Days;Within30Days;Within7Days;Overdue;Done
type DutyState string

// States of a duty.
const (
	// DutyPending: due in more than 90 days.
	DutyPending      DutyState = "Pending"
	DutyWithin90Days DutyState = ReasonWithin90Days
	DutyWithin30Days DutyState = ReasonWithin30Days
	DutyWithin7Days  DutyState = ReasonWithin7Days
	// DutyOverdue: its date is past, and nobody attested it.
	DutyOverdue DutyState = ReasonOverdue
	// DutyDone: attested, and not due again.
	DutyDone DutyState = "Done"
)

// DutyStatus is a duty of one party.
type DutyStatus struct {
	// Name of the duty: one of terms.duties, review or destruction. It is what an AgreementDecision Attest names.
	Name string `json:"name"`
	// Agency that owes it.
	Agency string `json:"agency"`
	// Term that it fulfils, where one is named.
	// +optional
	Term string `json:"term,omitempty"`
	// State as this agency knows it: of another party, as far as its attestation came by the exchange.
	State DutyState `json:"state"`
	// Due by when; of one that recurs, the next time; of one that is done for good, by when it was.
	Due metav1.Time `json:"due"`
	// DoneAt is when it was last attested, by the clock of the agency that owes it.
	// +optional
	DoneAt *metav1.Time `json:"doneAt,omitempty"`
	// DoneBy whom it was last attested, of this agency's own.
	// +optional
	DoneBy string `json:"doneBy,omitempty"`
}

// Control is what keeps a promise of the terms.
// +kubebuilder:validation:Enum=Gateway;SourceDatabase;Vault;Operator;Attested
type Control string

// Controls.
const (
	// ControlGateway: the source's gateway enforces it on each query.
	ControlGateway Control = "Gateway"
	// ControlSourceDatabase: the source database's own grants enforce it.
	ControlSourceDatabase Control = "SourceDatabase"
	// ControlVault: the credential's content and lifetime enforce it.
	ControlVault Control = "Vault"
	// ControlOperator: each party's operator enforces it before it accepts or signs, or tells people when it is due.
	ControlOperator Control = "Operator"
	// ControlAttested: a party promises it; software cannot enforce it.
	ControlAttested Control = "Attested"
)

// TermCoverage is one term and what keeps it.
type TermCoverage struct {
	// Term is the path of the term, for example clauses[wages].fields.
	Term string `json:"term"`
	// Controls that keep it, the strongest first.
	// +listType=atomic
	Controls []Control `json:"controls"`
}

// CredentialStatus is a credential of the agreement.
type CredentialStatus struct {
	// Kind: Agreement (a recipient's certificate role) or Source (a database role).
	Kind string `json:"kind"`
	// Recipient for kind Agreement.
	// +optional
	Recipient string `json:"recipient,omitempty"`
	// Dataset for kind Source.
	// +optional
	Dataset string `json:"dataset,omitempty"`
	// VaultRole is the role's path in Vault.
	VaultRole string `json:"vaultRole"`
	// NotAfter is when the role stops issuing: the end of the agreement.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}

// +kubebuilder:object:root=true

// SharingAgreementList is a list of sharing agreements.
type SharingAgreementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SharingAgreement `json:"items"`
}
