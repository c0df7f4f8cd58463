package gate

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Survey implements Gate.
func (k *Kernel) Survey() ([]Grant, error) {
	var (
		all []Grant
		err error
	)
	// As retry does, which is for the goroutine of the Kernel. While grants come and go,
	// the kernel gives the hash table of a set another size now and then.
	for range surveyAttempts {
		if all, err = k.survey(); !transient(err) && !errors.Is(err, unix.ENOENT) {
			break // ENOENT: a reload has removed a set, or the table is gone
		}
	}
	if errors.Is(err, unix.ENOENT) {
		err = ErrNoTable
	}
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	slices.SortFunc(all, compareGrants)
	return all, nil
}

const surveyAttempts = 20

func (k *Kernel) survey() ([]Grant, error) {
	k.inspector.mu.Lock()
	defer k.inspector.mu.Unlock()
	sets := k.surveyed.Load()
	if sets == nil {
		return nil, ErrNoTable
	}
	var all []Grant
	for _, m := range *sets {
		list, err := m.list(k.inspector.conn, k.table)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
