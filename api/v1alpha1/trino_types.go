package v1alpha1

// TrinoSource is a catalog of a Trino cluster (418 or later). The dataset's relation is SCHEMA.NAME in it. Which columns the login may
// read is for Trino's own access control, or a view: nothing here grants or checks it, so an agreement's coverage names the gateway alone.
//
// +kubebuilder:pruning:PreserveUnknownFields
type TrinoSource struct {
	// Host of the coordinator, or of the proxy before it. It is reached by TLS, and its certificate is verified.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`
	Host string `json:"host"`
	// Port of the coordinator; 443 when none is given.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=443
	// +optional
	Port int32 `json:"port,omitempty"`
	// Catalog that the relation is in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z_][a-z0-9_-]*$`
	Catalog string `json:"catalog"`
	// Authentication that Trino asks for: Bearer (a JWT), Basic (a password) or Certificate. The secrets are in Vault, or in files in a
	// standalone installation, as those of HTTP sources.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	Authentication []HTTPAuthentication `json:"authentication"`
	// User that the login asks Trino to be (X-Trino-User), which Trino's impersonation rules permit; {agreement} in it stands for the
	// agreement's id, so that each agreement has a user of its own. Empty: the login itself.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9_.@-]|\{agreement\})+$`
	// +optional
	User string `json:"user,omitempty"`
	// Role of the catalog that is taken on; empty: none.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_]+$`
	// +optional
	Role string `json:"role,omitempty"`
	// CABundle holds the PEM certificates that the server's certificate is verified against; empty: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle string `json:"caBundle,omitempty"`
}
