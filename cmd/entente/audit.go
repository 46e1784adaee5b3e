package main

import (
	"github.com/spf13/cobra"
)

func newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show and prove the log of disclosures and denials",
		Long: `Every gateway logs what it disclosed, received and refused, before anything is released. These commands work on its log folder,
also beside the gateway; all but erase only read it.

What a record says is sealed, with keys that are wrapped under a key in the agency's Vault, or in a file in standalone. With a Vault
token that may decrypt with the agency's log key, or in the gateway's pod, name the agency; the chain needs no key.`,
	}
	cmd.AddCommand(
		newAuditShowCommand(), newAuditVerifyCommand(), newAuditEraseCommand(), newAuditReconcileCommand(), newAuditCheckpointCommand(), newAuditProveCommand(),
		newAuditDisclosuresCommand(), newAuditCorrectionsCommand(), newAuditReportCommand(), newAuditExportCommand(),
	)
	return cmd
}

func auditDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "folder of the gateway's log (required)")
	_ = cmd.MarkFlagRequired("dir")
	_ = cmd.MarkFlagDirname("dir")
}

// logTime is how tables write the times of a log.
const logTime = "2006-01-02T15:04:05.000Z"
