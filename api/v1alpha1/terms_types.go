package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AgreementTerms are the signed content of a sharing agreement: what the parties agree on and nothing else. They cannot
// change: a change is a new version. No field is ever defaulted, since what is signed must be what was written.
//
// The paper fields follow the list of the statutes: 5 U.S.C. 552a(o)(1), NIST SP 800-53 CA-3, IE Data Sharing and
// Governance Act 2019 s.19, and the register of agreements under the UK Digital Economy Act 2017.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="!has(self.supersedes) || self.supersedes < self.version",message="a version supersedes an earlier one"
// +kubebuilder:validation:XValidation:rule="self.clauses.all(c, self.parties.exists(p, p.agency == c.source))",message="every clause's source is a party"
// +kubebuilder:validation:XValidation:rule="!has(self.duties) || self.duties.all(d, self.parties.exists(p, p.agency == d.agency))",message="every duty is of a party"
// +kubebuilder:validation:XValidation:rule="!has(self.requiredDecisions) || self.requiredDecisions.all(d, self.parties.exists(p, p.agency == d.agency))",message="every required decision is of a party"
type AgreementTerms struct {
	// ID of the agreement, the same for every version and every party: lower-case letters, digits and hyphens.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	ID string `json:"id"`

	// Version of the agreement, from 1.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`

	// Supersedes is the version that this one replaces when it comes into force.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	// +optional
	Supersedes int64 `json:"supersedes,omitempty"`

	// Title of the agreement, as people write it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Title string `json:"title"`

	// Type of the agreement (NIST SP 800-53 CA-3).
	// +kubebuilder:validation:Enum=ComputerMatchingAgreement;InformationExchangeAgreement;MemorandumOfUnderstanding;DataUseAgreement;ServiceLevelAgreement
	Type string `json:"type"`

	// Profiles are the legal frameworks (AgreementProfile) whose rules the terms keep.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	Profiles []string `json:"profiles,omitempty"`

	// Parties are the agencies that sign.
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=agency
	Parties []Party `json:"parties"`

	// LegalAuthority is the law that allows the sharing, separately for disclosure and for use (5 U.S.C. 552a(o)(1)(A)).
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	LegalAuthority []LegalAuthority `json:"legalAuthority,omitempty"`

	// PurposeStatement says in words why the data is shared (5 U.S.C. 552a(o)(1)(A)).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4000
	PurposeStatement string `json:"purposeStatement"`

	// Justification of the sharing (5 U.S.C. 552a(o)(1)(B)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	Justification string `json:"justification,omitempty"`

	// AnticipatedResults, including an estimate of savings (5 U.S.C. 552a(o)(1)(B)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	AnticipatedResults string `json:"anticipatedResults,omitempty"`

	// Term is the window in which the agreement is in force.
	Term Term `json:"term"`

	// RequiredDecisions must all be Accept before an agency's operator signs. An agency without a required decision
	// signs after any one Accept.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=agency
	// +listMapKey=role
	// +optional
	RequiredDecisions []RequiredDecision `json:"requiredDecisions,omitempty"`

	// Clauses are the permissions. Whatever no clause permits is refused.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	Clauses []Clause `json:"clauses"`

	// Duties are what a party owes by a date or every so often, and attests when it is done. Beside them, every party owes the
	// review by term.reviewBy, and every recipient the destruction of the records (obligations.retentionDays, destruction).
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	Duties []Duty `json:"duties,omitempty"`

	// NoticeProcedure: how the persons concerned are told (5 U.S.C. 552a(o)(1)(D)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	NoticeProcedure string `json:"noticeProcedure,omitempty"`

	// VerificationProcedure: how a hit is verified before anyone acts on it (5 U.S.C. 552a(o)(1)(E)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	VerificationProcedure string `json:"verificationProcedure,omitempty"`

	// AccuracyAssessment: what is known of the accuracy of the records (5 U.S.C. 552a(o)(1)(J)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	AccuracyAssessment string `json:"accuracyAssessment,omitempty"`

	// Security: how the records are protected (5 U.S.C. 552a(o)(1)(G), NIST SP 800-53 CA-3(b)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	Security string `json:"security,omitempty"`

	// OversightAccess: who may inspect (5 U.S.C. 552a(o)(1)(K)).
	// +kubebuilder:validation:MaxLength=4000
	// +optional
	OversightAccess string `json:"oversightAccess,omitempty"`

	// PublicationRef is where the agreement was published, for example a Federal Register citation.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	PublicationRef string `json:"publicationRef,omitempty"`

	// Publication says whether a party may put the agreement into a public register: Public or Internal; empty is Internal.
	// +kubebuilder:validation:Enum=Public;Internal
	// +optional
	Publication Publication `json:"publication,omitempty"`

	// Contacts for questions about the agreement.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Contacts []Contact `json:"contacts,omitempty"`
}

