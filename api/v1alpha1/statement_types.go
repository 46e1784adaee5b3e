package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LabelProposedBy names the peer whose operator sent the agreement, on an object that this operator made of a proposal. An
// agreement without it was applied here.
const LabelProposedBy = "entente.dev/proposed-by"

// AgreementStatement is what one agency said of an agreement's digest. It proves itself: the members beside the JWS repeat for
// people what it says.
type AgreementStatement struct {
	// Agency that said it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Agency string `json:"agency"`
	// Decision: Accept, Reject, Suspend, Resume, Terminate or Attest.
	Decision Decision `json:"decision"`
	// Duty that is attested.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Duty string `json:"duty,omitempty"`
	// DecidedAt by the clock of that agency.
	DecidedAt metav1.Time `json:"decidedAt"`
	// JWS is a compact JSON Web Signature (RFC 7515) over {digest, decision, agency, decidedAt}, and the duty of an
	// Attest.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	JWS string `json:"jws"`
}

// AgreementDelivery is what one other party was told of the agreement.
type AgreementDelivery struct {
	// Agency that was told.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Agency string `json:"agency"`
	// Acknowledged are the statements of this agency that the other holds.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Acknowledged []StatementRef `json:"acknowledged,omitempty"`
	// Failure says why the latest statement is not acknowledged yet; the operator goes on trying. Empty: nothing is open.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Failure string `json:"failure,omitempty"`
}

// StatementRef names one statement of an agency about one digest.
type StatementRef struct {
	Decision Decision `json:"decision"`
	// Duty that was attested, of an Attest.
	// +optional
	Duty string `json:"duty,omitempty"`
	// DecidedAt by the clock of this agency.
	DecidedAt metav1.Time `json:"decidedAt"`
}
