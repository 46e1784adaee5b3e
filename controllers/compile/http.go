package compile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/compile/apidoc"
	"github.com/entente-dev/entente/gateway/filter"
	"github.com/entente-dev/entente/gateway/pushdown"
	"github.com/entente-dev/entente/gateway/route"
)

// Defaults of HTTP sources and consent services.
const (
	defaultHTTPTimeout    = 10
	defaultConsentTimeout = 5
	defaultAnswerBytes    = 4 << 20
	defaultRequests       = 100
)

// checkHTTPAccess lists what is wrong with how a service is reached. Whoever writes the URL decides where personal data goes.
func checkHTTPAccess(f *faults, path, address string, authentication []v1alpha1.HTTPAuthentication) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsAny(address, "{}") {
		f.add(path+".url", "it is not https://HOST[:PORT][/PATH]")
	}
	checkAuthentication(f, path, authentication)
}

func checkAuthentication(f *faults, path string, authentication []v1alpha1.HTTPAuthentication) {
	for i, a := range authentication {
		if !slices.Contains([]v1alpha1.HTTPAuthentication{v1alpha1.HTTPBearer, v1alpha1.HTTPBasic, v1alpha1.HTTPCertificate}, a) || slices.Contains(authentication[:i], a) {
			f.add(path+".authentication", "%q is not Bearer, Basic or Certificate, or stands twice", a)
		}
	}
	if slices.Contains(authentication, v1alpha1.HTTPBearer) && slices.Contains(authentication, v1alpha1.HTTPBasic) {
		f.add(path+".authentication", "Bearer and Basic exclude each other")
	}
}

// checkHTTP lists what is wrong with an HTTP source by itself; what its document has to say is asked later.
func checkHTTP(f *faults, h *v1alpha1.HTTPSource) {
	const path = "source.http"
	checkHTTPAccess(f, path, h.URL, h.Authentication)
	method, at, ok := strings.Cut(h.Operation, " ")
	if !ok || method != "GET" && method != "POST" || !strings.HasPrefix(at, "/") || strings.ContainsAny(at, "?# ") {
		f.add(path+".operation", "%q is not GET or POST and a path of the document", h.Operation)
	}
	if n := len(h.OpenAPI); n == 0 || n > 262144 {
		f.add(path+".openAPI", "%d bytes; 1 to 262144 are possible: leave out what the operation does not need", n)
	}
	if h.Body != "" {
		var body map[string]json.RawMessage
		d := json.NewDecoder(bytes.NewReader([]byte(h.Body)))
		if method != "POST" || d.Decode(&body) != nil || d.More() {
			f.add(path+".body", "it is not a JSON object of a POST")
		}
	}
	if len(h.Filters) == 0 {
		f.add(path+".filters", "none are given, so the API could be asked for nothing")
	}
	if p := h.Paging; p != nil {
		byLink := p.Style == v1alpha1.HTTPLink
		switch {
		case !slices.Contains([]v1alpha1.HTTPPagingStyle{v1alpha1.HTTPPage, v1alpha1.HTTPOffset, v1alpha1.HTTPCursor, v1alpha1.HTTPLink}, p.Style):
			f.add(path+".paging.style", "%q is not Page, Offset, Cursor or Link", p.Style)
		case byLink != (p.Parameter == ""):
			f.add(path+".paging.parameter", "it is given but for Link")
		case byLink && method != "GET":
			f.add(path+".paging.style", "Link is for GET: the next page is a URL")
		case (p.Style == v1alpha1.HTTPCursor) != (p.Next != ""):
			f.add(path+".paging.next", "it is given for Cursor, and only for it")
		case p.First != 0 && p.Style != v1alpha1.HTTPPage || p.First < 0 || p.First > 1:
			f.add(path+".paging.first", "it is 0 or 1, of Page")
		}
		if p.Size < 1 || p.Size > 10000 {
			f.add(path+".paging.size", "%d; 1 to 10000 are possible", p.Size)
		}
	}
	if l := h.Limits; l != nil && (l.TimeoutSeconds < 0 || l.TimeoutSeconds > 120 || l.AnswerBytes < 0 || l.AnswerBytes > 64<<20 || l.Requests < 0 || l.Requests > 10000) {
		f.add(path+".limits", "at most 120 seconds, 67108864 bytes and 10000 requests are possible")
	}
}

