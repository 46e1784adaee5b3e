// Package crds pins projects whose custom resource definitions the charts' optional objects are checked against. Nothing of them is built.
package crds
