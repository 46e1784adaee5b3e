package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/login"
)

// contextNamed finds a context; an empty name is the current one.
func contextNamed(name string) (login.Store, *login.File, *login.Context, error) {
	store, err := login.DefaultStore(os.Getenv)
	if err != nil {
		return store, nil, nil, err
	}
	file, err := store.Load()
	if err != nil {
		return store, nil, nil, err
	}
	c, err := file.Find(name)
	if err == nil && c == nil {
		err = errors.New("there is no context: entente login")
	}
	return store, file, c, err
}

func completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	store, err := login.DefaultStore(os.Getenv)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, err := store.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, c := range file.Contexts {
		out = append(out, cobra.CompletionWithDesc(c.Name, c.Server))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
