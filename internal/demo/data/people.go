// Package data makes the synthetic records of the demonstration: one population, of which each of three agencies knows a
// part, in a database of its own and in words of its own. The same seed gives the same records.
package data

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Population is the number of people in the demonstration.
const Population = 120_000

// seed of everything. A change gives other people.
const seed = 0x656e74656e7465

// today is the day on which the records end: data must not depend on when it is made.
var today = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// Person is one synthetic person and what the agencies know.
type Person struct {
	Family, Given, Nationality, Document string
	Birth                                time.Time

	Case   *Case
	Job    *Job
	Border *Border
}

// Case is what the police know.
type Case struct {
	Number, Status, Role string
	Opened               time.Time
}

// Job is what the labor inspectorate knows.
type Job struct {
	Employer, EmployerID, Trade string
	// WageCents is the gross monthly wage.
	WageCents int64
	Since     time.Time
	Account   string
}

// Border is what the border service knows.
type Border struct {
	Permit   string
	Until    time.Time
	Crossing time.Time
	Point    string
}

// People gives the population. Person i is the same whatever Population is.
func People(yield func(int, *Person) bool) {
	for i := range Population {
		if !yield(i, person(i)) {
			return
		}
	}
}

func person(i int) *Person {
	if p := cast(i); p != nil {
		return p
	}
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	o := pickOrigin(r)
	p := &Person{
		Family: pick(r, o.family), Given: pick(r, o.given), Nationality: o.code,
		Document: document(o.code, i),
		Birth:    today.AddDate(-18-r.IntN(50), 0, -r.IntN(365)),
	}
	// Everyone is known to somebody; most only to one.
	known := 1 + r.IntN(100)
	if known <= 16 {
		p.Case = newCase(r)
	}
	if known > 8 && known <= 70 {
		p.Job = newJob(r)
	}
	if known > 52 || o.code != "US" && known%2 == 0 || known <= 3 {
		p.Border = newBorder(r)
	}
	return p
}

// cast are the people whom the demonstration asks about.
func cast(i int) *Person {
	switch i {
	case 0: // known to all three
		return &Person{
			Family: "Villanueva", Given: "Marisol", Nationality: "PH", Document: document("PH", i),
			Birth:  time.Date(1997, 3, 14, 0, 0, 0, 0, time.UTC),
			Case:   &Case{Number: "SP-2026-004417", Status: "Open", Role: "victim", Opened: time.Date(2026, 8, 19, 0, 0, 0, 0, time.UTC)},
			Job:    &Job{Employer: "Harbor Seafood 7", EmployerID: "E-0507", Trade: "Fishing", WageCents: 41_250, Since: time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC), Account: "US00-DEMO-000000"},
			Border: &Border{Permit: "Seasonal", Until: time.Date(2026, 7, 31, 0, 0, 0, 0, time.UTC), Crossing: time.Date(2026, 1, 28, 6, 42, 10, 0, time.UTC), Point: "Bayside Seaport"},
		}
	case 1: // known to the labor inspectorate alone
		return &Person{
			Family: "Walker", Given: "Hannah", Nationality: "US", Document: document("US", i),
			Birth: time.Date(1988, 11, 2, 0, 0, 0, 0, time.UTC),
			Job:   &Job{Employer: "Cedar Associates 3", EmployerID: "E-0993", Trade: "Office", WageCents: 512_000, Since: time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC), Account: "US00-DEMO-000001"},
		}
	}
	return nil
}

// Marisol and Hannah are the people whom the demonstration asks about: one known to all three agencies, one to the labor
// inspectorate alone.
func Marisol() *Person { return person(0) }

// Hannah is known to the labor inspectorate alone.
func Hannah() *Person { return person(1) }

// document numbers do not repeat: the multiplication only shuffles them.
func document(nationality string, i int) string {
	return fmt.Sprintf("%s%07d", nationality, (i*7_368_787+1_234_567)%10_000_000)
}

func newCase(r *rand.Rand) *Case {
	c := &Case{
		Number: fmt.Sprintf("SP-%d-%06d", 2021+r.IntN(6), r.IntN(1_000_000)),
		Status: "Closed", Role: pick(r, []string{"suspect", "victim", "witness", "witness"}),
		Opened: today.AddDate(0, 0, -1-r.IntN(1800)),
	}
	if r.IntN(4) == 0 {
		c.Status = "Open"
	}
	return c
}

func newJob(r *rand.Rand) *Job {
	t, place, n := r.IntN(len(trades)), r.IntN(len(places)), 1+r.IntN(12)
	trade := trades[t]
	return &Job{
		Employer:   fmt.Sprintf("%s %s %d", places[place], firms[trade], n),
		EmployerID: fmt.Sprintf("E-%d%d%02d", t, place, n),
		Trade:      trade,
		WageCents:  int64(45_000 + 50*r.IntN(12_000)),
		Since:      today.AddDate(0, 0, -30-r.IntN(3000)),
		Account:    fmt.Sprintf("US00-DEMO-%06d", r.IntN(1_000_000)),
	}
}

func newBorder(r *rand.Rand) *Border {
	return &Border{
		Permit:   pick(r, permits),
		Until:    today.AddDate(0, 0, r.IntN(900)-200),
		Crossing: today.Add(-time.Duration(r.IntN(900*24*3600)) * time.Second),
		Point:    pick(r, points),
	}
}

func pickOrigin(r *rand.Rand) *origin {
	total := 0
	for i := range origins {
		total += origins[i].weight
	}
	n := r.IntN(total)
	for i := range origins {
		if n -= origins[i].weight; n < 0 {
			return &origins[i]
		}
	}
	return &origins[0]
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
