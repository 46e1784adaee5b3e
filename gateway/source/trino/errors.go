package trino

import (
	"fmt"
	"strings"

	"github.com/entente-dev/entente/gateway/source"
)

// fault says which dataset an error is about.
func fault(q source.Query, err error) error {
	return fmt.Errorf("trino: dataset %s: %w", q.Dataset.Name, err)
}

// explain turns an error of Trino into one that is safe to log and to answer with: its words quote statements and values. Its name
// says the same to an administrator.
func explain(q source.Query, f *failure) error {
	name := f.name
	if name == "" || len(name) > 64 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
		name = "no name"
	}
	unavailable := func(what string) error {
		return fmt.Errorf("%w: dataset %s: %s (%s)", source.ErrUnavailable, q.Dataset.Name, what, name)
	}
	switch name {
	case "PERMISSION_DENIED":
		return unavailable("the login may not read what the dataset names")
	case "EXCEEDED_TIME_LIMIT", "ABANDONED_QUERY":
		return unavailable("Trino did not answer in time")
	case "USER_CANCELED", "ADMINISTRATIVELY_KILLED", "ADMINISTRATIVELY_PREEMPTED":
		return unavailable("the statement was ended in Trino")
	case "INVALID_CAST_ARGUMENT", "NUMERIC_VALUE_OUT_OF_RANGE", "INVALID_FUNCTION_ARGUMENT":
		return fmt.Errorf("trino: dataset %s: a column holds values that are not of its field's type (%s)", q.Dataset.Name, name)
	}
	if f.kind == "USER_ERROR" {
		return fmt.Errorf("trino: dataset %s: its relation, columns or their types are not as the dataset says (%s)", q.Dataset.Name, name)
	}
	return unavailable("Trino is out of order")
}
