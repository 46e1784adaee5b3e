// Package helm pins the Helm that lints, renders and installs the charts in tests.
package helm
