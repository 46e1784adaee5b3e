package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Agency is a party that can share data: this installation's own agency, or a peer.
//
// The agency that an operator serves is the Agency named by its --agency flag. A peer's Agency is what that peer printed
// with `entente agency export`: it pins whom this installation will speak to and whose signatures it will believe.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=agencies,shortName=agency,categories=entente
// +kubebuilder:printcolumn:name="Display name",type=string,JSONPath=`.spec.displayName`
// +kubebuilder:printcolumn:name="Trust domain",type=string,JSONPath=`.spec.trustDomain`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.spec.endpoints.gateway`,priority=1
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Maintenance until",type=date,JSONPath=`.status.maintenance.until`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$')",message="an agency's name is at most 40 lower-case letters, digits and hyphens"
type Agency struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec   AgencySpec   `json:"spec"`
	Status AgencyStatus `json:"status,omitempty"`
}

// AgencySpec is what an agency publishes of itself.
type AgencySpec struct {
	// DisplayName is the agency's name as people write it. It stands in the accounting of disclosures.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	DisplayName string `json:"displayName"`

	// PostalAddress is where the agency can be written to; the accounting of disclosures gives it as the recipient's
	// address (5 U.S.C. 552a(c)(1)(B)).
	// +kubebuilder:validation:MaxLength=500
	// +optional
	PostalAddress string `json:"postalAddress,omitempty"`

	// TrustDomain is the agency's SPIFFE trust domain, for example police.example.gov. It never changes: agreements are
	// signed over it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="trustDomain cannot change: agreements are signed over it"
	TrustDomain string `json:"trustDomain"`

	// Endpoints are where peers reach this agency.
	// +optional
	Endpoints AgencyEndpoints `json:"endpoints,omitempty"`

	// TrustBundle holds the PEM certificates of the authorities that vouch for the agency's SPIFFE IDs. Required of a
	// peer; for this installation's own agency leave it empty: the operator publishes Vault's in status.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	TrustBundle string `json:"trustBundle,omitempty"`

	// SigningKeys are the public keys that verify the agency's signatures on agreements, as a JSON Web Key Set (RFC 7517).
	// A key that was rotated out stays here so that what it signed remains verifiable. Required of a peer; for this
	// installation's own agency leave it empty: the operator publishes Vault's in status.
	// +optional
	SigningKeys *KeySet `json:"signingKeys,omitempty"`

	// Jurisdictions are the places whose law binds the agency, as ISO 3166 codes: US, US-CA, DE.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=16
	// +kubebuilder:validation:items:Pattern=`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`
	// +listType=set
	// +optional
	Jurisdictions []string `json:"jurisdictions,omitempty"`

	// Maintenance says when this installation's own agency answers no queries. It is announced to the peers, whose users see it; set
	// it with `entente agency maintenance`. A peer's stands in status.
	// +optional
	Maintenance *Maintenance `json:"maintenance,omitempty"`
}

// Maintenance is a time in which an agency's gateways answer no queries of peers.
//
// +kubebuilder:validation:XValidation:rule="!has(self.from) || self.from < self.until",message="until is after from"
type Maintenance struct {
	// From is when it begins; absent: at once.
	// +optional
	From *metav1.Time `json:"from,omitempty"`
	// Until is when it ends.
	Until metav1.Time `json:"until"`
	// Reason is what the users of peers are told, for example: move of the database. No names, no case references.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[^\p{C}]*$`
	Reason string `json:"reason"`
}

// AgencyEndpoints are host:port pairs.
type AgencyEndpoints struct {
	// Gateway is where peer gateways send queries, host:port (usually 9443).
	// +kubebuilder:validation:MaxLength=261
	// +kubebuilder:validation:Pattern=`^[^\s:/]+:[0-9]{1,5}$`
	// +optional
	Gateway string `json:"gateway,omitempty"`

	// Exchange is where peer operators and gateways reach the operator, host:port (usually 9444).
	// +kubebuilder:validation:MaxLength=261
	// +kubebuilder:validation:Pattern=`^[^\s:/]+:[0-9]{1,5}$`
	// +optional
	Exchange string `json:"exchange,omitempty"`
}

