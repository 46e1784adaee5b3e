// Command entente is the whole of Entente in one binary: the operator and the gateway of an agency, a standalone mode, and
// the commands of the people who work with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

func main() {
	// Libraries log with klog: no more than warnings, until a command has a logger of its own.
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := execute(ctx, asInvoked(newRootCommand(), os.Args[0]))
	stop()
	if err == nil {
		return
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, "Error:", sanitizeLines(err.Error()))
	}
	os.Exit(exitCode(err))
}

// execute runs the command that the arguments name. An error about how it was called says how it is called.
func execute(ctx context.Context, root *cobra.Command) error {
	began := false
	var note func(*cobra.Command)
	note = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			note(sub)
		}
		if run := c.RunE; run != nil {
			c.RunE = func(cmd *cobra.Command, args []string) error { began = true; return run(cmd, args) }
		}
	}
	note(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !began {
		return fmt.Errorf("%w\nUsage: %s (%s --help says more)", err, cmd.UseLine(), cmd.CommandPath())
	}
	return err
}

// exitCode of a command that ended so.
func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return 1
}

// exitError carries an exit code other than 1. An empty message prints nothing.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "entente",
		Short: "Share data between public agencies under agreements that run",
		Long: `Entente is a gateway through which public agencies share data. A sharing agreement is a resource that every party signs; while
it is in force, the source's gateway answers what the agreement permits and nothing else, and both sides log every answer
and every refusal. The data stays with each agency.

Start with:
  entente demo                      three agencies on this machine, no cluster
  entente query --help              ask a gateway
  entente agreement --help          digest, signatures and decisions`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: "ask", Title: "Ask:"},
		&cobra.Group{ID: "agree", Title: "Agree:"},
		&cobra.Group{ID: "show", Title: "Account for:"},
		&cobra.Group{ID: "run", Title: "Run:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"ask":   {newQueryCommand(), newExplainCommand(), newDatasetsCommand(), newLoginCommand(), newLogoutCommand(), newWhoamiCommand()},
		"agree": {newAgreementCommand(), newAgencyCommand(), newSchemaCommand(), newDatasetCommand(), newTaskForceCommand(), newCredentialCommand()},
		"show":  {newAuditCommand(), newRegisterCommand()},
		"run":   {newOperatorCommand(), newGatewayCommand(), newStandaloneCommand(), newWitnessCommand(), newDemoCommand(), newBootstrapCommand()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}