// checkConsentService lists what is wrong with a consent service.
func checkConsentService(f *faults, s *v1alpha1.DatasetSpec) {
	const path = "source.consentService"
	k := s.Source.ConsentService
	checkHTTPAccess(f, path, k.URL, k.Authentication)
	if k.MaxAgeSeconds < 0 || k.MaxAgeSeconds > 3600 || k.TimeoutSeconds < 0 || k.TimeoutSeconds > 60 {
		f.add(path, "maxAgeSeconds is at most 3600, timeoutSeconds at most 60")
	}
	if s.Consent == nil || *s.Consent != (v1alpha1.ConsentRule{}) {
		f.add("consent", "it is {}, with nothing inside: the service decides which purposes, recipients and times a consent is for")
	}
	if s.SubjectKey == "" {
		f.add("subjectKey", "set it: it says which field of the schema identifies a person to the service")
	}
	if len(s.Fields) > 0 || len(s.Selectors) > 0 {
		f.add("fields", "a consent service has no fields and no selectors")
	}
}

// pointerFits says whether s is a JSON Pointer with at least one member.
func pointerFits(s string) bool {
	return len(s) <= 253 && strings.HasPrefix(s, "/") && !slices.Contains(strings.Split(s[1:], "/"), "")
}

// apiCheck is an HTTP source that is being held against its document. The first problem stays.
type apiCheck struct {
	source  *v1alpha1.HTTPSource
	op      *apidoc.Operation
	schema  *schema
	out     *route.HTTP
	used    map[string]string // what has each place
	problem string
}

func (a *apiCheck) fail(format string, args ...any) {
	if a.problem == "" {
		a.problem = fmt.Sprintf(format, args...)
	}
}

// apiFound is how a dataset's API is asked, or what does not fit.
type apiFound struct {
	route   *route.HTTP
	problem string
}

// api is readAPI, once in a compilation.
func (c *compiler) api(d *v1alpha1.Dataset, s *schema) (*route.HTTP, string) {
	found, ok := c.apis[d.Name]
	if !ok {
		found.route, found.problem = c.readAPI(d, s)
		c.apis[d.Name] = found
	}
	return found.route, found.problem
}

// readAPI says how the gateway asks the API: what the dataset says, with what the document adds. problem says what does not fit.
func (c *compiler) readAPI(d *v1alpha1.Dataset, s *schema) (out *route.HTTP, problem string) {
	h := d.Spec.Source.HTTP
	if c.index.APIs == nil {
		return nil, "source.http: this program does not read OpenAPI documents"
	}
	method, path, _ := strings.Cut(h.Operation, " ")
	op, err := c.index.APIs(h.OpenAPI, method, path)
	if err != nil {
		return nil, "source.http.openAPI: " + err.Error()
	}
	a := &apiCheck{source: h, op: op, schema: s, used: map[string]string{}, out: &route.HTTP{
		URL: strings.TrimRight(h.URL, "/") + path, Method: method, Items: h.Items, Count: h.Count, EmptyOnNotFound: h.EmptyOnNotFound,
		HTTPAccess:  access(h.Authentication, h.CABundle, defaultHTTPTimeout),
		AnswerBytes: defaultAnswerBytes, Requests: defaultRequests,
	}}
	if l := h.Limits; l != nil {
		a.out.TimeoutSeconds = cmp.Or(l.TimeoutSeconds, a.out.TimeoutSeconds)
		a.out.AnswerBytes = cmp.Or(l.AnswerBytes, a.out.AnswerBytes)
		a.out.Requests = cmp.Or(l.Requests, a.out.Requests)
	}
	if h.Body != "" {
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(h.Body)); err != nil {
			return nil, "source.http.body: it is no JSON"
		}
		a.out.Body = compact.Bytes()
	}
	a.answer(d)
	a.constants()
	a.filters(d)
	a.paging()
	a.required()
	return a.out, a.problem
}