// Publication says who may read of an agreement in a register.
type Publication string

// Public: everybody. Internal: nobody but the parties, and whoever oversees them.
const (
	PublicationPublic   Publication = "Public"
	PublicationInternal Publication = "Internal"
)

// Party is an agency that signs: its name and its trust domain together are the identity that every party signs.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Party struct {
	// Agency is the name of the party's Agency object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Agency string `json:"agency"`
	// TrustDomain of the party; it must be that of the Agency object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	TrustDomain string `json:"trustDomain"`
	// Roles that the party has, for example source, recipient, controller, processor, lead.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=40
	// +listType=set
	// +optional
	Roles []string `json:"roles,omitempty"`
	// Contact of the party in this matter.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	Contact string `json:"contact,omitempty"`
}

// LegalAuthority is a citation and what it allows.
//
// +kubebuilder:pruning:PreserveUnknownFields
type LegalAuthority struct {
	// Citation of the law.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Citation string `json:"citation"`
	// Covers says what the law allows: Disclosure or Use.
	// +kubebuilder:validation:Enum=Disclosure;Use
	Covers string `json:"covers"`
}

// Term is the window of an agreement: in force from notBefore until just before notAfter.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="!has(self.renewFrom) || self.notBefore <= self.renewFrom && self.renewFrom < self.notAfter",message="renewFrom is in the window"
// +kubebuilder:validation:XValidation:rule="self.notBefore < self.notAfter",message="notBefore is before notAfter"
type Term struct {
	// NotBefore is the first instant at which the agreement may be in force.
	NotBefore metav1.Time `json:"notBefore"`
	// NotAfter is the instant at which the agreement ends.
	NotAfter metav1.Time `json:"notAfter"`
	// ReviewBy is when the parties must have reviewed the agreement.
	// +optional
	ReviewBy *metav1.Time `json:"reviewBy,omitempty"`
	// RenewFrom is when the renewal window opens; it closes at notAfter. Before it the parties do not decide on a renewal (of a
	// matching agreement: three months before the end, 5 U.S.C. 552a(o)(2)(D)). People are told when it comes near and opens.
	// +optional
	RenewFrom *metav1.Time `json:"renewFrom,omitempty"`
}

// RequiredDecision is a decision that an agency must have before it signs.
//
// +kubebuilder:pruning:PreserveUnknownFields
type RequiredDecision struct {
	// Agency that decides.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Agency string `json:"agency"`
	// Role in which it is decided, for example data-integrity-board or system-owner.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Role string `json:"role"`
}

// Duty is what one party owes by a date or every so often: a security assessment, a training, a notice. Software cannot do it;
// it says when it is due, and keeps who attested it when (AgreementDecision Attest).
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="has(self.dueBy) != has(self.everyDays)",message="exactly one of dueBy and everyDays is given"
// +kubebuilder:validation:XValidation:rule="!(self.name in ['review', 'destruction'])",message="review and destruction are duties that follow from term.reviewBy and from the clauses' obligations"
type Duty struct {
	// Name of the duty, unique in the agreement.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`
	// Agency that owes it: a party.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Agency string `json:"agency"`
	// What is to be done, in words.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	What string `json:"what"`
	// Term that the duty dates: the path of an attested term of these terms, for example security or noticeProcedure.
	// +kubebuilder:validation:MaxLength=200
	// +optional
	Term string `json:"term,omitempty"`
	// DueBy is when it must be done, once.
	// +optional
	DueBy *metav1.Time `json:"dueBy,omitempty"`
	// EveryDays: it must be done within so many days of term.notBefore, and again within so many days of each time that it was
	// attested, while the agreement is in force.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3660
	// +optional
	EveryDays int64 `json:"everyDays,omitempty"`
}

