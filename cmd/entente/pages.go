package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatewayv1 "github.com/entente-dev/entente/api/gateway/v1"
)

// pageFlags ask for an answer in pages.
type pageFlags struct {
	size  int64
	token string
	all   bool
}

func (f *pageFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.Int64Var(&f.size, "page-size", 0, "ask in pages of at most so many records; needs --order-by")
	fs.StringVar(&f.token, "page-token", "", "go on after the page that ended with this token")
	fs.BoolVar(&f.all, "all-pages", false, "ask for one page after another until there is none")
	cmd.MarkFlagsMutuallyExclusive("page-token", "all-pages")
}

func (f *pageFlags) apply(req *gatewayv1.QueryRequest) error {
	if f.size == 0 && (f.token != "" || f.all) {
		return errors.New("--page-token and --all-pages need --page-size")
	}
	req.PageSize, req.PageToken = f.size, f.token
	return nil
}

// follow gives the frames of one page after another, as those of one answer: each source's statuses are added up, and the summaries.
func follow(each func(token string, frame func(*gatewayv1.QueryResponse) error) error, print func(*gatewayv1.QueryResponse) error) error {
	var order []string
	sources := map[string]*gatewayv1.SourceStatus{}
	whole := &gatewayv1.QuerySummary{Complete: true}
	started := time.Now()
	for token := ""; ; {
		var summary *gatewayv1.QuerySummary
		err := each(token, func(f *gatewayv1.QueryResponse) error {
			switch {
			case f.GetSource() != nil:
				s := f.GetSource()
				before := sources[s.GetAgency()]
				if before == nil {
					order = append(order, s.GetAgency())
				} else {
					s.Records += before.GetRecords()
					if before.GetOutcome() != gatewayv1.Outcome_OUTCOME_OK {
						before.Records = s.Records
						s = before
					}
				}
				sources[s.GetAgency()] = s
				return nil
			case f.GetSummary() != nil:
				summary = f.GetSummary()
				return nil
			}
			return print(f)
		})
		if err != nil {
			return err
		}
		if summary == nil {
			return io.ErrUnexpectedEOF
		}
		whole.QueryId = summary.GetQueryId()
		whole.Records += summary.GetRecords()
		whole.Duplicates += summary.GetDuplicates()
		if token = summary.GetNextPageToken(); token == "" {
			break
		}
	}
	for _, agency := range order {
		s := sources[agency]
		whole.Sources++
		if s.GetOutcome() == gatewayv1.Outcome_OUTCOME_OK {
			whole.Ok++
		} else {
			whole.Complete = false
		}
		if err := print(&gatewayv1.QueryResponse{Source: s}); err != nil {
			return err
		}
	}
	whole.ElapsedMicros = time.Since(started).Microseconds()
	return print(&gatewayv1.QueryResponse{Summary: whole})
}

// alsoHeld names the agencies that hold a record besides the one that it is shown of, and where they contradict it.
func alsoHeld(r *gatewayv1.Record) string {
	if len(r.GetAlso()) == 0 {
		return "-"
	}
	var out []string
	for _, h := range r.GetAlso() {
		name := h.GetProvenance().GetAgency()
		for i, f := range h.GetDiffers() {
			name += map[bool]string{true: " (other ", false: ", "}[i == 0] + f
		}
		if len(h.GetDiffers()) > 0 {
			name += ")"
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return strings.Join(out, "; ")
}