func access(authentication []v1alpha1.HTTPAuthentication, bundle string, timeout int32) route.HTTPAccess {
	out := route.HTTPAccess{CABundle: bundle, TimeoutSeconds: timeout}
	for _, m := range authentication {
		out.Authentication = append(out.Authentication, string(m))
	}
	slices.Sort(out.Authentication)
	return out
}

// jsonTypes that the values of a field come as.
var jsonTypes = map[v1alpha1.FieldType][]string{
	v1alpha1.TypeString: {"string"}, v1alpha1.TypeCode: {"string"}, v1alpha1.TypeDate: {"string"}, v1alpha1.TypeTimestamp: {"string"},
	v1alpha1.TypeInt: {"integer", "number"}, v1alpha1.TypeDecimal: {"number", "integer", "string"}, v1alpha1.TypeBool: {"boolean"},
}

func (a *apiCheck) typeOf(field string) v1alpha1.FieldType {
	for _, f := range a.schema.object.Spec.Fields {
		if f.Name == field {
			return f.Type
		}
	}
	return ""
}

func (a *apiCheck) isList(field string) bool {
	f, _ := a.schema.route.Find(field)
	return f != nil && f.Repeated
}

// answer holds the fields' members against what the document says of the answer.
func (a *apiCheck) answer(d *v1alpha1.Dataset) {
	items, found := a.op.Answer.At(a.source.Items)
	if !found || !items.Allows("array") {
		a.fail("source.http.items: the answer has no array at %q", a.source.Items)
		return
	}
	var item *apidoc.Shape
	if items != nil {
		item = items.Items
	}
	for _, m := range d.Spec.Fields {
		of := a.typeOf(m.Field)
		if jsonTypes[of] == nil {
			a.fail("fields[%s]: HTTP sources have no fields of type %s", m.Field, of)
			continue
		}
		member, found := item.At(m.Pointer)
		if a.isList(m.Field) && found && member != nil {
			if !member.Allows("array") {
				a.fail("fields[%s].pointer: the member at %q is no list, as the field is", m.Field, m.Pointer)
			}
			member = member.Items
		}
		switch {
		case !found:
			a.fail("fields[%s].pointer: an item has no member at %q", m.Field, m.Pointer)
		case !member.Allows(jsonTypes[of]...):
			a.fail("fields[%s].pointer: the member at %q is of type %s, the field of type %s", m.Field, m.Pointer, strings.Join(member.Types, " or "), of)
		}
	}
	if a.source.Count != "" {
		if n, found := a.op.Answer.At(a.source.Count); !found || !n.Allows("integer", "number") {
			a.fail("source.http.count: the answer has no number at %q", a.source.Count)
		}
	}
	if p := a.source.Paging; p != nil && p.Next != "" {
		if n, found := a.op.Answer.At(p.Next); !found || !n.Allows("string", "integer", "number") {
			a.fail("source.http.paging.next: the answer has no cursor at %q", p.Next)
		}
	}
}

// place finds where a parameter goes, and takes it for one use. shape is what belongs there.
func (a *apiCheck) place(member, parameter, use string) (route.HTTPPlace, *apidoc.Parameter, *apidoc.Shape) {
	if other, taken := a.used[parameter]; taken {
		a.fail("source.http.%s: parameter %q is that of %s, too", member, parameter, other)
	}
	a.used[parameter] = use
	if !strings.HasPrefix(parameter, "/") {
		p := a.op.Find(parameter)
		if p == nil {
			a.fail("source.http.%s: the operation has no parameter %q in its path or query", member, parameter)
			return route.HTTPPlace{}, nil, nil
		}
		return route.HTTPPlace{In: p.In, Name: p.Name}, p, p.Shape
	}
	shape, found := a.op.Body.At(parameter)
	switch {
	case a.out.Method != "POST" || a.op.Body == nil:
		a.fail("source.http.%s: the operation takes no JSON body", member)
	case !pointerFits(parameter) || !found:
		a.fail("source.http.%s: the body has no member at %q", member, parameter)
	case !a.bodyHolds(parameter):
		a.fail("source.http.%s: source.http.body has no object where %q belongs, or has that member already", member, parameter)
	}
	return route.HTTPPlace{In: "body", Name: parameter}, nil, shape
}

