package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestUsageIsSaid: who calls a command otherwise than it is called is told how; an error of what it does is by itself.
func TestUsageIsSaid(t *testing.T) {
	const usage = "\nUsage: entente query SCHEMA"
	for args, said := range map[string]bool{
		"query":                              true,
		"query person":                       true,
		"query person --purpos x":            true,
		"query person --purpose x --limit a": true,
		"query person --purpose x --context there-is-none": false,
	} {
		noVariables(t)
		root := newRootCommand()
		root.SetArgs(strings.Fields(args))
		root.SetOut(&bytes.Buffer{})
		root.SetErr(&bytes.Buffer{})
		err := execute(t.Context(), root)
		if err == nil || strings.Contains(err.Error(), usage) != said {
			t.Errorf("%s: %v", args, err)
		}
	}
}
