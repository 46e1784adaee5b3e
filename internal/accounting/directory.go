package accounting

import (
	"slices"
	"strconv"
	"time"
)

// Directory is what an agency's resources know and its logs do not. The zero Directory knows nothing.
type Directory struct {
	// Agencies by name.
	Agencies map[string]Agency
	// SubjectKeys are the fields that name a person in the agency's datasets, by schema; nil: not known.
	SubjectKeys map[string][]string
	// Agreements, all versions.
	Agreements []Agreement
}

// Agency as others are told of it.
type Agency struct {
	ID      string `json:"agency"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

// Agreement is one version of an agreement.
type Agreement struct {
	// Name is <id>.v<version>.
	Name     string
	ID       string
	Title    string
	InForce  bool
	NotAfter time.Time
	// Promised is the term anticipatedResults.
	Promised string
	// Contacts by agency: the parties' contacts in the matter.
	Contacts map[string]string
}

func (d *Directory) agency(id, address string) Agency {
	a := d.Agencies[id]
	a.ID = id
	if address != "" {
		a.Address = address // as it was at the time
	}
	return a
}

// contact of an agency in the matter of an agreement.
func (d *Directory) contact(agreement, agency string) string {
	i := slices.IndexFunc(d.Agreements, func(a Agreement) bool { return a.Name == agreement })
	if i < 0 {
		return ""
	}
	return d.Agreements[i].Contacts[agency]
}

// versioned is <id>.v<version>; the version is left out when it is not known.
func versioned(id string, version int64) string {
	if id == "" || version == 0 {
		return id
	}
	return id + ".v" + strconv.FormatInt(version, 10)
}
