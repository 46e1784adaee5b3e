package standalone

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/entente-dev/entente/api/v1alpha1"
)

// columns remembers what columns the relations of datasets have, so that a mapping to a column that is not there is told
// before anyone asks. They are read once for each reading of the dataset's file.
type columns struct {
	known map[*v1alpha1.Dataset][]string
}

func (c *columns) of(d *v1alpha1.Dataset, path, relation string) ([]string, error) {
	if known, ok := c.known[d]; ok {
		return known, nil
	}
	found, err := readColumns(path, relation)
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = map[*v1alpha1.Dataset][]string{}
	}
	c.known[d] = found
	return found, nil
}

// readColumns reads names from the catalogue of the file, never values.
func readColumns(path, relation string) ([]string, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=ro&_pragma=busy_timeout(1000)"}).String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query("SELECT name FROM pragma_table_info(?)", relation)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	if len(out) == 0 && rows.Err() == nil {
		return nil, fmt.Errorf("%s has no table or view %q", path, relation)
	}
	return out, rows.Err()
}

// reachable is the condition that tells whether the columns could be read.
func reachable(err error) metav1.Condition {
	if err != nil {
		return condition(v1alpha1.ConditionSourceReachable, false, v1alpha1.ReasonUnreachable, err.Error()+": correct source.sqlite.path or relation, or put the file there")
	}
	return condition(v1alpha1.ConditionSourceReachable, true, v1alpha1.ReasonReady, "the relation's columns were read")
}
