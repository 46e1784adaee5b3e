package route

import (
	"encoding/json"
	"strings"
)

// HTTP is an operation of an HTTP API that finds records and answers with JSON.
type HTTP struct {
	// URL of the operation, with parameters of the path in braces: https://wages.example.gov/api/persons/{id}/wages.
	URL string `json:"url"`
	// Method: GET or POST.
	Method string `json:"method"`
	// Body is the JSON object that a POST starts from.
	Body json.RawMessage `json:"body,omitempty"`
	// Constants are parameters of the query.
	Constants []HTTPConstant `json:"constants,omitempty"`
	// Items and Count are JSON Pointers into the answer; Count is empty when the API does not say how many records match.
	Items string `json:"items"`
	Count string `json:"count,omitempty"`
	// Filters are the comparisons that the API takes.
	Filters []HTTPFilter `json:"filters"`
	// Paging; nil: one answer has all the records.
	Paging *HTTPPaging `json:"paging,omitempty"`

	// EmptyOnNotFound: status 404 says that no record matches.
	EmptyOnNotFound bool `json:"emptyOnNotFound,omitempty"`

	HTTPAccess
	// AnswerBytes bounds one answer, Requests what one query makes.
	AnswerBytes int64 `json:"answerBytes"`
	Requests    int32 `json:"requests"`
}

// HTTPAccess is how a service is reached.
type HTTPAccess struct {
	// Authentication: Bearer, Basic, Certificate.
	Authentication []string `json:"authentication,omitempty"`
	CABundle       string   `json:"caBundle,omitempty"`
	TimeoutSeconds int32    `json:"timeoutSeconds"`
}

// HTTPConstant is a parameter with its value.
type HTTPConstant struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// HTTPPlace is where a value goes: a parameter of the path or the query by its name, or a member of the body by its JSON Pointer.
type HTTPPlace struct {
	// In: path, query or body.
	In   string `json:"in"`
	Name string `json:"name"`
	// Text: a body's value is a JSON string, whatever the type of its field.
	Text bool `json:"text,omitempty"`
}

// HTTPFilter is a comparison that the API takes.
type HTTPFilter struct {
	Field string `json:"field"`
	// Comparison: Equal, In, Less, LessOrEqual, Greater, GreaterOrEqual.
	Comparison string    `json:"comparison"`
	Place      HTTPPlace `json:"place"`
	// Join of the values of In outside the body: repeat or comma.
	Join string `json:"join,omitempty"`
	// Required: the API does not answer without it.
	Required bool `json:"required,omitempty"`
}

// HTTPPaging is how the next records are asked for.
type HTTPPaging struct {
	// Style: Page, Offset, Cursor, Link.
	Style string `json:"style"`
	// Place of the page's number, the offset or the cursor; nil for Link.
	Place *HTTPPlace `json:"place,omitempty"`
	// First page's number.
	First int32 `json:"first,omitempty"`
	// Next is the JSON Pointer of the cursor in the answer.
	Next string `json:"next,omitempty"`
	// SizePlace of Size; nil: the API decides, and gives no more than Size.
	SizePlace *HTTPPlace `json:"sizePlace,omitempty"`
	Size      int32      `json:"size"`
}

// ConsentService is asked for each person whose record was found.
type ConsentService struct {
	// Name of the dataset that is bound to the service.
	Name string `json:"name"`
	URL  string `json:"url"`

	HTTPAccess
	// MaxAgeSeconds is how long an answer may be used again; 0: never.
	MaxAgeSeconds int32 `json:"maxAgeSeconds,omitempty"`
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// PointerPath gives the members that a JSON Pointer (RFC 6901) goes through; none for "".
func PointerPath(pointer string) []string {
	if pointer == "" {
		return nil
	}
	out := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range out {
		out[i] = unescape.Replace(out[i])
	}
	return out
}
