package v1alpha1_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// crdCase is one change of a valid object and what the API server must say of it.
type crdCase struct {
	name string
	// base is the name of a file in testdata/crd that the API server accepts.
	base string
	// edit changes the object before it is created; nil: as it is.
	edit func(o object)
	// update changes the created object; the update must then be refused (or accepted when want is empty).
	update func(o object)
	// want is part of the API server's refusal; empty: accepted.
	want string
}

// object is an unstructured object with setters that panic on a path that the test got wrong.
type object map[string]any

func (o object) set(value any, path ...string) {
	if err := unstructured.SetNestedField(o, value, path...); err != nil {
		panic(err)
	}
}

func (o object) del(path ...string) { unstructured.RemoveNestedField(o, path...) }

// at edits the element i of the list at path.
func (o object) at(i int, edit func(object), path ...string) {
	list, found, err := unstructured.NestedSlice(o, path...)
	if err != nil || !found || i >= len(list) {
		panic(fmt.Sprintf("no list element %v[%d]: %v", path, i, err))
	}
	element := object(list[i].(map[string]any))
	edit(element)
	list[i] = map[string]any(element)
	o.set(list, path...)
}

// add appends to the list at path.
func (o object) add(value any, path ...string) {
	list, _, err := unstructured.NestedSlice(o, path...)
	if err != nil {
		panic(err)
	}
	o.set(append(list, value), path...)
}

func rename(name string) func(object) { return func(o object) { o.set(name, "metadata", "name") } }

func spec(value any, path ...string) func(object) {
	return func(o object) { o.set(value, append([]string{"spec"}, path...)...) }
}

func unspec(path ...string) func(object) {
	return func(o object) { o.del(append([]string{"spec"}, path...)...) }
}

func clause(edit func(c object)) func(object) {
	return func(o object) { o.at(0, edit, "spec", "terms", "clauses") }
}

func terms(value any, path ...string) func(object) {
	return spec(value, append([]string{"terms"}, path...)...)
}

func long(n int) string { return strings.Repeat("x", n) }