// Contact is a person or an office.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Contact struct {
	// Name of the office or its holder.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Name string `json:"name"`
	// Address: a mail address, telephone number or postal address.
	// +kubebuilder:validation:MaxLength=500
	// +optional
	Address string `json:"address,omitempty"`
}

// Granularity is the disclosure ladder.
// +kubebuilder:validation:Enum=Existence;Count;Records
type Granularity string

// The rungs of the disclosure ladder, from least to most: whether there is a record, how many, the records.
const (
	GranularityExistence Granularity = "Existence"
	GranularityCount     Granularity = "Count"
	GranularityRecords   Granularity = "Records"
)

// Clause is one permission: which recipients may see which fields of which of the source's records, for which purposes,
// under which conditions.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="self.granularity != 'Records' || has(self.fields)",message="a clause of granularity Records lists its fields"
type Clause struct {
	// Name of the clause, unique in the agreement.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`

	// Source is the agency that holds the records.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Source string `json:"source"`

	// Recipients are who may ask.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	Recipients []Recipient `json:"recipients"`

	// Schema that queries and records are in, pinned by version and digest.
	Schema SchemaRef `json:"schema"`

	// Dataset narrows the clause to one dataset of the source; empty: every dataset of the source in that schema.
	// +kubebuilder:validation:MaxLength=40
	// +optional
	Dataset string `json:"dataset,omitempty"`

	// Purposes for which the data may be used, as namespaced codes: entente:trafficking-investigation, ncic:C, dpv:FraudPreventionAndDetection.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9-]+:[A-Za-z0-9][A-Za-z0-9._/-]*$`
	// +listType=set
	Purposes []string `json:"purposes"`

	// Granularity is the most that may be disclosed: Existence, Count or Records.
	Granularity Granularity `json:"granularity"`

	// Fields that may be disclosed. address.city is one member of a record; address is all of them.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=127
	// +listType=set
	// +optional
	Fields []string `json:"fields,omitempty"`

	// FilterFields are the fields that a query may filter on; empty: fields and those of requireSelectors.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=127
	// +listType=set
	// +optional
	FilterFields []string `json:"filterFields,omitempty"`

	// RowFilter narrows the rows, as a CEL expression over the schema's fields: status == "open".
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	RowFilter string `json:"rowFilter,omitempty"`

	// Conditions that each query must meet.
	// +optional
	Conditions *Conditions `json:"conditions,omitempty"`

	// Limits on use.
	// +optional
	Limits *Limits `json:"limits,omitempty"`

	// Obligations of the recipient once it holds the records.
	// +optional
	Obligations *Obligations `json:"obligations,omitempty"`
}

// Recipient is an agency or a task force: exactly one.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="has(self.agency) != has(self.taskForce)",message="exactly one of agency and taskForce is given"
type Recipient struct {
	// Agency that may ask; it is a party.
	// +kubebuilder:validation:MaxLength=40
	// +optional
	Agency string `json:"agency,omitempty"`
	// TaskForce whose members, the source left out, may ask while its window is open, pinned by version and digest: who joins later
	// joins by a new version of the task force and of the agreement. Every member is a party.
	// +optional
	TaskForce *TaskForceRef `json:"taskForce,omitempty"`
}

// TaskForceRef pins a task force, and with it its members and its window.
//
// +kubebuilder:pruning:PreserveUnknownFields
type TaskForceRef struct {
	// Name of the task force.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// Version of the task force.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`
	// Digest of the task force, from its status or from `entente task-force digest`.
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:Pattern=`^sha256:[A-Za-z0-9_-]{43}$`
	Digest string `json:"digest"`
}

// SchemaRef pins an exchange schema.
//
// +kubebuilder:pruning:PreserveUnknownFields
type SchemaRef struct {
	// Name of the exchange schema.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// Version of the exchange schema.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`
	// Digest of the exchange schema, from its status or from `entente schema digest`.
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:Pattern=`^sha256:[A-Za-z0-9_-]{43}$`
	Digest string `json:"digest"`
}

