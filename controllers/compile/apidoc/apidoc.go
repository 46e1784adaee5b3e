// Package apidoc is what compiling needs to know of an operation of an HTTP API: where its parameters go, and what its request
// and its answer look like. It knows nothing of the document that says so; package openapi reads that.
package apidoc

import (
	"slices"

	"github.com/entente-dev/entente/gateway/route"
)

// Reader finds an operation, such as POST /wages/search, in the text of a document. Its errors say what is wrong with either.
type Reader func(document, method, path string) (*Operation, error)

// Operation is a method of a path.
type Operation struct {
	Parameters []Parameter
	// Body is the JSON that the operation takes; nil: none.
	Body *Shape
	// Answer is the JSON of an answer that succeeds.
	Answer *Shape
}

// Parameter is one outside the body.
type Parameter struct {
	Name string
	// In is path, query, header or cookie.
	In       string
	Required bool
	Shape    *Shape
	// Join says how a list is written: repeat (a=1&a=2) or comma (a=1,2); empty: in a way that is not supported.
	Join string
}

// Find gives the parameter of the path or the query by its name.
func (o *Operation) Find(name string) *Parameter {
	i := slices.IndexFunc(o.Parameters, func(p Parameter) bool { return p.Name == name && (p.In == "path" || p.In == "query") })
	if i < 0 {
		return nil
	}
	return &o.Parameters[i]
}

// Shape is what a JSON value may look like, as far as the document says.
type Shape struct {
	// Types: string, number, integer, boolean, object, array, null; empty: any.
	Types []string
	// Members of an object.
	Members map[string]*Shape
	// Required members.
	Required []string
	// Items of an array; nil: any.
	Items *Shape
	// Open: the document allows more than it says: members that it does not name, or one of several shapes.
	Open bool
}

// Allows says whether the value may be of one of the types.
func (s *Shape) Allows(types ...string) bool {
	return s == nil || len(s.Types) == 0 || slices.ContainsFunc(s.Types, func(t string) bool { return slices.Contains(types, t) })
}

// At follows a JSON Pointer (RFC 6901) through the members of objects. found is false when the document excludes that there is
// anything; a nil shape that is found may be anything.
func (s *Shape) At(pointer string) (at *Shape, found bool) {
	for _, name := range route.PointerPath(pointer) {
		if s == nil {
			return nil, true
		}
		next, named := s.Members[name]
		switch {
		case named:
			s = next
		case s.Open && s.Allows("object"):
			return nil, true
		default:
			return nil, false
		}
	}
	return s, true
}
