package postgres_test

import (
	"testing"

	"github.com/entente-dev/entente/gateway/internal/shapetest"
	"github.com/entente-dev/entente/gateway/route"
	"github.com/entente-dev/entente/gateway/source/postgres"
)

func (s *server) testShape(t *testing.T) {
	s.exec(t, shapetest.PostgreSQL)
	s.exec(t, `GRANT SELECT (id, aliases, years, sums, flags, days, times, sexes, city, since, rooms, jobs) ON shaped TO reader`)
	target := s.target()
	shapetest.Check(t, open(t, postgres.Options{Credentials: always("reader")}),
		&route.Dataset{Name: "shaped", Relation: "shaped", Columns: shapetest.Columns(), PostgreSQL: &target})
}

func (s *server) testMapped(t *testing.T) {
	s.exec(t, shapetest.MappedPostgreSQL)
	s.exec(t, `GRANT SELECT (`+shapetest.MappedColumns+`) ON mapped TO reader`)
	d, target := shapetest.Mapped(), s.target()
	d.PostgreSQL = &target
	shapetest.CheckMapped(t, open(t, postgres.Options{Credentials: always("reader")}), d)
}
