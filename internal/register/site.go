package register

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/controllers/words"
	"github.com/entente-dev/entente/internal/accounting"
	"github.com/entente-dev/entente/internal/page"
)

// Input is what a register is made of.
type Input struct {
	// Agency that publishes, and every agency by name, for their public names.
	Agency   string
	Agencies map[string]*v1alpha1.Agency
	// TaskForces that agreements pin, by object name.
	TaskForces words.TaskForces
	// Agreements, all of them: Make chooses.
	Agreements []*v1alpha1.SharingAgreement
	// Use by month, of months that are over, and the logs that it is from; no logs: the register has no numbers.
	Use         []accounting.Month
	Logs        []accounting.Covered
	Checkpoints []Checkpoint
	// K is the least count that is shown.
	K int64
	// Until is the end of the last month whose numbers are shown.
	Until time.Time
	Now   time.Time
}

// MinK is the least K: below it a count says little less than its number.
const MinK = 3

// Register is the register as register.json has it, and the pages show it.
type Register struct {
	Agency string    `json:"agency"`
	Name   string    `json:"name"`
	Made   time.Time `json:"made"`
	// Agreements in force that are public, by id.
	Agreements []Entry `json:"agreements"`
	// NotPublic counts the agreements in force that are not.
	NotPublic int `json:"notPublic"`
	// CountedUntil is the end of the last month whose numbers are shown; zero: there are no numbers.
	CountedUntil  time.Time    `json:"countedUntil,omitzero"`
	SmallestShown int64        `json:"smallestShown"`
	Checkpoints   []Checkpoint `json:"checkpoints,omitempty"`
}

// Entry is one agreement.
type Entry struct {
	words.RegisterEntry
	Use []Use `json:"use,omitempty"`
}

// Called gives the public name of a party, or what it was given.
func (e *Entry) Called(agency string) string {
	for _, p := range e.Parties {
		if p.Agency == agency {
			return cmp.Or(p.Name, p.Agency)
		}
	}
	return agency
}

// Checkpoint of a log: what it was at some time, so that nobody can change it afterwards unseen.
type Checkpoint struct {
	Log string `json:"log"`
	// Key verifies the signature of Note, a signed checkpoint; both are empty when the log has none, and Head is then the
	// chain hash of its last entry.
	Key  string    `json:"key,omitempty"`
	Note string    `json:"note,omitempty"`
	Head string    `json:"head,omitempty"`
	Last time.Time `json:"last,omitzero"`
}

var idForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// InForce says whether an agreement is in force at now, as its status and its term say.
func InForce(a *v1alpha1.SharingAgreement, now time.Time) bool {
	t := &a.Spec.Terms.Term
	return a.Status.State == v1alpha1.StateInForce && !now.Before(t.NotBefore.Time) && now.Before(t.NotAfter.Time)
}