// bodyHolds says whether a member can be put into the body that a request starts from.
func (a *apiCheck) bodyHolds(pointer string) bool {
	var body any = map[string]any{}
	if len(a.out.Body) > 0 && json.Unmarshal(a.out.Body, &body) != nil {
		return false
	}
	for _, name := range route.PointerPath(pointer) {
		o, ok := body.(map[string]any)
		if !ok {
			return false
		}
		if body, ok = o[name]; !ok {
			return true
		}
	}
	return false
}

func (a *apiCheck) constants() {
	for _, k := range a.source.Constants {
		place, _, _ := a.place("constants", k.Parameter, "a constant")
		if place.In != "query" {
			a.fail("source.http.constants: parameter %q is not in the query: write it into operation or body", k.Parameter)
		}
		a.out.Constants = append(a.out.Constants, route.HTTPConstant{Name: place.Name, Value: k.Value})
	}
}

var httpComparisons = []v1alpha1.HTTPComparison{
	v1alpha1.HTTPEqual, v1alpha1.HTTPIn, v1alpha1.HTTPLess, v1alpha1.HTTPLessOrEqual, v1alpha1.HTTPGreater, v1alpha1.HTTPGreaterOrEqual,
}

func (a *apiCheck) filters(d *v1alpha1.Dataset) {
	for i, f := range a.source.Filters {
		member := fmt.Sprintf("filters[%d]", i)
		comparison := cmp.Or(f.Comparison, v1alpha1.HTTPEqual)
		of := a.typeOf(f.Field)
		if !slices.Contains(httpComparisons, comparison) {
			a.fail("source.http.%s.comparison: %q is none", member, comparison)
		}
		if of == "" || unmapped(d, a.schema, []string{f.Field}) != "" {
			a.fail("source.http.%s.field: %q is not among the fields: what comes back is held against every filter, for which it has to be there", member, f.Field)
		}
		if a.isList(f.Field) {
			a.fail("source.http.%s.field: %q is a list, which is compared with nothing", member, f.Field)
		}
		if of == v1alpha1.TypeBool && comparison != v1alpha1.HTTPEqual {
			a.fail("source.http.%s.comparison: field %q is of type bool: Equal is possible", member, f.Field)
		}
		place, parameter, shape := a.place(member, f.Parameter, fmt.Sprintf("filter %s of field %s", comparison, f.Field))
		out := route.HTTPFilter{Field: f.Field, Comparison: string(comparison), Place: place}
		isList := comparison == v1alpha1.HTTPIn
		switch {
		case place.In == "path":
			out.Required = true
			if comparison != v1alpha1.HTTPEqual {
				a.fail("source.http.%s: parameter %q is in the path: Equal is possible", member, f.Parameter)
			}
		case place.In == "query":
			out.Required = parameter.Required
			if isList {
				if out.Join = parameter.Join; out.Join == "" {
					a.fail("source.http.%s: the document writes the list %q in a style other than form, which is not supported", member, f.Parameter)
				}
			}
		case place.In == "body":
			value := shape
			if isList && shape != nil {
				if !shape.Allows("array") {
					a.fail("source.http.%s: the body's member at %q is no list", member, f.Parameter)
				}
				value = shape.Items
			}
			if value != nil && !value.Allows(jsonTypes[of]...) {
				if !value.Allows("string") {
					a.fail("source.http.%s: the body's member at %q is of type %s, field %q of type %s", member, f.Parameter, strings.Join(value.Types, " or "), f.Field, of)
				}
				out.Place.Text = true
			} else if value != nil && of == v1alpha1.TypeDecimal && !value.Allows("number", "integer") {
				out.Place.Text = true
			}
		}
		a.out.Filters = append(a.out.Filters, out)
	}
}

