// Package dev pins the developer tools of this repository. Run one from the
// root of the repository: go tool -modfile=hack/tools/dev/go.mod controller-gen.
package dev