// Make chooses what is public, and makes the numbers such that they reveal nobody.
func Make(in Input) (*Register, error) {
	if in.K < MinK {
		return nil, fmt.Errorf("counts below %d would be shown: the least is %d", in.K, MinK)
	}
	r := &Register{Agency: in.Agency, Name: in.Agency, Made: in.Now.UTC(), SmallestShown: in.K, Agreements: []Entry{}, Checkpoints: in.Checkpoints}
	if a := in.Agencies[in.Agency]; a != nil {
		r.Name = cmp.Or(a.Spec.DisplayName, in.Agency)
	}
	begin := firstWhole(in.Logs, in.Now)
	if !begin.IsZero() && begin.Before(in.Until) {
		r.CountedUntil = in.Until
	}
	erased := map[string]bool{}
	for _, l := range in.Logs {
		maps.Copy(erased, l.ErasedIn)
	}
	seen := map[string]bool{}
	for _, a := range in.Agreements {
		if !InForce(a, in.Now) {
			continue
		}
		if a.Spec.Terms.Publication != v1alpha1.PublicationPublic || len(a.Spec.UnknownFields) > 0 {
			r.NotPublic++
			continue
		}
		id := a.Spec.Terms.ID
		if !idForm.MatchString(id) || seen[id] {
			return nil, fmt.Errorf("agreement %q: its id is none, or two versions of it are in force", id)
		}
		seen[id] = true
		entry, err := words.Register(a, in.Agencies, in.TaskForces, false)
		if err != nil {
			return nil, fmt.Errorf("agreement %s: %w", id, err)
		}
		e := Entry{RegisterEntry: *entry}
		if !r.CountedUntil.IsZero() {
			e.Use = uses(id, in.Use, erased, begin, in.Until, in.K)
		}
		r.Agreements = append(r.Agreements, e)
	}
	slices.SortFunc(r.Agreements, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return r, nil
}

// firstWhole is the first month that every log covers from its beginning, and that is shown; zero: there are no logs.
func firstWhole(logs []accounting.Covered, now time.Time) time.Time {
	var out time.Time
	for _, l := range logs {
		if l.First.IsZero() {
			continue
		}
		if out.IsZero() || l.First.Before(out) {
			out = l.First // replicas come and go: the first one's beginning counts
		}
	}
	if out.IsZero() {
		return out
	}
	month := time.Date(out.Year(), out.Month(), 1, 0, 0, 0, 0, time.UTC)
	if first := FirstMonth(now); month.Before(first) {
		return first
	}
	return month
}

// Smaller is the greatest count that is not shown.
func (r *Register) Smaller() int64 { return r.SmallestShown - 1 }

// Group is agreements under one heading.
type Group struct {
	Name       string
	Agreements []Entry
}

// Purposes and Parties list the agreements by what they are for and by who is in them.
func (r *Register) Purposes() []Group {
	return r.groups(func(e *Entry) []string {
		var out []string
		for _, d := range e.Data {
			out = append(out, d.Purposes...)
		}
		return out
	})
}

// Parties are shown by their public names.
func (r *Register) Parties() []Group {
	return r.groups(func(e *Entry) []string {
		var out []string
		for _, p := range e.Parties {
			out = append(out, cmp.Or(p.Name, p.Agency))
		}
		return out
	})
}

func (r *Register) groups(of func(*Entry) []string) []Group {
	by := map[string]*Group{}
	for i := range r.Agreements {
		e := &r.Agreements[i]
		for _, name := range slices.Compact(slices.Sorted(slices.Values(of(e)))) {
			if by[name] == nil {
				by[name] = &Group{Name: name}
			}
			by[name].Agreements = append(by[name].Agreements, *e)
		}
	}
	var out []Group
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, *by[name])
	}
	return out
}

// when reads what an entry says of a time: a day, or an instant within one.
func when(text string) string {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return page.Day(t)
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return page.Moment(t)
	}
	return text
}

func monthName(month string) string {
	t, err := time.Parse("2006-01", month)
	if err != nil {
		return month
	}
	return t.Format("January 2006")
}

// editionHas are what an edition's folder holds, and so what the next one may replace.
var editionHas = []string{"agreements", "index.html", "register.json", "style.css"}

// Write writes the site into the folder, in one step: it takes the place of an earlier edition, and of nothing else.
func (r *Register) Write(out string) error {
	content, err := r.render()
	if err != nil {
		return err
	}
	out = filepath.Clean(out)
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(editionHas, e.Name()) {
			return fmt.Errorf("%s holds something else than a register (%s), which would be gone: name an empty folder, or one that is not there", out, e.Name())
		}
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(out), ".register-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	for name, text := range content {
		path := filepath.Join(fresh, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	old := fresh + ".old"
	if err := os.Rename(out, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer os.RemoveAll(old)
	if err := os.Rename(fresh, out); err != nil {
		return errors.Join(err, os.Rename(old, out))
	}
	return nil
}

// render makes the files by name.
func (r *Register) render() (map[string][]byte, error) {
	out := map[string][]byte{"style.css": []byte(page.Style)}
	out["index.html"] = r.index()
	for i := range r.Agreements {
		e := &r.Agreements[i]
		out["agreements/"+e.ID+".html"] = r.agreement(e)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	out["register.json"] = append(text, '\n')
	return out, err
}
