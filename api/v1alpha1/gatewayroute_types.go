package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GatewayRoute is the compiled form of one agreement, signed by the operator, for this agency's gateways. Only the operator
// writes it; a gateway refuses one that is unsigned, altered or older than one it has seen. Its name is the agreement's id.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=gatewayroutes,shortName=gwr,categories=entente
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Inbound",type=integer,JSONPath=`.spec.inbound`
// +kubebuilder:printcolumn:name="Outbound",type=integer,JSONPath=`.spec.outbound`
// +kubebuilder:printcolumn:name="Sequence",type=integer,JSONPath=`.spec.sequence`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	// +kubebuilder:validation:XValidation:rule="self.sequence >= oldSelf.sequence",message="a route's sequence never goes back"
	Spec GatewayRouteSpec `json:"spec"`
}

// GatewayRouteSpec is a signed route. What decides is inside payload; the other members repeat parts of it for people.
type GatewayRouteSpec struct {
	// State: Active, or Tombstone when nothing may be disclosed under the agreement any more.
	// +kubebuilder:validation:Enum=Active;Tombstone
	State string `json:"state"`
	// Inbound clauses: this agency is the source.
	// +kubebuilder:validation:Minimum=0
	Inbound int32 `json:"inbound"`
	// Outbound clauses: this agency is a recipient.
	// +kubebuilder:validation:Minimum=0
	Outbound int32 `json:"outbound"`
	// Sequence grows with every change of the payload.
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence"`
	// Payload is the route as JSON; the signature is over exactly these bytes.
	// +kubebuilder:validation:MaxLength=700000
	Payload []byte `json:"payload"`
	// KeyID names the operator's route key.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	KeyID string `json:"keyID"`
	// Signature is Ed25519 over the payload.
	// +kubebuilder:validation:MaxLength=128
	Signature []byte `json:"signature"`
}

// +kubebuilder:object:root=true

// GatewayRouteList is a list of gateway routes.
type GatewayRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayRoute `json:"items"`
}
