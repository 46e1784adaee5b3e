package standalone

import (
	"context"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/gateway/source/sqlite"
)

// columns remembers what columns the relations of datasets have, so that a mapping to a column that is not there is told
// before anyone asks. They are read once for each reading of the dataset's file.
type columns map[*v1alpha1.Dataset][]string

func (c columns) of(ctx context.Context, d *v1alpha1.Dataset, dir string) ([]string, error) {
	if known, ok := c[d]; ok {
		return known, nil
	}
	path := d.Spec.Source.SQLite.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	found, err := sqlite.Columns(ctx, path, d.Spec.Relation)
	if err == nil {
		c[d] = found
	}
	return found, err
}

// reachable is the condition that tells whether the columns could be read.
func reachable(err error) metav1.Condition {
	if err != nil {
		return condition(v1alpha1.ConditionSourceReachable, false, v1alpha1.ReasonUnreachable, err.Error()+": correct source.sqlite.path or relation, or put the file there")
	}
	return condition(v1alpha1.ConditionSourceReachable, true, v1alpha1.ReasonReady, "the relation's columns were read")
}
