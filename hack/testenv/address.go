package testenv

// ReserveAddress finds a free port of 127.0.0.1 for a program that is to listen there, and keeps it from other processes that use
// this package until release, also while the program is down.
func ReserveAddress() (address string, release func() error, err error) {
	p, err := freePort()
	if err != nil {
		return "", nil, err
	}
	return p.addr(), p.release, nil
}
