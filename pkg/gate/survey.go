package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/pkg/flows"
)

// Survey implements Gate.
func (k *Kernel) Survey() ([]Grant, error) {
	var all []Grant
	err := k.inspector.retry(func() (err error) {
		all, err = k.survey()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	slices.SortFunc(all, compareGrants)
	return all, nil
}

// retry is Kernel.retry for any goroutine, and explains the error. While grants come and go,
// the kernel gives the hash table of a set another size now and then, and breaks off listings.
// What is missing may be a set that a reload has removed, or the table. The pauses are for the reload, which
// takes many times as long as an attempt.
func (i *inspector) retry(attempt func() error) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := attempt()
		if !transient(err) && !missing(err) || pause > maxInspectorPause {
			return i.explain(err)
		}
		time.Sleep(pause)
	}
}

// missing reports an error of nf_tables about a set or a table that is not there.
func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) && !errors.Is(err, flows.ErrUnsupported)
}

// maxInspectorPause is the last pause before the inspector gives up, and half of all.
const maxInspectorPause = 512 * time.Millisecond

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
