package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func newLogoutCommand() *cobra.Command {
	var name string
	var forget bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Forget the tokens of a context, and end the login at the provider",
		Long: `Removes the tokens and the secret that entente login kept, and asks the provider to end the login. The context stays, to log in again
with; --forget removes it, too. Files that a context only names, such as a certificate's key, are left alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, file, c, err := contextNamed(name)
			if err != nil {
				return err
			}
			token, err := store.LoadToken(c.Name)
			// First here: what cannot reach the provider ends here, at least.
			if err := store.RemoveToken(c.Name); err != nil {
				return err
			}
			if forget {
				file.Remove(c.Name)
				if err := store.Save(file); err != nil {
					return err
				}
			}
			if err == nil && c.OIDC != nil {
				ctx, stop := context.WithTimeout(cmd.Context(), 30*time.Second)
				defer stop()
				if err := c.OIDC.Revoke(ctx, token); err != nil {
					return fmt.Errorf("the tokens are gone from here, but not ended at the provider: %w", err)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Logged out of context %s\n", c.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "context", os.Getenv("ENTENTE_CONTEXT"), "context (default: the current one) [ENTENTE_CONTEXT]")
	cmd.Flags().BoolVar(&forget, "forget", false, "remove the context, too")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts) // the flag was added above
	return cmd
}
