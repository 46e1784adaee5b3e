// Package depstest holds the tests of who may import whom. What decides stays pure, the gateway never depends on the
// operator, and Vault's API stays in one place; a colleague who breaks that learns it here, and not from a reviewer.
package depstest
