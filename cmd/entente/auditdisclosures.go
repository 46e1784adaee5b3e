package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entente-dev/entente/internal/accounting"
)

func newAuditDisclosuresCommand() *cobra.Command {
	var logs logsFlags
	var subject subjectFlags
	var withhold []string
	var forPerson bool
	cmd := &cobra.Command{
		Use:   "disclosures --dir DIR [--subject FILE]",
		Short: "Account for what was disclosed about a person",
		Long: `Makes the accounting of disclosures that a person is entitled to (5 U.S.C. 552a(c)): of each disclosure of the person's records the
date, nature, purpose, and the recipient's name and address.

The person is given by the values of the datasets' subject keys, a line each, SCHEMA.FIELD=VALUE, on standard input or in a file:
never on the command line, which others can read. They are turned into the tokens of the log with the key that each gateway keeps
beside its log. A disclosure is found when the query named the person, and when the person's record was in the answer.

Without --for-person it prints the agency's own copy, with everything. --for-person prints the copy to hand out, without what
--withhold names and without a trace of it; what was given and withheld is said on standard error. Whether the law lets a
disclosure be withheld is for the agency's people to decide, each time; for the disclosures to law enforcement under
5 U.S.C. 552a(b)(7) it does (552a(c)(3)).`,
		Example: `  # The agency's own copy
  entente audit disclosures --dir /var/lib/entente/log --subject person.txt -n labor-inspectorate

  # The copy for the person, of two replicas, as a page to print
  entente audit disclosures --dir ./gateway-0/log --dir ./gateway-1/log --subject person.txt --for-person \
    --withhold "entente:trafficking-investigation=5 U.S.C. 552a(c)(3), (b)(7)" -o html > accounting.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			grounds, err := parseWithhold(withhold)
			if err != nil {
				return err
			}
			q, err := logs.question(cmd, &subject)
			if err != nil {
				return err
			}
			q.Withhold = grounds
			account, err := accounting.Disclosures(cmd.Context(), q)
			if err != nil {
				return err
			}
			saidOf(cmd.ErrOrStderr(), account, grounds, q.Directory.SubjectKeys != nil)
			if forPerson {
				account = account.ForPerson()
			}
			return logs.print(cmd, account)
		},
	}
	logs.add(cmd, "text", "json", "csv", "html")
	subject.add(cmd)
	logs.desk.add(cmd)
	cmd.Flags().StringArrayVar(&withhold, "withhold", nil, "PURPOSE=GROUND: the person is not told of disclosures for that purpose code, on that legal ground (repeatable)")
	cmd.Flags().BoolVar(&forPerson, "for-person", false, "print the copy for the person, instead of the agency's own")
	return cmd
}

func parseWithhold(flags []string) (map[string]string, error) {
	out := map[string]string{}
	for _, f := range flags {
		purpose, ground, ok := strings.Cut(f, "=")
		if !ok || !strings.Contains(purpose, ":") || strings.TrimSpace(ground) == "" {
			return nil, fmt.Errorf("--withhold %q: want PURPOSE=GROUND, for example \"ncic:C=5 U.S.C. 552a(c)(3), (b)(7)\"", f)
		}
		out[purpose] = strings.TrimSpace(ground)
	}
	return out, nil
}

// saidOf tells the officer what the copies have, so that a purpose that was misspelt is noticed.
func saidOf(w io.Writer, a *accounting.Account, grounds map[string]string, checked bool) {
	list := func(m map[string]int) string {
		var out []string
		for _, p := range slices.Sorted(maps.Keys(m)) {
			out = append(out, fmt.Sprintf("%s (%d)", sanitize(p), m[p]))
		}
		return strings.Join(out, ", ")
	}
	if len(a.Given) > 0 {
		fmt.Fprintf(w, "The person is told of disclosures for: %s\n", list(a.Given))
	}
	if len(a.Withheld) > 0 {
		fmt.Fprintf(w, "The person is not told of disclosures for: %s\n", list(a.Withheld))
	}
	for _, p := range slices.Sorted(maps.Keys(grounds)) {
		if a.Withheld[p] == 0 {
			fmt.Fprintf(w, "Note: --withhold %s matches no disclosure: see that it is spelt as in the agreement\n", sanitize(p))
		}
	}
	if len(a.Disclosures) == 0 && !checked {
		fmt.Fprintln(w, "Note: nothing was found. See that each line names the subjectKey of a dataset; with --config or -n this is checked.")
	}
}
