package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show and prove the log of disclosures and denials",
		Long: `Every gateway logs what it disclosed, received and refused, before anything is released. These commands read its log folder;
they change nothing and may run beside the gateway.`,
	}
	cmd.AddCommand(
		newAuditShowCommand(), newAuditVerifyCommand(),
		newAuditDisclosuresCommand(), newAuditCorrectionsCommand(), newAuditReportCommand(), newAuditExportCommand(),
	)
	return cmd
}

func auditDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "folder of the gateway's log (required)")
	_ = cmd.MarkFlagRequired("dir")
	_ = cmd.MarkFlagDirname("dir")
}

// noLog says what to do when there is no log, rather than that a file is missing.
func noLog(err error, dir string) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a gateway's log: want the folder that has the file origin in it", dir)
	}
	return err
}

// logTime is how tables write the times of a log.
const logTime = "2006-01-02T15:04:05.000Z"
