package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/gateway/audit"
	"github.com/entente-dev/entente/gateway/transparency"
	"github.com/entente-dev/entente/internal/files"
)

func newAuditCheckpointCommand() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "checkpoint --dir DIR",
		Short: "Print the latest checkpoint of a gateway's log",
		Long: `Prints the latest checkpoint that a quorum of witnesses cosigned, or, if there is none, the latest that the log signed (C2SP
tlog-checkpoint). Whoever keeps one can later prove that the log was cut, rolled back or forked, if it was.

-o json has the log's key, too: what a witness needs to know the log, and what those need who check proofs.`,
		Example: `  entente audit checkpoint --dir /var/lib/entente/log
  entente audit checkpoint --dir /var/lib/entente/log -o json | jq -r .key >> logs    # for entente witness`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := transparency.ReadFiles(dir)
			if err != nil {
				return noLog(err, dir)
			}
			c := f.Latest
			if f.Cosigned.Raw != nil {
				c = f.Cosigned
			}
			if c.Raw == nil {
				return transparency.ErrNone
			}
			switch output {
			case "text":
				_, err = cmd.OutOrStdout().Write(c.Raw)
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(map[string]any{
					"origin": f.Origin, "key": f.Key, "entries": c.Size, "latest": f.Latest.Size, "cosigned": f.Cosigned.Size, "checkpoint": string(c.Raw),
				})
			default:
				err = fmt.Errorf("--output %q: use text or json", output)
			}
			return err
		},
	}
	auditDirFlag(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func newAuditProveCommand() *cobra.Command {
	var dir, disclosure, out string
	var keys logKeyFlags
	cmd := &cobra.Command{
		Use:   "prove --dir DIR --disclosure ID",
		Short: "Prove to others that a disclosure was logged",
		Long: `Writes the entries of one disclosure, with the proof of each that it is in the log: under a checkpoint that the log signed and, if
there are witnesses, that they cosigned. Whoever has the log's key checks it without the log:

  entente audit verify --proof FILE

The file holds the records: handle it as the personal data that it is.`,
		Example: `  entente audit prove --dir /var/lib/entente/log --disclosure 0192f0c1-7b1e-7c3a-9d54-3b7f1f0a2c11 --out proof.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			with, err := keys.read(cmd.Context())
			if err != nil {
				return err
			}
			f, err := transparency.ReadFiles(dir)
			if err != nil {
				return noLog(err, dir)
			}
			var entries []transparency.ProvenEntry
			err = audit.Read(dir, func(e audit.Entry) error {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				if e.Erased || e.Record.Disclosure != disclosure {
					return nil
				}
				p, err := f.Prove(cmd.Context(), e)
				if err != nil {
					return fmt.Errorf("entry %d: %w", e.Seq, err)
				}
				entries = append(entries, p)
				return nil
			}, with...)
			if err != nil {
				return noLog(err, dir)
			}
			if len(entries) == 0 {
				return fmt.Errorf("no entry of disclosure %s in %s", sanitize(disclosure), dir)
			}
			b, err := json.MarshalIndent(f.NewBundle(entries), "", "  ")
			if err != nil {
				return err
			}
			b = append(b, '\n')
			if out == "" {
				_, err = cmd.OutOrStdout().Write(b)
				return err
			}
			if err := files.Replace(out, b, 0o600); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d entries, proven in %s\n", len(entries), out)
			return nil
		},
	}
	auditDirFlag(cmd, &dir)
	cmd.Flags().StringVar(&disclosure, "disclosure", "", "id of the disclosure (required)")
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: standard output)")
	_ = cmd.MarkFlagRequired("disclosure")
	keys.add(cmd)
	return cmd
}

// proofFlags say against what a proof is checked.
type proofFlags struct {
	file, key string
	witnesses []string
	quorum    int
}

func (f *proofFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "proof", "", "file that entente audit prove wrote, to be checked without a log")
	fl.StringVar(&f.key, "log-key", "", "key that the log must have, as it is published (default: the one in the proof)")
	fl.StringArrayVar(&f.witnesses, "witness-key", nil, "key of a witness whose cosignature counts (repeatable)")
	fl.IntVar(&f.quorum, "witness-quorum", 0, "how many of them must have cosigned (default: all)")
}

func (f *proofFlags) verify(cmd *cobra.Command) error {
	b, err := os.ReadFile(f.file)
	if err != nil {
		return err
	}
	bundle, err := transparency.ParseBundle(b)
	if err != nil {
		return err
	}
	key := bundle.Key
	if f.key != "" {
		key = f.key
	}
	proven, err := bundle.Verify(key)
	if err != nil {
		return err
	}
	if f.quorum < 0 || f.quorum > len(f.witnesses) {
		return errors.New("--witness-quorum is more than there are --witness-key")
	}
	need := f.quorum
	if need == 0 {
		need = len(f.witnesses)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tTIME\tSIDE\tKIND\tAGREEMENT\tOUTCOME\tDISCLOSURE\tCHECKPOINT\tCOSIGNED BY")
	for _, p := range proven {
		by, err := transparency.Cosigners(p.Checkpoint, key, f.witnesses)
		if err != nil {
			return err
		}
		if len(by) < need {
			return fmt.Errorf("entry %d: %d of the given witnesses cosigned its checkpoint, %d must have", p.Seq, len(by), need)
		}
		cells := []string{fmt.Sprint(p.Seq), time.Unix(0, p.Nanos).UTC().Format(logTime), "-", "erased", "-", "-", "-", fmt.Sprint(p.Checkpoint.Size), strings.Join(by, ", ")}
		if r := p.Record; r != nil {
			cells = append(append(cells[:2], string(r.Side), string(r.Kind), fmt.Sprintf("%s.v%d", r.Agreement, r.Version), r.Outcome, r.Disclosure), cells[7:]...)
		}
		for i, c := range cells {
			if cells[i] = sanitize(c); c == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "\nProven: these records are in the log %s\n", sanitize(strings.SplitN(key, "+", 2)[0]))
	if f.key == "" {
		fmt.Fprintf(out, "Compare its key with the one that the agency publishes, or give that one as --log-key:\n  %s\n", sanitize(key))
	}
	if need == 0 {
		fmt.Fprintln(out, "No witness was asked for (--witness-key): that the log shows the same history to everybody is not proven.")
	}
	return nil
}
