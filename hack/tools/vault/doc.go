// Package vault pins the Vault server and the PostgreSQL plugin of its database
// secrets engine that tests and the Kubernetes demo start.
//
// They are built with -tags minimal, which leaves PKI, transit, key-value and
// the JWT and AppRole login methods built in. The replace directives are those
// that Vault's own go.mod needs to be built as a dependency; other pairs of
// Vault and SDK versions do not compile together. `go mod tidy` needs -e: tests
// of Vault's dependencies name packages that no longer exist.
package vault
