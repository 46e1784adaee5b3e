package demo

import (
	"context"
	"errors"
	"net/http"

	"github.com/entente-dev/entente/internal/demo/data"
)

// World is the three agencies with their agreement in force, each a process of its own, for a programme with another script
// than the demonstration's.
type World struct{ s *stage }

// Build builds a World; Close ends it, whether Build failed or not.
func Build(ctx context.Context, o Options) (*World, error) {
	s, err := newStage(o)
	if err != nil {
		return nil, err
	}
	w := &World{s}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(s.failed(ctx, err), w.Close())
	}
	for _, c := range s.people {
		c.http.Transport.(*http.Transport).MaxIdleConnsPerHost = 256
	}
	return w, nil
}

// Close stops the agencies and removes their files, unless Options say otherwise.
func (w *World) Close() error { return w.s.strike() }

// Agencies are the names of the three.
func (w *World) Agencies() []string {
	var out []string
	for _, a := range w.s.agencies {
		out = append(out, a.Name)
	}
	return out
}

// LogDir is the folder of an agency's log.
func (w *World) LogDir(agency string) string { return w.s.logDir(agency) }

// Kill ends an agency's process as a crash does.
func (w *World) Kill(agency string) { w.s.troupe.kill(agency) }

// Start starts an agency that was killed, and waits until it is ready.
func (w *World) Start(ctx context.Context, agency string) error {
	a := w.s.agency(agency)
	if err := w.s.startAgency(a); err != nil {
		return err
	}
	return w.s.until(ctx, func() error { return ready(ctx, a.Ports.Health) })
}

// Answered is how one source ended.
type Answered struct {
	Agency, Outcome, Disclosure string
	// Local: the recipient's own gateway refused, and the source was never told.
	Local bool
}

// Ask asks, as the analyst of an agency, all others about a person.
func (w *World) Ask(ctx context.Context, as string, p *data.Person) ([]Answered, error) {
	a, err := w.s.people[as].ask(ctx, about(p))
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, errors.New(a.Reason)
	}
	var out []Answered
	for _, src := range a.Sources {
		out = append(out, Answered{Agency: src.Agency, Outcome: src.Outcome, Disclosure: src.DisclosureID, Local: src.RefusedLocally})
	}
	return out, nil
}