// KeySet is a JSON Web Key Set of public keys (RFC 7517).
type KeySet struct {
	// Keys, newest last.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=kid
	Keys []JSONWebKey `json:"keys"`
}

// JSONWebKey is a public signing key: ES256 (kty EC, crv P-256) or EdDSA (kty OKP, crv Ed25519).
type JSONWebKey struct {
	// KeyID names the key; signatures carry it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	KeyID string `json:"kid"`
	// KeyType is EC or OKP.
	// +kubebuilder:validation:Enum=EC;OKP
	KeyType string `json:"kty"`
	// Curve is P-256 or Ed25519.
	// +kubebuilder:validation:Enum=P-256;Ed25519
	Curve string `json:"crv"`
	// X is the key's x coordinate, or the Ed25519 public key, base64url without padding.
	// +kubebuilder:validation:MinLength=43
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]{43}$`
	X string `json:"x"`
	// Y is the key's y coordinate, base64url without padding; EC only.
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]{43}$`
	// +optional
	Y string `json:"y,omitempty"`
	// Algorithm is ES256 or EdDSA.
	// +kubebuilder:validation:Enum=ES256;EdDSA
	Algorithm string `json:"alg"`
	// Use is always sig.
	// +kubebuilder:validation:Enum=sig
	// +optional
	Use string `json:"use,omitempty"`
}

// AgencyStatus is what the operator observed or published.
type AgencyStatus struct {
	// Local is true for the agency that this operator serves.
	// +optional
	Local bool `json:"local,omitempty"`

	// TrustBundle is the PEM bundle in force: the local agency's from Vault. `entente agency export` prints it.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	TrustBundle string `json:"trustBundle,omitempty"`

	// SigningKeys are the local agency's public signing keys from Vault. `entente agency export` prints them.
	// +optional
	SigningKeys *KeySet `json:"signingKeys,omitempty"`

	// Maintenance is what a peer announced of itself; of the local agency, what is announced to the peers.
	// +optional
	Maintenance *Maintenance `json:"maintenance,omitempty"`

	// AnnouncedAt is when a peer last said that it has something new to tell, for which its operator is then asked.
	// +optional
	AnnouncedAt *metav1.MicroTime `json:"announcedAt,omitempty"`

	// Reconciliation is how this agency's logs compare with the peer's.
	// +optional
	Reconciliation *Reconciliation `json:"reconciliation,omitempty"`

	// Conditions: Accepted; and, only while true, ClockSkew.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Reconciliation is what holding this agency's logs against a peer's came to. `entente audit reconcile` lists the disclosures.
type Reconciliation struct {
	// Since is where the window of the last pass began, of dates of disclosures.
	Since metav1.Time `json:"since"`
	// Until is where it ended.
	Until metav1.Time `json:"until"`
	// Compared disclosures of that window.
	Compared int64 `json:"compared"`
	// Faulty are those of them that only one side has, or that differ.
	Faulty int64 `json:"faulty"`
	// OpenSince is the date of the first of those: from there on the next pass compares again, for a week.
	// +optional
	OpenSince *metav1.Time `json:"openSince,omitempty"`
	// Open are the agreements that they are under.
	// +listType=map
	// +listMapKey=agreement
	// +kubebuilder:validation:MaxItems=128
	// +optional
	Open []OpenReconciliation `json:"open,omitempty"`
	// Failure is why the last pass could not be made.
	// +kubebuilder:validation:MaxLength=2000
	// +optional
	Failure string `json:"failure,omitempty"`
}

// OpenReconciliation is an agreement under which the logs of two agencies differ.
type OpenReconciliation struct {
	// Agreement and version, <id>.v<version>.
	// +kubebuilder:validation:MaxLength=63
	Agreement string `json:"agreement"`
	// Disclosures that need to be looked into.
	Disclosures int64 `json:"disclosures"`
}

// +kubebuilder:object:root=true

// AgencyList is a list of agencies.
type AgencyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Agency `json:"items"`
}
