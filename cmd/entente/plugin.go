package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// pluginName is what kubectl calls to run `kubectl entente`: this same binary, under that name on the PATH.
const pluginName = "kubectl-entente"

// asInvoked makes the help speak of `kubectl entente` when that is how the command was called.
func asInvoked(root *cobra.Command, argv0 string) *cobra.Command {
	if strings.TrimSuffix(filepath.Base(argv0), ".exe") != pluginName {
		return root
	}
	if root.Annotations == nil {
		root.Annotations = map[string]string{}
	}
	root.Annotations[cobra.CommandDisplayNameAnnotation] = "kubectl entente"
	speakOfPlugin(root)
	return root
}

// commandLine is an indented line of help that begins with the name of the command.
var commandLine = regexp.MustCompile(`(?m)^(\s+)entente `)

func speakOfPlugin(cmd *cobra.Command) {
	cmd.Long = commandLine.ReplaceAllString(cmd.Long, "${1}kubectl entente ")
	cmd.Example = commandLine.ReplaceAllString(cmd.Example, "${1}kubectl entente ")
	for _, c := range cmd.Commands() {
		speakOfPlugin(c)
	}
}
