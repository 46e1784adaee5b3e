package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/entente-dev/entente/internal/demo"
)

func newDemoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Three agencies on this machine: a walk through what an agreement permits",
		Long: `Starts three agencies as three processes on loopback, with synthetic records, brings an agreement into force between them, and
walks through questions and refusals. Each step says what was asked, what came back, and whether that is as it should be; the
exit code is 1 if something is not. It uses a temporary folder and leaves nothing behind.`,
		Example: `  entente demo
  entente demo --keep --dir ./demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Dir != "" && !o.Keep {
				return errors.New("--dir keeps the files: say --keep, too")
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			o.Binary, o.Out = binary, cmd.OutOrStdout()
			o.Live = o.Out == os.Stdout && term.IsTerminal(int(os.Stdout.Fd()))
			o.Color = o.Live && os.Getenv("NO_COLOR") == ""
			// A terminal that is closed stops it in order, too.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return demo.Run(ctx, o)
		},
	}
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "keep the files and stay up until Ctrl-C")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder for the files, with --keep; it must be empty or new (default: a temporary one)")
	return cmd
}
