package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TaskForce is one version of a task force: a named, time-boxed group of agencies with an objective. A clause of an agreement may
// name it as recipient, and pins it by version and digest: its members may ask while its window is open. Its object name is
// <name>.v<version>; when a member joins, or the window changes, that is a new version, which acts once the parties of an agreement
// sign terms that pin it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=taskforces,shortName=tf,categories=entente
// +kubebuilder:printcolumn:name="Lead",type=string,JSONPath=`.spec.lead`
// +kubebuilder:printcolumn:name="Members",type=string,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.spec.window.notAfter`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.digest`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9-]+[.]v[1-9][0-9]{0,5}$') && self.metadata.name.startsWith(self.spec.name + '.v') && int(self.metadata.name.substring(size(self.spec.name) + 2)) == self.spec.version",message="a task force's object name is <spec.name>.v<spec.version>"
type TaskForce struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a task force is immutable: agreements pin its digest; apply a new version, and pin that in a new version of the agreement"
	Spec   TaskForceSpec   `json:"spec"`
	Status TaskForceStatus `json:"status,omitempty"`
}

// TaskForceSpec is the pinned content of a task force.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="self.members.exists(m, m.agency == self.lead)",message="the lead is a member"
type TaskForceSpec struct {
	// Name of the task force: lower-case letters, digits and hyphens, for example harbor.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`

	// Version of the task force, from 1.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Version int64 `json:"version"`

	// Objective says what the task force is for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2000
	Objective string `json:"objective"`

	// Lead is the member that leads.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Lead string `json:"lead"`

	// Members of the task force.
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=agency
	Members []TaskForceMember `json:"members"`

	// Window in which the members may ask: its end ends their access, whatever the agreement's own term.
	Window TaskForceWindow `json:"window"`

	// UnknownFields are the paths of members that this version does not know. They make the object not accepted.
	UnknownFields []string `json:"-"`
}

// TaskForceMember is an agency in a task force, by its name and its trust domain, as a party of an agreement is.
//
// +kubebuilder:pruning:PreserveUnknownFields
type TaskForceMember struct {
	// Agency is the name of the member's Agency object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Agency string `json:"agency"`
	// TrustDomain of the member.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	TrustDomain string `json:"trustDomain"`
}

// TaskForceWindow is from notBefore until just before notAfter.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="self.notBefore < self.notAfter",message="notBefore is before notAfter"
type TaskForceWindow struct {
	// NotBefore is the first instant at which members may ask.
	NotBefore metav1.Time `json:"notBefore"`
	// NotAfter is the instant at which the task force ends.
	NotAfter metav1.Time `json:"notAfter"`
}

// TaskForceState is a task force's state in one word, for people.
// +kubebuilder:validation:Enum=Rejected;Pending;Active;Ended
type TaskForceState string

// States of a task force.
const (
	// TaskForceRejected: the resource is not acceptable; the condition Accepted says why.
	TaskForceRejected TaskForceState = "Rejected"
	// TaskForcePending: the window is not open yet.
	TaskForcePending TaskForceState = "Pending"
	// TaskForceActive: the window is open. What members may ask for, agreements say.
	TaskForceActive TaskForceState = "Active"
	// TaskForceEnded: the window is over.
	TaskForceEnded TaskForceState = "Ended"
)

// TaskForceStatus is what the operator computed.
type TaskForceStatus struct {
	// Digest pins this version: copy it to the recipients of an agreement's clauses. `entente task-force digest` prints the same.
	// +optional
	Digest string `json:"digest,omitempty"`

	// Members in one line, for kubectl get.
	// +optional
	Members string `json:"members,omitempty"`

	// State in one word.
	// +optional
	State TaskForceState `json:"state,omitempty"`

	// Conditions: Accepted.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// TaskForceList is a list of task forces.
type TaskForceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TaskForce `json:"items"`
}