func (a *apiCheck) paging() {
	p := a.source.Paging
	if p == nil {
		return
	}
	a.out.Paging = &route.HTTPPaging{Style: string(p.Style), First: p.First, Next: p.Next, Size: p.Size}
	if p.Parameter != "" {
		place, _, _ := a.place("paging.parameter", p.Parameter, "paging")
		a.out.Paging.Place = &place
	}
	if p.SizeParameter != "" {
		place, _, _ := a.place("paging.sizeParameter", p.SizeParameter, "the size of a page")
		a.out.Paging.SizePlace = &place
	}
	for _, place := range []*route.HTTPPlace{a.out.Paging.Place, a.out.Paging.SizePlace} {
		if place != nil && place.In == "path" {
			a.fail("source.http.paging: parameter %q is in the path", place.Name)
		}
	}
}

// required: what the document demands is sent, by every query or by those that are answered.
func (a *apiCheck) required() {
	for _, p := range a.op.Parameters {
		switch {
		case !p.Required:
		case p.In == "path" || p.In == "query":
			if a.used[p.Name] == "" {
				a.fail("source.http: the operation requires parameter %q: name it in filters, constants or paging", p.Name)
			}
		case !slices.Contains([]string{"authorization", "accept", "content-type"}, strings.ToLower(p.Name)):
			a.fail("source.http: the operation requires the %s %q, which is not supported", p.In, p.Name)
		}
	}
	if a.op.Body == nil {
		if a.out.Method == "POST" {
			a.fail("source.http.operation: the document describes no JSON body of the POST")
		}
		return
	}
	var body map[string]json.RawMessage
	_ = json.Unmarshal(a.out.Body, &body)
	for _, name := range a.op.Body.Required {
		if _, there := body[name]; there {
			continue
		}
		found := false
		for i := range a.out.Filters {
			f := &a.out.Filters[i]
			if f.Place.In == "body" && route.PointerPath(f.Place.Name)[0] == name {
				// One of several ways into it is enough; which of them, the API decides.
				f.Required = len(route.PointerPath(f.Place.Name)) == 1
				found = true
			}
		}
		if p := a.out.Paging; p != nil {
			for _, place := range []*route.HTTPPlace{p.Place, p.SizePlace} {
				found = found || place != nil && place.In == "body" && route.PointerPath(place.Name)[0] == name
			}
		}
		if !found {
			a.fail("source.http: the operation requires the body's member %q: give it in body, filters or paging", name)
		}
	}
}

// apisTakeRowFilters: a row filter that an API cannot be asked for would have to be applied to what it gives, and then records would be
// read that the agreement excludes. Such a dataset answers nothing under the clause.
func apisTakeRowFilters(c *compiler, v *version) (reason, message string, failed bool) {
	for i := range v.clauses {
		cl := &v.clauses[i]
		for _, d := range cl.datasets {
			if d.Spec.Source.HTTP == nil {
				continue
			}
			at, problem := c.api(d, cl.schema)
			if problem != "" {
				return v1alpha1.ReasonInvalid, fmt.Sprintf("clauses[%s].dataset: Dataset %q: %s: correct the dataset or its document", cl.terms.Name, d.Name, problem), true
			}
			if cl.terms.RowFilter == "" {
				continue
			}
			f, err := filter.Compile(&cl.schema.route, cl.terms.RowFilter)
			if err != nil {
				continue // Accepted says so
			}
			if _, refusal := pushdown.Of(at, nil, f); refusal != nil && refusal.RowFilter {
				return v1alpha1.ReasonInvalid, fmt.Sprintf("clauses[%s].rowFilter: line %d, column %d: Dataset %q: %s: let the API take it and add it to source.http.filters, or change the row filter in a new version",
					cl.terms.Name, refusal.Line, refusal.Column, d.Name, refusal.Message), true
			}
		}
	}
	return "", "", false
}
