package v1alpha1

// HTTPSource is an operation of an HTTP API of the agency that finds records and answers with JSON.
//
// +kubebuilder:pruning:PreserveUnknownFields
type HTTPSource struct {
	// URL that the paths of the document are relative to: https://wages.example.gov/api.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https://[^/?#@ ]+(/[^?# ]*)?$`
	URL string `json:"url"`
	// OpenAPI is the API's description (OpenAPI 3.0 or 3.1, as JSON or YAML), or as much of it as the operation needs.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	OpenAPI string `json:"openAPI"`
	// Operation is the method and the path, as in the document: POST /wages/search. Prefer POST: what a GET asks for stands in
	// URLs, which servers and proxies write into their logs.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(GET|POST) /[^?# ]*$`
	Operation string `json:"operation"`
	// Body that a POST starts from: a JSON object, into which filters and paging put their members.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Body string `json:"body,omitempty"`
	// Constants are parameters that have the same value in every request.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=parameter
	// +optional
	Constants []HTTPConstant `json:"constants,omitempty"`
	// Items is the JSON Pointer of the array of records in the answer; empty: the answer is the array.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(/[^/]+)*$`
	// +optional
	Items string `json:"items,omitempty"`
	// Count is the JSON Pointer of how many records match in all; empty: they are counted by reading them.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(/[^/]+)*$`
	// +optional
	Count string `json:"count,omitempty"`
	// EmptyOnNotFound: the API answers 404 when no record matches. Without it, 404 is an error.
	// +optional
	EmptyOnNotFound bool `json:"emptyOnNotFound,omitempty"`
	// Filters say which comparisons the API takes, and where. What is not here is refused before anything is asked.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Filters []HTTPFilter `json:"filters"`
	// Paging says how the next records are asked for; without it, one answer has them all.
	// +optional
	Paging *HTTPPaging `json:"paging,omitempty"`
	// Authentication that the API asks for; nothing: none. The secrets are in Vault, or in files in a standalone installation.
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	Authentication []HTTPAuthentication `json:"authentication,omitempty"`
	// CABundle holds the PEM certificates that the server's certificate is verified against; empty: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle string `json:"caBundle,omitempty"`
	// Limits on what one query may cost the API and this gateway.
	// +optional
	Limits *HTTPLimits `json:"limits,omitempty"`
}

// HTTPAuthentication is a way in which a gateway proves itself to an HTTP service of its agency.
//
// +kubebuilder:validation:Enum=Bearer;Basic;Certificate
type HTTPAuthentication string

// Ways to authenticate.
const (
	// HTTPBearer: a token (RFC 6750).
	HTTPBearer HTTPAuthentication = "Bearer"
	// HTTPBasic: username and password (RFC 7617).
	HTTPBasic HTTPAuthentication = "Basic"
	// HTTPCertificate: a client certificate.
	HTTPCertificate HTTPAuthentication = "Certificate"
)

// HTTPConstant is a query parameter with its value.
//
// +kubebuilder:pruning:PreserveUnknownFields
type HTTPConstant struct {
	// Parameter of the document, in the query.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Parameter string `json:"parameter"`
	// Value as it is sent.
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}

// HTTPComparison is a comparison of a field with what a filter says.
//
// +kubebuilder:validation:Enum=Equal;In;Less;LessOrEqual;Greater;GreaterOrEqual
type HTTPComparison string

// Comparisons.
const (
	HTTPEqual          HTTPComparison = "Equal"
	HTTPIn             HTTPComparison = "In"
	HTTPLess           HTTPComparison = "Less"
	HTTPLessOrEqual    HTTPComparison = "LessOrEqual"
	HTTPGreater        HTTPComparison = "Greater"
	HTTPGreaterOrEqual HTTPComparison = "GreaterOrEqual"
)

// HTTPFilter is a comparison that the API takes.
//
// +kubebuilder:pruning:PreserveUnknownFields
type HTTPFilter struct {
	// Field of the exchange schema.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]*$`
	Field string `json:"field"`
	// Comparison: Equal, In, Less, LessOrEqual, Greater or GreaterOrEqual.
	// +kubebuilder:default=Equal
	// +optional
	Comparison HTTPComparison `json:"comparison,omitempty"`
	// Parameter that has the value: the name of one in the path or the query, or the JSON Pointer of a member of the body
	// (/person/id).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Parameter string `json:"parameter"`
}

// HTTPPagingStyle is how an API is asked for what did not fit into its answer.
//
// +kubebuilder:validation:Enum=Page;Offset;Cursor;Link
type HTTPPagingStyle string

// Styles of paging.
const (
	// HTTPPage: by the number of the page.
	HTTPPage HTTPPagingStyle = "Page"
	// HTTPOffset: by how many records to leave out.
	HTTPOffset HTTPPagingStyle = "Offset"
	// HTTPCursor: by a word of the answer, which the next request repeats.
	HTTPCursor HTTPPagingStyle = "Cursor"
	// HTTPLink: by the header Link with rel="next" (RFC 8288).
	HTTPLink HTTPPagingStyle = "Link"
)

// HTTPPaging says how the next records are asked for.
//
// +kubebuilder:pruning:PreserveUnknownFields
type HTTPPaging struct {
	// Style: Page, Offset, Cursor or Link.
	Style HTTPPagingStyle `json:"style"`
	// Parameter that has the page, the offset or the cursor, as in filters; not for Link.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Parameter string `json:"parameter,omitempty"`
	// First page: 0 or 1; Page only.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	// +optional
	First int32 `json:"first,omitempty"`
	// Next is the JSON Pointer of the cursor in the answer; Cursor only.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(/[^/]+)*$`
	// +optional
	Next string `json:"next,omitempty"`
	// SizeParameter that has the size of a page, as in filters; empty: the API decides.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SizeParameter string `json:"sizeParameter,omitempty"`
	// Size of a page, at most what the API allows. A page with more records is refused.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Size int32 `json:"size"`
}

// HTTPLimits bound what one query costs. 0: the default.
//
// +kubebuilder:pruning:PreserveUnknownFields
type HTTPLimits struct {
	// TimeoutSeconds of one request; default 10.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=120
	// +optional
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
	// AnswerBytes of one answer; default 4 MiB.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=67108864
	// +optional
	AnswerBytes int64 `json:"answerBytes,omitempty"`
	// Requests that one query makes; default 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	// +optional
	Requests int32 `json:"requests,omitempty"`
}

// ConsentServiceSource is a service of the agency that says who consented; its protocol is in docs/consent.md.
//
// +kubebuilder:pruning:PreserveUnknownFields
type ConsentServiceSource struct {
	// URL that is asked: https://consent.example.gov/v1/check.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https://[^/?#@ ]+(/[^?# ]*)?$`
	URL string `json:"url"`
	// Authentication that the service asks for; nothing: none.
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	Authentication []HTTPAuthentication `json:"authentication,omitempty"`
	// CABundle holds the PEM certificates that the server's certificate is verified against; empty: the system's.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	CABundle string `json:"caBundle,omitempty"`
	// MaxAgeSeconds is how long a consent may be taken as it was answered; a withdrawal counts after it. 0: every query asks.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	MaxAgeSeconds int32 `json:"maxAgeSeconds,omitempty"`
	// TimeoutSeconds of one request; default 5.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=60
	// +optional
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`
}