// SelectorSet is fields that stand for a person, or for few, when a filter fixes each of them. address.city is one member of a record.
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=16
// +kubebuilder:validation:items:MaxLength=127
type SelectorSet []string

// Conditions that each query under a clause must meet.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Conditions struct {
	// CaseReference that the justification must carry.
	// +optional
	CaseReference *CaseReference `json:"caseReference,omitempty"`

	// UserAttributes is a CEL expression over the claims of the user that the recipient's gateway verified, in which each claim
	// is named: claims.SwornLawEnforcementOfficerIndicator == true. Only those claims cross to the source.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	UserAttributes string `json:"userAttributes,omitempty"`

	// Consent of the person concerned.
	// +optional
	Consent *Consent `json:"consent,omitempty"`

	// RequireSelectors: the filter must fix, by equality, every field of at least one of these sets. This keeps queries
	// to known persons and stops fishing.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	RequireSelectors []SelectorSet `json:"requireSelectors,omitempty"`

	// SubjectRoles that the justification may name: suspect, victim, witness, missing-person, applicant.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	// +optional
	SubjectRoles []string `json:"subjectRoles,omitempty"`

	// Jurisdictions under whose law a query may be made, as ISO 3166 codes; a country stands for its subdivisions, too. They
	// are compared with the jurisdictions of the recipient's Agency, as the source knows it, and with the one that the query
	// names.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=16
	// +kubebuilder:validation:items:Pattern=`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`
	// +listType=set
	// +optional
	Jurisdictions []string `json:"jurisdictions,omitempty"`
}

// CaseReference is the reference to a case that a query must carry.
//
// +kubebuilder:pruning:PreserveUnknownFields
type CaseReference struct {
	// Pattern is an RE2 expression that the whole reference must match.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Pattern string `json:"pattern"`
}

// Consent says where consent is recorded.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Consent struct {
	// Dataset of the source that holds the consents; its own spec.consent says which rows are one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Dataset string `json:"dataset"`
}

// Limits on the use of a clause.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Limits struct {
	// QueriesPerDay of one recipient. Days are UTC days; all versions of the agreement count together.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	// +optional
	QueriesPerDay int64 `json:"queriesPerDay,omitempty"`
	// RecordsPerQuery: an answer has at most that many records; empty: 10,000.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	// +optional
	RecordsPerQuery int64 `json:"recordsPerQuery,omitempty"`
	// RecordsPerDay to one recipient: an answer has at most what is left of the day.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	// +optional
	RecordsPerDay int64 `json:"recordsPerDay,omitempty"`
	// MinimumCount of persons below which a count is suppressed. Counts are then told in its multiples, rounded down, and only of
	// the groups into which the clause's one selector set (requireSelectors) divides the records, so that no two counts differ
	// by one person. For granularity Existence and Count.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=1000000
	// +optional
	MinimumCount int64 `json:"minimumCount,omitempty"`
}

// Obligations of a recipient once it holds the records. They travel with the answer.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Obligations struct {
	// RetentionDays: the recipient keeps the records at most that long.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=36525
	// +optional
	RetentionDays *int64 `json:"retentionDays,omitempty"`
	// Redisclosure: Prohibited, or WithConsentOfSource; empty is Prohibited.
	// +kubebuilder:validation:Enum=Prohibited;WithConsentOfSource
	// +optional
	Redisclosure string `json:"redisclosure,omitempty"`
	// Destruction: how the records are destroyed at the end.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Destruction string `json:"destruction,omitempty"`
	// VerifyBeforeAction: no adverse action before independent verification and notice (5 U.S.C. 552a(p)).
	// +optional
	VerifyBeforeAction *VerifyBeforeAction `json:"verifyBeforeAction,omitempty"`
	// ResponseTimeSeconds within which the source answers. A party's word: no gateway measures it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31622400
	// +optional
	ResponseTimeSeconds int64 `json:"responseTimeSeconds,omitempty"`
}

// VerifyBeforeAction keeps a recipient from acting on a record until it was verified and the person was told.
//
// +kubebuilder:pruning:PreserveUnknownFields
type VerifyBeforeAction struct {
	// NoticeDays that must pass after the person was told.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=365
	NoticeDays int64 `json:"noticeDays"`
}