func many(n int, f func(i int) any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

func profileRule(i int) any {
	return map[string]any{"name": fmt.Sprintf("r%d", i), "rule": "true", "severity": "Error", "message": "m", "field": "title", "citation": "c"}
}

func profileRuleWith(value any, member string) func(object) {
	return func(o object) { o.at(0, func(r object) { r.set(value, member) }, "spec", "rules") }
}

func profileRuleWithout(member string) func(object) {
	return func(o object) { o.at(0, func(r object) { r.del(member) }, "spec", "rules") }
}

func member(i int) any {
	return map[string]any{"agency": fmt.Sprintf("m%d", i), "trustDomain": fmt.Sprintf("m%d.example", i)}
}

var crdCases = []crdCase{
	// Agency.
	{name: "agency: accepted", base: "agency"},
	{name: "agency: name too long", base: "agency", edit: rename(strings.Repeat("a", 41)), want: "at most 40"},
	{name: "agency: name with a dot", base: "agency", edit: rename("state.police"), want: "lower-case letters"},
	{name: "agency: no display name", base: "agency", edit: unspec("displayName"), want: "displayName"},
	{name: "agency: display name too long", base: "agency", edit: spec(long(201), "displayName"), want: "displayName"},
	{name: "agency: no trust domain", base: "agency", edit: unspec("trustDomain"), want: "trustDomain"},
	{name: "agency: trust domain with upper case", base: "agency", edit: spec("Police.example", "trustDomain"), want: "trustDomain"},
	{name: "agency: trust domain changed", base: "agency", update: spec("other.example", "trustDomain"), want: "trustDomain cannot change"},
	{name: "agency: display name changed", base: "agency", update: spec("Another name", "displayName")},
	{name: "agency: endpoint without a port", base: "agency", edit: spec("gateway.example", "endpoints", "gateway"), want: "endpoints.gateway"},
	{name: "agency: endpoint with a scheme", base: "agency", edit: spec("https://x.example:1", "endpoints", "exchange"), want: "endpoints.exchange"},
	{name: "agency: jurisdiction malformed", base: "agency", edit: spec([]any{"usa"}, "jurisdictions"), want: "jurisdictions"},
	{name: "agency: jurisdiction twice", base: "agency", edit: spec([]any{"US", "US"}, "jurisdictions"), want: "Duplicate"},
	{name: "agency: key of an unknown type", base: "agency", edit: func(o object) {
		o.at(0, func(k object) { k.set("RSA", "kty") }, "spec", "signingKeys", "keys")
	}, want: "kty"},
	{name: "agency: key coordinate of a wrong length", base: "agency", edit: func(o object) {
		o.at(0, func(k object) { k.set("AAAA", "x") }, "spec", "signingKeys", "keys")
	}, want: "keys[0].x"},
	{name: "agency: two keys of one id", base: "agency", edit: func(o object) {
		keys, _, _ := unstructured.NestedSlice(o, "spec", "signingKeys", "keys")
		o.add(keys[0], "spec", "signingKeys", "keys")
	}, want: "Duplicate"},

	// ExchangeSchema.
	{name: "schema: accepted", base: "exchangeschema"},
	{name: "schema: name is not <name>.v<version>", base: "exchangeschema", edit: rename("person"), want: "<spec.name>.v<spec.version>"},
	{name: "schema: version 0", base: "exchangeschema", edit: spec(int64(0), "version"), want: "version"},
	{name: "schema: no fields", base: "exchangeschema", edit: spec([]any{}, "fields"), want: "fields"},
	{name: "schema: changed", base: "exchangeschema", update: spec("new words", "description"), want: "immutable"},
	{name: "schema: unknown type", base: "exchangeschema", edit: func(o object) {
		o.at(0, func(f object) { f.set("float", "type") }, "spec", "fields")
	}, want: "type"},
	{name: "schema: field name with upper case", base: "exchangeschema", edit: func(o object) {
		o.at(0, func(f object) { f.set("FamilyName", "name") }, "spec", "fields")
	}, want: "fields[0].name"},
	{name: "schema: field twice", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "family_name", "type": "string"}, "spec", "fields")
	}, want: "Duplicate"},
	{name: "schema: code without codes", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "state", "type": "code"}, "spec", "fields")
	}, want: "codes are given for type code"},
	{name: "schema: codes without code", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "state", "type": "string", "codes": []any{"a"}}, "spec", "fields")
	}, want: "codes are given for type code"},
	{name: "schema: 257 fields", base: "exchangeschema", edit: spec(many(257, func(i int) any {
		return map[string]any{"name": fmt.Sprintf("f%d", i), "type": "string"}
	}), "fields"), want: "fields"},
	{name: "schema: unknown sensitivity", base: "exchangeschema", edit: func(o object) {
		o.at(0, func(f object) { f.set("Secret", "sensitivity") }, "spec", "fields")
	}, want: "sensitivity"},
	{name: "schema: lists and records", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "aliases", "type": "string", "repeated": true}, "spec", "fields")
		o.add(map[string]any{"name": "address", "type": "record", "fields": []any{
			map[string]any{"name": "city", "type": "string"}, map[string]any{"name": "kind", "type": "code", "codes": []any{"home", "work"}},
		}}, "spec", "fields")
	}},
	{name: "schema: record without fields", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "address", "type": "record"}, "spec", "fields")
	}, want: "fields are given for type record"},
	{name: "schema: fields without record", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "address", "type": "string", "fields": []any{map[string]any{"name": "city", "type": "string"}}}, "spec", "fields")
	}, want: "fields are given for type record"},
	{name: "schema: a record in a record", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "address", "type": "record", "fields": []any{map[string]any{"name": "city", "type": "record"}}}, "spec", "fields")
	}, want: "type"},
	{name: "schema: member code without codes", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "address", "type": "record", "fields": []any{map[string]any{"name": "kind", "type": "code"}}}, "spec", "fields")
	}, want: "codes are given for type code"},
	{name: "schema: 33 members", base: "exchangeschema", edit: func(o object) {
		o.add(map[string]any{"name": "address", "type": "record", "fields": many(33, func(i int) any {
			return map[string]any{"name": fmt.Sprintf("f%d", i), "type": "string"}
		})}, "spec", "fields")
	}, want: "fields"},

	// Dataset.
	{name: "dataset: accepted", base: "dataset"},
	{name: "dataset: name too long", base: "dataset", edit: rename(strings.Repeat("a", 41)), want: "at most 40"},
	{name: "dataset: no source", base: "dataset", edit: spec(map[string]any{}, "source"), want: "exactly one of"},
	{name: "dataset: two sources", base: "dataset", edit: spec(map[string]any{"path": "x.db"}, "source", "sqlite"), want: "exactly one of"},
	{name: "dataset: relation with a quote", base: "dataset", edit: spec(`people"; drop table x`, "relation"), want: "relation"},
	{name: "dataset: relation of three parts", base: "dataset", edit: spec("a.b.c", "relation"), want: "relation"},
	{name: "dataset: column with a space", base: "dataset", edit: func(o object) {
		o.at(0, func(f object) { f.set("a b", "column") }, "spec", "fields")
	}, want: "column"},
	{name: "dataset: field mapped twice", base: "dataset", edit: func(o object) {
		o.add(map[string]any{"field": "family_name", "column": "x"}, "spec", "fields")
	}, want: "Duplicate"},
	{name: "dataset: plaintext to the database", base: "dataset", edit: spec("disable", "source", "postgresql", "sslMode"), want: "sslMode"},
	{name: "dataset: port out of range", base: "dataset", edit: spec(int64(70000), "source", "postgresql", "port"), want: "port"},
	{name: "dataset: no Vault connection", base: "dataset", edit: unspec("source", "postgresql", "vaultConnection"), want: "vaultConnection"},
	{name: "dataset: translated", base: "dataset", edit: func(o object) {
		o.set([]any{map[string]any{"name": "wage_cents", "type": "int"}}, "spec", "columns")
		o.add(map[string]any{"field": "wage", "expression": "wage_cents / 100"}, "spec", "fields")
		o.add(map[string]any{"field": "sex", "column": "g", "codes": []any{map[string]any{"value": "1", "code": "F"}}, "unknownCode": "AsNull"}, "spec", "fields")
		o.add(map[string]any{"field": "entry", "column": "e", "format": "DD.MM.YYYY"}, "spec", "fields")
		o.add(map[string]any{"field": "aliases", "column": "a", "delimiter": ";"}, "spec", "fields")
		o.add(map[string]any{"field": "address", "members": []any{map[string]any{"field": "city", "column": "ort"}}}, "spec", "fields")
	}},
	{name: "dataset: field of column and expression", base: "dataset", edit: func(o object) {
		o.at(0, func(f object) { f.set("a", "expression") }, "spec", "fields")
	}, want: "exactly one of column, expression, members and pointer"},
	{name: "dataset: field of nothing", base: "dataset", edit: func(o object) {
		o.at(0, func(f object) { f.del("column") }, "spec", "fields")
	}, want: "exactly one of column, expression, members and pointer"},
	{name: "dataset: codes of a record", base: "dataset", edit: func(o object) {
		o.add(map[string]any{"field": "address", "members": []any{map[string]any{"field": "city", "column": "ort"}}, "unknownCode": "AsNull"}, "spec", "fields")
	}, want: "stand with each of the members"},
	{name: "dataset: member of column and expression", base: "dataset", edit: func(o object) {
		o.add(map[string]any{"field": "address", "members": []any{map[string]any{"field": "city", "column": "ort", "expression": "ort"}}}, "spec", "fields")
	}, want: "exactly one of column and expression"},
	{name: "dataset: a value translated twice", base: "dataset", edit: func(o object) {
		code := map[string]any{"value": "1", "code": "F"}
		o.at(0, func(f object) { f.set([]any{code, code}, "codes") }, "spec", "fields")
	}, want: "Duplicate"},
	{name: "dataset: unknown word for unknown codes", base: "dataset", edit: func(o object) {
		o.at(0, func(f object) { f.set("Drop", "unknownCode") }, "spec", "fields")
	}, want: "unknownCode"},
	{name: "dataset: format with a quote", base: "dataset", edit: func(o object) {
		o.at(0, func(f object) { f.set("DD'MM.YYYY", "format") }, "spec", "fields")
	}, want: "format"},
	{name: "dataset: relation changed", base: "dataset", update: spec("public.other", "relation")},

	// SharingAgreement.
	{name: "agreement: accepted", base: "sharingagreement"},
	{name: "agreement: name is not <id>.v<version>", base: "sharingagreement", edit: rename("anvil"), want: "<terms.id>.v<terms.version>"},
	{name: "agreement: id too long", base: "sharingagreement", edit: terms(strings.Repeat("a", 41), "id"), want: "id"},
	{name: "agreement: id with upper case", base: "sharingagreement", edit: terms("Anvil", "id"), want: "id"},
	{name: "agreement: version 0", base: "sharingagreement", edit: terms(int64(0), "version"), want: "version"},
	{name: "agreement: supersedes itself", base: "sharingagreement", edit: terms(int64(1), "supersedes"), want: "supersedes an earlier one"},
	{name: "agreement: unknown type", base: "sharingagreement", edit: terms("Handshake", "type"), want: "type"},
	{name: "agreement: one party", base: "sharingagreement", edit: func(o object) {
		parties, _, _ := unstructured.NestedSlice(o, "spec", "terms", "parties")
		o.set(parties[:1], "spec", "terms", "parties")
	}, want: "parties"},
	{name: "agreement: party twice", base: "sharingagreement", edit: func(o object) {
		parties, _, _ := unstructured.NestedSlice(o, "spec", "terms", "parties")
		o.add(parties[0], "spec", "terms", "parties")
	}, want: "Duplicate"},
	{name: "agreement: window turned round", base: "sharingagreement", edit: terms("2020-01-01T00:00:00Z", "term", "notAfter"), want: "notBefore is before notAfter"},
	{name: "agreement: window is no time", base: "sharingagreement", edit: terms("tomorrow", "term", "notAfter"), want: "notAfter"},
	{name: "agreement: no purpose statement", base: "sharingagreement", edit: unspec("terms", "purposeStatement"), want: "purposeStatement"},
	{name: "agreement: no clauses", base: "sharingagreement", edit: terms([]any{}, "clauses"), want: "clauses"},
	{name: "agreement: clause of a source that is no party", base: "sharingagreement", edit: clause(func(c object) { c.set("somebody", "source") }), want: "every clause's source is a party"},
	{name: "agreement: clause without purposes", base: "sharingagreement", edit: clause(func(c object) { c.set([]any{}, "purposes") }), want: "purposes"},
	{name: "agreement: purpose without a namespace", base: "sharingagreement", edit: clause(func(c object) { c.set([]any{"investigation"}, "purposes") }), want: "purposes"},
	{name: "agreement: unknown granularity", base: "sharingagreement", edit: clause(func(c object) { c.set("Everything", "granularity") }), want: "granularity"},
	{name: "agreement: records without fields", base: "sharingagreement", edit: clause(func(c object) { c.del("fields") }), want: "lists its fields"},
	{name: "agreement: field twice", base: "sharingagreement", edit: clause(func(c object) { c.set([]any{"a", "a"}, "fields") }), want: "Duplicate"},
	{name: "agreement: recipient is both", base: "sharingagreement", edit: clause(func(c object) {
		c.set([]any{map[string]any{"agency": "a", "taskForce": map[string]any{"name": "b", "version": int64(1), "digest": "sha256:" + strings.Repeat("A", 43)}}}, "recipients")
	}), want: "exactly one of agency and taskForce"},
	{name: "agreement: recipient is neither", base: "sharingagreement", edit: clause(func(c object) {
		c.set([]any{map[string]any{}}, "recipients")
	}), want: "exactly one of agency and taskForce"},
	{name: "agreement: schema digest malformed", base: "sharingagreement", edit: clause(func(c object) { c.set("md5:x", "schema", "digest") }), want: "digest"},
	{name: "agreement: row filter too long", base: "sharingagreement", edit: clause(func(c object) { c.set(long(2001), "rowFilter") }), want: "rowFilter"},
	{name: "agreement: minimum count of 1", base: "sharingagreement", edit: clause(func(c object) { c.set(int64(1), "limits", "minimumCount") }), want: "minimumCount"},
	{name: "agreement: limit beyond 2^53", base: "sharingagreement", edit: clause(func(c object) { c.set(int64(1)<<54, "limits", "recordsPerDay") }), want: "recordsPerDay"},
	{name: "agreement: redisclosure unknown", base: "sharingagreement", edit: clause(func(c object) { c.set("Maybe", "obligations", "redisclosure") }), want: "redisclosure"},
	{name: "agreement: required decision of no party", base: "sharingagreement", edit: terms([]any{map[string]any{"agency": "somebody", "role": "board"}}, "requiredDecisions"), want: "every required decision is of a party"},
	{name: "agreement: terms changed", base: "sharingagreement", update: terms("Another title", "title"), want: "terms are immutable"},
	{name: "agreement: a clause's purpose changed", base: "sharingagreement", update: clause(func(c object) { c.set([]any{"entente:other"}, "purposes") }), want: "terms are immutable"},
	{name: "agreement: signature added", base: "sharingagreement", update: spec([]any{map[string]any{"agency": "border-service", "jws": "a.b.c"}}, "signatures")},
	{name: "agreement: signature is no JWS", base: "sharingagreement", edit: spec([]any{map[string]any{"agency": "border-service", "jws": "abc"}}, "signatures"), want: "jws"},
	{name: "agreement: two signatures of one agency", base: "sharingagreement", edit: spec([]any{
		map[string]any{"agency": "border-service", "jws": "a.b.c"}, map[string]any{"agency": "border-service", "jws": "d.e.f"},
	}, "signatures"), want: "Duplicate"},

	// AgreementDecision.
	{name: "decision: accepted", base: "agreementdecision"},
	{name: "decision: unknown decision", base: "agreementdecision", edit: spec("Maybe", "decision"), want: "decision"},
	{name: "decision: agreement without a version", base: "agreementdecision", edit: spec("anvil", "agreement"), want: "agreement"},
	{name: "decision: no digest", base: "agreementdecision", edit: unspec("digest"), want: "digest"},
	{name: "decision: by nobody", base: "agreementdecision", edit: spec("", "decidedBy"), want: "decidedBy"},
	{name: "decision: accepts renewals", base: "agreementdecision", edit: spec(map[string]any{"when": "true", "mayChange": []any{"title"}}, "renewals")},
	{name: "decision: renewals without a bound", base: "agreementdecision", edit: spec(map[string]any{"mayChange": []any{"title"}}, "renewals"), want: "when"},
	{name: "decision: renewals with a Suspend", base: "agreementdecision", edit: func(o object) {
		o.set("Suspend", "spec", "decision")
		o.set("true", "spec", "renewals", "when")
	}, want: "accepted in advance with an Accept"},
	{name: "decision: changed", base: "agreementdecision", update: spec("Reject", "decision"), want: "create-only"},

	// AgreementProfile.
	{name: "profile: accepted", base: "agreementprofile"},
	{name: "profile: name too long", base: "agreementprofile", edit: rename(strings.Repeat("a", 64)), want: "at most 63"},
	{name: "profile: longest name", base: "agreementprofile", edit: rename(strings.Repeat("a", 63))},
	{name: "profile: name with a dot", base: "agreementprofile", edit: rename("us.cmppa"), want: "lower-case letters"},
	{name: "profile: no title", base: "agreementprofile", edit: unspec("title"), want: "title"},
	{name: "profile: title too long", base: "agreementprofile", edit: spec(long(201), "title"), want: "title"},
	{name: "profile: no citation", base: "agreementprofile", edit: unspec("citation"), want: "citation"},
	{name: "profile: citation too long", base: "agreementprofile", edit: spec(long(301), "citation"), want: "citation"},
	{name: "profile: no description", base: "agreementprofile", edit: unspec("description")},
	{name: "profile: description too long", base: "agreementprofile", edit: spec(long(4001), "description"), want: "description"},
	{name: "profile: no rules", base: "agreementprofile", edit: spec([]any{}, "rules"), want: "rules"},
	{name: "profile: 64 rules", base: "agreementprofile", edit: spec(many(64, profileRule), "rules")},
	{name: "profile: 65 rules", base: "agreementprofile", edit: spec(many(65, profileRule), "rules"), want: "rules"},
	{name: "profile: rule twice", base: "agreementprofile", edit: func(o object) { o.add(profileRule(0), "spec", "rules"); o.add(profileRule(0), "spec", "rules") }, want: "Duplicate"},
	{name: "profile: rule without a name", base: "agreementprofile", edit: profileRuleWithout("name"), want: "name"},
	{name: "profile: rule's name with upper case", base: "agreementprofile", edit: profileRuleWith("OneYear", "name"), want: "rules[0].name"},
	{name: "profile: rule's name too long", base: "agreementprofile", edit: profileRuleWith(long(64), "name"), want: "rules[0].name"},
	{name: "profile: rule without an expression", base: "agreementprofile", edit: profileRuleWith("", "rule"), want: "rules[0].rule"},
	{name: "profile: expression too long", base: "agreementprofile", edit: profileRuleWith(long(2001), "rule"), want: "rules[0].rule"},
	{name: "profile: unknown severity", base: "agreementprofile", edit: profileRuleWith("Info", "severity"), want: "severity"},
	{name: "profile: no severity", base: "agreementprofile", edit: profileRuleWithout("severity"), want: "severity"},
	{name: "profile: no message", base: "agreementprofile", edit: profileRuleWithout("message"), want: "message"},
	{name: "profile: message too long", base: "agreementprofile", edit: profileRuleWith(long(1001), "message"), want: "message"},
	{name: "profile: no field", base: "agreementprofile", edit: profileRuleWithout("field"), want: "field"},
	{name: "profile: field is no path", base: "agreementprofile", edit: profileRuleWith("clauses[0].fields", "field"), want: "rules[0].field"},
	{name: "profile: field too long", base: "agreementprofile", edit: profileRuleWith(long(201), "field"), want: "rules[0].field"},
	{name: "profile: rule without a citation", base: "agreementprofile", edit: profileRuleWithout("citation"), want: "rules[0].citation"},
	{name: "profile: rule's citation too long", base: "agreementprofile", edit: profileRuleWith(long(301), "citation"), want: "rules[0].citation"},
	{name: "profile: changed", base: "agreementprofile", update: profileRuleWith("Warning", "severity")},

	// TaskForce.
	{name: "task force: accepted", base: "taskforce"},
	{name: "task force: name is not <name>.v<version>", base: "taskforce", edit: rename("harbor"), want: "<spec.name>.v<spec.version>"},
	{name: "task force: another version", base: "taskforce", edit: rename("harbor.v2"), want: "<spec.name>.v<spec.version>"},
	{name: "task force: version 0", base: "taskforce", edit: spec(int64(0), "version"), want: "version"},
	{name: "task force: no objective", base: "taskforce", edit: unspec("objective"), want: "objective"},
	{name: "task force: objective too long", base: "taskforce", edit: spec(long(2001), "objective"), want: "objective"},
	{name: "task force: no lead", base: "taskforce", edit: unspec("lead"), want: "lead"},
	{name: "task force: lead is no member", base: "taskforce", edit: spec("border-service", "lead"), want: "the lead is a member"},
	{name: "task force: one member", base: "taskforce", edit: spec([]any{member(0)}, "members"), want: "members"},
	{name: "task force: 32 members", base: "taskforce", edit: func(o object) {
		o.set("m0", "spec", "lead")
		o.set(many(32, member), "spec", "members")
	}},
	{name: "task force: 33 members", base: "taskforce", edit: func(o object) {
		o.set("m0", "spec", "lead")
		o.set(many(33, member), "spec", "members")
	}, want: "members"},
	{name: "task force: member twice", base: "taskforce", edit: func(o object) {
		o.add(map[string]any{"agency": "state-police", "trustDomain": "other.example"}, "spec", "members")
	}, want: "Duplicate"},
	{name: "task force: member without a trust domain", base: "taskforce", edit: func(o object) {
		o.at(0, func(m object) { m.del("trustDomain") }, "spec", "members")
	}, want: "trustDomain"},
	{name: "task force: member's name with upper case", base: "taskforce", edit: func(o object) {
		o.at(1, func(m object) { m.set("Labor", "agency") }, "spec", "members")
	}, want: "members[1].agency"},
	{name: "task force: no window", base: "taskforce", edit: unspec("window"), want: "window"},
	{name: "task force: window without an end", base: "taskforce", edit: unspec("window", "notAfter"), want: "notAfter"},
	{name: "task force: window ends before it begins", base: "taskforce", edit: spec("2025-01-01T00:00:00Z", "window", "notAfter"), want: "notBefore is before notAfter"},
	{name: "task force: member joins", base: "taskforce", update: func(o object) { o.add(member(1), "spec", "members") }, want: "immutable"},
	{name: "task force: window extended", base: "taskforce", update: spec("2028-01-01T00:00:00Z", "window", "notAfter"), want: "immutable"},
	{name: "task force: labelled", base: "taskforce", update: func(o object) { o.set("x", "metadata", "labels", "a") }},

	// GatewayRoute.
	{name: "route: accepted", base: "gatewayroute"},
	{name: "route: sequence 0", base: "gatewayroute", edit: spec(int64(0), "sequence"), want: "sequence"},
	{name: "route: sequence goes back", base: "gatewayroute", update: spec(int64(1), "sequence"), want: "never goes back"},
	{name: "route: sequence grows", base: "gatewayroute", update: spec(int64(9), "sequence")},
	{name: "route: unknown state", base: "gatewayroute", edit: spec("Maybe", "state"), want: "state"},
	{name: "route: no signature", base: "gatewayroute", edit: unspec("signature"), want: "signature"},
}

func load(t *testing.T, base string) object {
	t.Helper()
	data, err := os.ReadFile("testdata/crd/" + base + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	// SetNestedField wants int64 where YAML gives float64: unstructured decodes as the API machinery does.
	data, err = yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u.Object
}
