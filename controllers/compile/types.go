// Package compile decides what an agreement means: from the resources that an agency has, it computes the gateway route,
// the credentials that must exist, and what to tell people. It is pure: no client, no clock, no network, and its output
// does not depend on the order of maps.
package compile

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile/apidoc"
	"github.com/entente-dev/entente/controllers/compile/profile"
	"github.com/entente-dev/entente/gateway/route"
)

// Index is what an agency's operator knows. Whoever gathers it needs to put in only what the agreement at hand refers to.
// Nothing in it is changed by compiling but the cache, which makes no difference to the result.
type Index struct {
	// Self is the name of the local agency.
	Self string
	// Agencies by name, Self included.
	Agencies map[string]*v1alpha1.Agency
	// Schemas by object name, <name>.v<version>.
	Schemas map[string]*v1alpha1.ExchangeSchema
	// Datasets of the local agency by name.
	Datasets map[string]*v1alpha1.Dataset
	// Agreements by id: all versions.
	Agreements map[string][]*v1alpha1.SharingAgreement
	// Decisions of the local agency by agreement object name, <id>.v<version>.
	Decisions map[string][]*v1alpha1.AgreementDecision
	// Profiles by name: the legal frameworks that terms may name.
	Profiles map[string]*v1alpha1.AgreementProfile
	// TaskForces by object name, <name>.v<version>.
	TaskForces map[string]*v1alpha1.TaskForce
	// APIs reads the OpenAPI documents of HTTP sources; nil: datasets with such sources do not resolve.
	APIs apidoc.Reader `json:"-"`
	// ProfileCache remembers compiled profiles from one call to the next; nil: nothing is remembered.
	ProfileCache *profile.Cache
}

// Prior is what was decided before, so that sequences grow and transition times are kept.
type Prior struct {
	// Route last published for the agreement, decoded from the GatewayRoute; nil: none.
	Route *route.Route
	// Conditions of each version, by object name, as they stand now (those of compile's own types).
	Conditions map[string][]metav1.Condition
}

// Result is what an agreement, in all its versions, comes to.
type Result struct {
	// Versions, ascending.
	Versions []VersionResult
	// Route to publish; nil when none was ever published and none is due. Its Sequence is Prior's when nothing
	// changed, one more otherwise.
	Route *route.Route
	// Credentials that must exist; every other role of this agreement must not.
	Credentials []Credential
	// Next is the next instant at which the result changes by itself; zero: never.
	Next time.Time
}

// VersionResult is the status that compile decides for one SharingAgreement.
type VersionResult struct {
	// Name of the object, <id>.v<version>.
	Name string
	// Status has Digest, State, Verified, Decisions, Coverage, Duties, Routes and Conditions (without CredentialsReady and
	// Programmed, which are observed by others).
	Status v1alpha1.SharingAgreementStatus
	// Sign is true when the local agency has decided to accept and has not signed Digest yet.
	Sign bool
	// Record is true when Status.Decisions has an acceptance in advance that must be written before it counts.
	Record bool
	// Say is what this agency has to tell the other parties: its latest Accept or Reject, its latest Suspend, Resume or
	// Terminate, and the latest Attest of each duty.
	Say []v1alpha1.StatementRef
}

// Credential is one role that must exist in Vault while the agreement is in force and this agency is the source.
type Credential struct {
	// Agreement id.
	Agreement string
	// Role is the role's name: AgreementRole or SourceRole.
	Role string
	// NotAfter is the end of the agreement.
	NotAfter time.Time
	// Recipient is set for an agreement credential: a PKI role.
	Recipient string
	// SPIFFEID is the only URI that the PKI role may sign.
	SPIFFEID string
	// Source is set for a source credential: a database role.
	Source *SourceCredential
}

// SourceCredential is a database role that may read exactly these columns.
type SourceCredential struct {
	Dataset string
	// Connection in Vault's database engine.
	Connection string
	// Relation is NAME or SCHEMA.NAME.
	Relation string
	// Columns, sorted.
	Columns []string
	// Consents are other relations in the same database that it may read: those that record consents to these rows.
	Consents []Grant
}

// Grant is the columns of a relation that may be read.
type Grant struct {
	// Relation is NAME or SCHEMA.NAME.
	Relation string
	// Columns, sorted.
	Columns []string
}

// AgreementRole names the PKI role of an agreement and a recipient.
func AgreementRole(agreement, recipient string) string { return agreement + "." + recipient }

// SourceRole names the database role of an agreement and a dataset.
func SourceRole(agreement, dataset string) string { return agreement + "." + dataset }

// AgreementSPIFFEID is the identity of a recipient under an agreement, in the source's trust domain.
func AgreementSPIFFEID(sourceTrustDomain, agreement, recipient string) string {
	return "spiffe://" + sourceTrustDomain + "/agreement/" + agreement + "/recipient/" + recipient
}
