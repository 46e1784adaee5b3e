// Package words says in prose what an agreement is: what it permits, what has become of it, what changes between two
// versions of it, who signed it, who can see what under it. It is pure: no client, no clock, no network; and nothing here
// decides anything, which package compile does.
//
// Terms come from other agencies. Whatever stands in them is printed without control characters, and in Markdown without
// markup of its own.
package words
