// Package profile compiles the rules of an AgreementProfile and says which of them the terms of an agreement break. It is
// pure: no clock, no network, and the same terms and rules give the same answer at every party.
//
// # Language
//
// A rule is a CEL expression of type bool over one variable, `terms`: spec.terms as JSON, with the types that the API
// declares. A member that the terms do not have is an error of the profile, found when it is compiled. A member that is
// absent from the terms of one agreement is an error to read, so that a limit that nobody stated is never taken for one
// that is kept: ask with has() first, as in the validation rules of CRDs.
//
// Besides CEL's standard functions, macros and optional members (terms.?security) there are, of the strings extension,
// lowerAscii, trim, split and others, and the functions of time:
//
//	months(from, to)     the least number of calendar months after which `to` is not exceeded: "at most 18 months" is
//	                     months(terms.term.notBefore, terms.term.notAfter) <= 18
//	days(from, to)       the same in days of 24 hours
//	addMonths(time, n)   n calendar months later; a day that the month does not have becomes its last: 31 January and one
//	                     month is 28 or 29 February
//
// Months are counted in UTC. Rules cannot ask what time it is: terms are accepted or not, whenever they are looked at.
//
// # Renewals
//
// A decision may accept renewals in advance by an expression in the same language, over `terms`, those of the renewal, and
// `prior`, those of the version that it supersedes: see Renewal.
//
// # Limits
//
// Evaluation has a budget of cost per rule. A rule that exceeds it, or that fails in another way, is not kept.
package profile
